"""Steps of expectation maximisation, each against what it should leave as it is or recover."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from cryoscape.engines.subspace.em import (
    Model,
    extrapolate_power,
    fewer_components,
    iterate,
    next_power,
    next_spread,
    power_in_common,
    smooth,
    whitening,
)
from cryoscape.engines.subspace.equations import Solution
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.mean_map import mean_maps
from cryoscape.engines.subspace.passes import measure_noise, run_pass
from cryoscape.engines.subspace.posterior import Posterior, posterior
from cryoscape.engines.subspace.start import enlarge, first_model, in_box_of, support_at
from cryoscape.engines.subspace.support import Support
from cryoscape.physics.masks import soft_sphere
from cryoscape.physics.slices import FourierGrid

from .conftest import BOX, Balls, make_balls
from .settings import CONFIG


def posterior_of(z: torch.Tensor, covariance: torch.Tensor) -> Posterior:
    """A posterior with given latents, the rest of random moments."""
    n, q = z.shape
    rest = posterior(torch.eye(q + 2).expand(n, -1, -1))
    return replace(rest, mean=z, covariance=covariance)


class TestWhitening:
    """The change of maps after each iteration."""

    def random_case(self, q: int = 3, n: int = 200):
        generator = torch.Generator().manual_seed(4)
        maps = torch.randn(q + 1, 6, 6, 6, generator=generator)
        mixing = torch.randn(q, q, generator=generator)
        z = torch.randn(n, q, generator=generator) @ mixing + torch.tensor([1.0, -2.0, 0.5])
        root = torch.randn(n, q, q, generator=generator) / 3
        return maps, posterior_of(z, root @ root.transpose(1, 2))

    def test_latents_become_standard_and_maps_stay(self) -> None:
        maps, found = self.random_case()
        change = whitening(maps, found).double()
        changed = torch.einsum("ij,jzyx->izyx", change, maps.double())
        one = torch.cat([torch.ones(len(found.mean), 1), found.mean], dim=1).double()
        # (1, z') change = (1, z): the maps of every image are what they were
        new = one @ torch.linalg.inv(change)
        torch.testing.assert_close(new[:, 0], torch.ones(len(new)).double(), rtol=0, atol=1e-5)
        z = new[:, 1:]
        before = torch.einsum("ni,izyx->nzyx", one, maps.double())
        after = changed[0] + torch.einsum("ni,izyx->nzyx", z, changed[1:])
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
        inverse = torch.linalg.inv(change)[1:, 1:]
        own = inverse.T @ found.covariance.double() @ inverse
        spread = own.mean(0) + z.T @ z / len(z)
        torch.testing.assert_close(z.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-4)
        torch.testing.assert_close(spread, torch.eye(3).double(), rtol=0, atol=1e-4)

    def test_bases_become_orthogonal_and_sorted(self) -> None:
        maps, found = self.random_case()
        changed = torch.einsum("ij,jzyx->izyx", whitening(maps, found), maps)[1:].flatten(1).double()
        gram = (changed @ changed.T).numpy()
        power = np.diag(gram)
        assert np.abs(gram - np.diag(power)).max() < 1e-3 * power.max()
        assert (np.diff(power) < 0).all()


class TestPower:
    """Prior power from what two half sets have in common."""

    def halves(self, true: torch.Tensor, noise: torch.Tensor, prior: torch.Tensor, seed: int = 0):
        """Mean product of the half sets' g (F + e), F and e of these powers, and the posterior variance."""
        generator = torch.Generator().manual_seed(seed)
        n_voxels = 20000
        gain = prior / (prior + noise)
        signal = torch.randn(n_voxels, *true.shape, generator=generator) * true.sqrt()
        a, b = (
            gain * (signal + torch.randn(n_voxels, *true.shape, generator=generator) * noise.sqrt())
            for _ in range(2)
        )
        return (a * b).mean(0), gain * noise

    def test_known_power_is_recovered_whatever_the_noise_and_prior(self) -> None:
        true = torch.tensor([1.0, 0.8, 0.7])[None].repeat(8, 1)
        noise = torch.tensor([0.05, 1.0, 3.0])[None].repeat(8, 1)
        for prior in (true * 0.5, true, true * 2):
            common, variance = self.halves(true, noise, prior)
            found = power_in_common(common, variance, prior)
            np.testing.assert_allclose(found[1:, 0], true[1:, 0], rtol=0.05)
            # bases are pooled from below, which lifts the lesser to the average
            assert float(found[1:, 1].mean()) == pytest.approx(0.8, rel=0.05)
            assert float(found[1:, 2].mean()) == pytest.approx(0.76, rel=0.08)
            alone = power_in_common(common, variance, prior, least_share=0.0)
            assert float(alone[1:, 2].mean()) == pytest.approx(0.7, rel=0.08)

    def test_noise_alone_loses_its_prior_step_by_step(self) -> None:
        true, noise, prior = torch.zeros(8, 1), torch.ones(8, 1), torch.ones(8, 1)
        for _ in range(6):
            common, variance = self.halves(true, noise, prior)
            after = power_in_common(common, variance, prior)
            assert bool((after >= prior / 4 * (1 - 1e-6)).all())
            prior = after
        assert float(prior.max()) < 0.1

    def test_maps_give_the_same_as_their_spectra(self) -> None:
        """`next_power` of identical half maps with no variance is their own power."""
        support = Support(torch.ones(12, 12, 12), FourierGrid(4))
        maps = torch.randn(2, 12, 12, 12, generator=torch.Generator().manual_seed(0))
        half = Solution(maps, torch.zeros(support.n_shells, 2, 2))
        power = support.power(maps)
        found = next_power([half, half], support, power, least_share=0.0)
        torch.testing.assert_close(found[1:], smooth(power)[1:])

    def test_smoothing_keeps_lines_and_shell_zero(self) -> None:
        line = torch.arange(7.0)[:, None].repeat(1, 2)
        found = smooth(line)
        torch.testing.assert_close(found[2:-1], line[2:-1])
        assert smooth(torch.ones(2, 1)).tolist() == [[1.0], [1.0]]

    def test_power_beyond_the_last_shell_follows_the_mean(self) -> None:
        of_mean = 100 * 0.8 ** torch.arange(30.0)
        power = torch.stack([of_mean[:14], 0.1 * of_mean[:14], 0.02 * of_mean[:14]], dim=1)
        found = extrapolate_power(power, of_mean)
        torch.testing.assert_close(found[:, 0], of_mean)
        torch.testing.assert_close(found[:, 1], 0.1 * of_mean, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found[:, 2], 0.02 * of_mean, rtol=1e-4, atol=1e-6)


def test_the_spread_of_the_contrast_converges_to_that_of_the_images() -> None:
    """Images that tell their contrast exactly: the first step brings it within twice the start."""
    rng = np.random.default_rng(0)
    contrast = torch.from_numpy(rng.normal(1, 0.3, 5000)).float()
    zeros = torch.zeros(5000)
    found = replace(
        posterior_of(torch.zeros(5000, 1), torch.ones(5000, 1, 1)), contrast=contrast, contrast_variance=zeros
    )
    spread = 0.3
    for _ in range(4):
        spread = next_spread(spread, found)
    assert spread == pytest.approx(float(contrast.std()), rel=0.02)
    assert next_spread(0.0, found) == 0.0
    exact = replace(found, contrast=torch.ones(5000))
    assert next_spread(0.02, exact) == 0.0


def test_fewer_components_keep_the_first() -> None:
    model = Model(torch.randn(2, 4, 4, 4, 4), torch.rand(3, 4), torch.ones(3), 0.1)
    found = fewer_components(model, 2)
    torch.testing.assert_close(found.maps, model.maps[:, :3])
    torch.testing.assert_close(found.power, model.power[:, :3])


def start(balls: Balls) -> tuple[Images, Support, Model]:
    images = Images(balls.store, 6)
    support = support_at(soft_sphere(BOX, 6.0, 1.0), 6)
    return images, support, first_model(images, support, CONFIG)


def test_iterations_gain_held_out_information_and_find_the_noise(balls: Balls) -> None:
    images, support, model = start(balls)
    information = []
    for _ in range(6):
        done = iterate(model, support, images)
        model = done.model
        information.append(done.held_out_information)
    assert all(b > a - 0.01 for a, b in pairwise(information[1:]))
    assert information[-1] > information[0] + 0.5
    np.testing.assert_allclose(model.noise[2:7], balls.noise_variance, rtol=0.08)


def test_what_is_not_there_fades() -> None:
    """One state: what each half set makes of its noise the other does not confirm."""
    images, support, model = start(make_balls(400, 2.0, n_states=1))
    for _ in range(8):
        done = iterate(model, support, images)
        model = done.model
    assert float(done.posterior.information.mean()) < 0.01
    assert abs(done.held_out_information) < 0.01
    assert float(model.maps[:, 1:].norm() / model.maps[:, 0].norm()) < 0.05


def test_maps_do_not_weaken_while_contrasts_grow() -> None:
    """The images' scale is in maps times contrasts: nothing but the contrast's mean of 1 holds it."""
    balls = make_balls(300, 2.0, contrast_spread=0.3)
    images, support, model = start(balls)
    for _ in range(14):
        done = iterate(model, support, images)
        model = done.model
    assert float(done.posterior.contrast.mean()) == pytest.approx(1, abs=0.12)
    assert model.contrast_spread == pytest.approx(0.3, abs=0.04)


def test_at_a_larger_radius_maps_are_solved_for_that_images_were_not_placed_by(balls: Balls) -> None:
    images, support, model = start(balls)
    for _ in range(4):
        model = iterate(model, support, images).model
    before = run_pass(images, model.maps, support, model.noise, model.contrast_spread).posterior
    wider, larger = Images(balls.store, 7), support_at(soft_sphere(BOX, 6.0, 1.0), 7)
    brought = in_box_of(larger, model)
    done = iterate(brought, larger, wider, placing_radius=6)
    # placed as before, by the frequencies that the maps know of
    torch.testing.assert_close(done.posterior.information, before.information, rtol=0.05, atol=0.3)
    assert (
        float(torch.corrcoef(torch.stack([done.posterior.mean[:, 0], before.mean[:, 0]]))[0, 1].abs()) > 0.99
    )
    assert done.model.power.shape == (8, CONFIG.n_components + 1)
    # the new shell of the mean map is the true one, as well as a mean map reconstructed on its own tells
    truth = torch.from_numpy(balls.mean_volume()).float()[None] * larger.mask
    alone, _ = mean_maps(wider, larger, model.noise)

    def correlation(maps: torch.Tensor) -> float:
        both = larger.shell_products(maps, truth) / (larger.power(maps) * larger.power(truth)).sqrt()
        return float(both[7, 0])

    assert correlation(done.model.maps[0, :1]) > correlation(alone[:1]) - 0.02


def test_the_mean_alone_can_be_solved_for(balls: Balls) -> None:
    images, support, model = start(balls)
    model = iterate(model, support, images).model
    whole = run_pass(images, model.maps, support, model.noise, 0.1, solving=support)
    mean = run_pass(images, model.maps, support, model.noise, 0.1, solving=support, n_solved=1)
    for one, all_maps in zip(mean.equations, whole.equations, strict=True):
        assert one.n == 1
        torch.testing.assert_close(one.sums, all_maps.of_mean().sums, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(mean.posterior.mean, whole.posterior.mean)
    assert mean.held_out_information == 0


def test_images_are_placed_by_the_maps_of_their_own_half(balls: Balls) -> None:
    images, support, model = start(balls)
    model = iterate(model, support, images).model
    both = run_pass(images, model.maps, support, model.noise, 0.1).posterior
    for which in range(2):
        alone = run_pass(images, model.maps[[which]], support, model.noise, 0.1).posterior
        mine = images.half == which
        torch.testing.assert_close(both.mean[mine], alone.mean[mine])
        assert not torch.allclose(both.mean[~mine], alone.mean[~mine], atol=1e-3)


def test_a_pass_tells_of_every_image_once(balls: Balls) -> None:
    images, support, model = start(balls)
    seen = torch.cat(list(images.blocks()))
    torch.testing.assert_close(seen.sort().values, torch.arange(balls.store.n))
    done: list[int] = []
    run_pass(images, model.maps, support, model.noise, 0.1, update=done.append)
    assert done == sorted(done)
    assert done[-1] == balls.store.n


def test_the_noise_of_a_pass_is_that_measured_by_itself(balls: Balls) -> None:
    images, support, model = start(balls)
    done = run_pass(images, model.maps, support, model.noise, 0.1, solving=support)
    found = done.posterior
    apart = measure_noise(images, model.maps, support, found.weighted, found.weighted_squares)
    torch.testing.assert_close(done.noise, apart, rtol=1e-4, atol=1e-6)


def test_a_larger_radius_keeps_bases_and_noise() -> None:
    balls = make_balls(200)
    images, support, model = start(balls)
    images, support = Images(balls.store, 7), support_at(soft_sphere(BOX, 6.0, 1.0), 7)
    larger = enlarge(model, images, support)
    assert larger.maps.shape == (2, CONFIG.n_components + 1, BOX, BOX, BOX)
    assert larger.power.shape == (support.n_shells, CONFIG.n_components + 1)
    torch.testing.assert_close(larger.noise, model.noise)
    change = BOX**3 / model.maps.shape[-1] ** 3
    inside = larger.maps[:, 1:].norm() / model.maps[:, 1:].norm() * change**0.5
    assert float(inside) == pytest.approx(1, rel=0.15)
