"""Learning from images of three states, from the first iteration to the last map."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, roc_auc_score

from cryoscape.engines.subspace import final
from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.fit import IterationReport, SubspaceFit, SubspaceResult, fit_subspace
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.passes import run_pass
from cryoscape.particles.fourier_store import FourierStore

from .conftest import BOX, Balls, make_balls
from .settings import CONFIG

AUTOMATIC = SubspaceConfig(max_zdim=5, start_radius=5)


def separation(result: SubspaceResult, state: np.ndarray) -> float:
    labels = KMeans(3, n_init=4, random_state=0).fit_predict(result.latents.mean)
    return float(adjusted_mutual_info_score(labels, state))


def learn(
    store: FourierStore, config: SubspaceConfig, **more
) -> tuple[SubspaceResult, list[IterationReport]]:
    torch.set_num_threads(1)
    reports: list[IterationReport] = []
    return fit_subspace(store, config, report=reports.append, **more), reports


@pytest.fixture(scope="module")
def learned(balls: Balls) -> tuple[SubspaceResult, list[IterationReport]]:
    """Number of components not given: found by held-out images."""
    return learn(balls.store, AUTOMATIC)


def test_latents_tell_the_states_apart(learned, balls: Balls) -> None:
    result, _ = learned
    assert result.finished
    # three states span two dimensions
    assert result.maps.zdim == result.latents.zdim == 2
    assert "2 of 5 tried" in result.verdict
    assert separation(result, balls.state) > 0.9
    assert (result.half_set_agreement[:2] > 0.7).all()


def test_latents_are_standard_with_their_covariance(learned) -> None:
    table = learned[0].latents
    np.testing.assert_allclose(table.mean.mean(0), 0, atol=0.02)
    spread = np.cov(table.mean.T, bias=True) + table.covariance.mean(0)
    np.testing.assert_allclose(spread, np.eye(2), atol=0.02)
    assert np.linalg.eigvalsh(table.covariance).min() > 0


def test_half_sets_alone_place_images_about_where_all_do(learned, balls: Balls) -> None:
    result, _ = learned
    for half in range(2):
        own = ~balls.junk & (np.arange(balls.store.n) % 2 == half)
        for ours, theirs in zip(result.by_half.mean[own].T, result.latents.mean[own].T, strict=True):
            assert np.corrcoef(ours, theirs)[0, 1] > 0.9
            assert ours.std() / theirs.std() == pytest.approx(1, abs=0.2)
            assert abs(ours.mean() - theirs.mean()) < 0.15
    contrast = result.by_half.contrast.mean()
    assert contrast == pytest.approx(result.latents.contrast.mean(), rel=0.05)


def test_what_one_half_set_shows_moves_no_image_of_the_other(balls: Balls) -> None:
    """The other half's images, all turned to noise, make no difference but for the noise level."""
    fit = SubspaceFit(balls.store, CONFIG)
    for _ in range(2):
        fit.step()
    store, values = balls.store, np.array(balls.store.coefficients)
    values[1::2] = values[1::2][::-1]
    mixed = FourierStore(store.plane, values, store.scale, store.particles, store.config)
    maps = fit.model.maps.clone()
    maps[1] = maps[1].flip(-1)
    known = (fit.support, fit.model.noise, fit.model.contrast_spread)
    before = run_pass(fit.images, fit.model.maps, *known).posterior.mean
    after = run_pass(Images(mixed, fit.radius), maps, *known).posterior.mean
    torch.testing.assert_close(after[::2], before[::2])
    assert float((after[1::2] - before[1::2]).abs().mean()) > 0.1


def test_maps_at_the_latents_of_a_state_are_its_map(learned, balls: Balls) -> None:
    result, _ = learned
    centres = np.stack([result.latents.mean[balls.state == s].mean(0) for s in range(3)])
    mean = balls.mean_volume()
    for state, found in enumerate(result.maps.volumes(centres)):
        truth = balls.volume(state)
        assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.97
        # in units of the images: neither too weak nor too strong, in the part that differs too
        assert (found * truth).sum() / (truth**2).sum() == pytest.approx(1, abs=0.1)
        change, wanted = found - result.maps.mean, truth - mean
        assert np.corrcoef(change.ravel(), wanted.ravel())[0, 1] > 0.85
        assert (change * wanted).sum() / (wanted**2).sum() == pytest.approx(0.9, abs=0.2)
    np.testing.assert_allclose(result.maps.mean.sum(), mean.sum(), rtol=0.2)
    assert result.maps.pixel_size_angstrom == pytest.approx(4.0)


def test_a_sample_is_learned_from_while_the_radius_grows_and_all_images_at_the_end(balls: Balls) -> None:
    result, reports = learn(balls.store, replace(AUTOMATIC, sample=150))
    n_images = [r.n_images for r in reports]
    assert sorted(set(n_images)) == [150, balls.store.n]
    assert n_images == sorted(n_images)
    assert reports[n_images.index(balls.store.n)].radius == reports[-1].radius == reports[-3].radius
    assert result.maps.zdim == 2
    assert separation(result, balls.state) > 0.9
    assert len(result.latents.mean) == balls.store.n


def test_a_sample_is_spread_over_all_images_and_both_half_sets(balls: Balls) -> None:
    images = Images(balls.store, 5, most=100)
    assert len(images.rows.unique()) == 100
    assert [int(images.of_half(h).sum()) for h in range(2)] == [50, 50]
    assert int(images.rows[:2].max()) < 4
    assert int(images.rows[-1]) > balls.store.n - 15
    assert sorted(images.order.tolist()) == images.rows.tolist()
    everything = Images(balls.store, 5, most=balls.store.n)
    assert everything.rows.tolist() == list(range(balls.store.n))


def test_iterations_are_reported_and_gain(learned, balls: Balls) -> None:
    _, reports = learned
    assert [r.iteration for r in reports] == list(range(len(reports)))
    radii = [r.radius for r in reports]
    assert radii == sorted(radii)
    assert reports[-1].held_out_information > 3 * max(reports[1].held_out_information, 0.1)
    assert reports[-1].noise == pytest.approx(balls.noise_variance, rel=0.1)
    assert [r.estimated_left_seconds is None for r in reports] == [False] * (len(reports) - 1) + [True]


def test_where_all_particles_are_alike_no_component_is_found() -> None:
    result, reports = learn(make_balls(400, n_states=1).store, AUTOMATIC)
    assert result.maps.zdim == 0
    assert "5 tried add no more than" in result.verdict
    assert abs(reports[-1].held_out_information) < 0.1
    assert result.latents.covariance.shape == (400, 0, 0)


def same(a: SubspaceResult, b: SubspaceResult, tolerance: float = 0.0) -> bool:
    pairs = [
        (a.maps.mean, b.maps.mean),
        (a.maps.bases, b.maps.bases),
        (a.latents.mean, b.latents.mean),
        (a.latents.log_likelihood, b.latents.log_likelihood),
    ]
    return all(x.shape == y.shape and np.abs(x - y).max() <= tolerance * np.abs(y).max() for x, y in pairs)


@pytest.fixture(scope="module")
def store() -> FourierStore:
    return make_balls(200).store


@pytest.fixture(scope="module")
def whole(store: FourierStore) -> SubspaceResult:
    return learn(store, CONFIG)[0]


class TestContinuing:
    """Runs that were stopped, repeated, or read from a disk."""

    @pytest.mark.parametrize("after", [1, 4])
    def test_a_stopped_run_goes_on_as_if_it_had_not_been(
        self, store, whole, after: int, tmp_path: Path
    ) -> None:
        stops: list[int] = []

        def should_stop() -> bool:
            stops.append(1)
            return len(stops) == after

        part, before = learn(store, CONFIG, should_stop=should_stop)
        assert not part.finished
        assert len(before) == after
        torch.save(part.state, tmp_path / "state.pkl")
        state = torch.load(tmp_path / "state.pkl", weights_only=True)
        rest, later = learn(store, CONFIG, state=state)
        assert [r.iteration for r in before + later] == list(range(len(before) + len(later)))
        assert rest.finished
        assert same(rest, whole)

    def test_stopped_while_final_maps_are_made_it_makes_them_again(self, store, whole) -> None:
        iterations: list[int] = []

        def should_stop() -> bool:
            iterations.append(1)
            return "last" in seen

        seen: list[str] = []
        part, before = learn(
            store,
            CONFIG,
            should_stop=should_stop,
            watch=lambda step, done, n: seen.append("last") if step == "maps at all frequencies" else None,
        )
        assert not part.finished
        assert len(iterations) == len(before) + 1
        rest, later = learn(store, CONFIG, state=part.state)
        assert later == []
        assert same(rest, whole)

    def test_a_finished_run_continues_to_itself(self, store, whole) -> None:
        again, reports = learn(store, CONFIG, state=whole.state)
        assert reports == []
        assert same(again, whole)

    def test_the_seed_decides(self, store, whole) -> None:
        assert same(learn(store, CONFIG)[0], whole)
        assert not same(learn(store, replace(CONFIG, seed=5))[0], whole, 1e-3)

    def test_half_precision_on_disk_gives_nearly_the_same(self, store, whole, tmp_path: Path) -> None:
        scale = torch.from_numpy(np.abs(store.coefficients).max(axis=(0, 2)))
        np.save(tmp_path / "c.npy", (store.coefficients / scale.numpy()[:, None]).astype(np.float16))
        stored = np.load(tmp_path / "c.npy", mmap_mode="c")
        lazy = FourierStore(store.plane, stored, store.scale, store.particles, store.config, scale)
        result, _ = learn(lazy, CONFIG)
        assert np.corrcoef(result.maps.mean.ravel(), whole.maps.mean.ravel())[0, 1] > 0.9999
        for j in range(2):
            assert abs(np.corrcoef(result.latents.mean[:, j], whole.latents.mean[:, j])[0, 1]) > 0.99

    def test_slabs_do_not_change_the_maps(self, store, whole, monkeypatch) -> None:
        monkeypatch.setattr(final, "MEMORY_BYTES", 1)
        assert same(learn(store, CONFIG)[0], whole, 1e-4)


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_the_spread_of_the_contrast_is_found(spread: float) -> None:
    balls = make_balls(500, 0.7, contrast_spread=spread, seed=2)
    result, reports = learn(balls.store, CONFIG)
    if spread:
        assert reports[-1].contrast_spread == pytest.approx(spread, abs=0.06)
        assert np.corrcoef(result.latents.contrast, balls.contrast)[0, 1] > 0.9
    else:
        assert reports[-1].contrast_spread < 0.06
    fixed, reports = learn(balls.store, replace(CONFIG, contrast=False))
    assert {r.contrast_spread for r in reports} == {0.0}
    assert set(fixed.latents.contrast.tolist()) == {1.0}


def test_junk_scores_tell_noise_from_particles() -> None:
    balls = make_balls(500, 1.5, junk_share=0.2, seed=3)
    result, _ = learn(balls.store, CONFIG)
    assert roc_auc_score(balls.junk, result.latents.junk_score) > 0.95


def test_differences_stay_in_a_mask_that_is_given(balls: Balls) -> None:
    mask = torch.zeros(BOX, BOX, BOX)
    mask[2:14, 2:14, 2:8] = 1  # x < 0 only
    result, _ = learn(balls.store, CONFIG, mask=mask)
    inside = (result.maps.bases[:, :, :, 2:8] ** 2).sum() / (result.maps.bases**2).sum()
    assert inside > 0.95
