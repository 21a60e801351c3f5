"""Scores against closed forms, brute force written out, and other implementations."""

import numpy as np
import pytest
import torch

from scores import (
    auc_fsc,
    best_cluster,
    cluster_agreement,
    fsc_curve,
    junk_auc,
    line_score,
    motion_in_maps,
    neighbourhood_purity,
    partition_agreement,
    per_image_auc,
    per_state_auc,
    phase_score,
    r_squared,
    recovered_fraction,
)

RNG = np.random.default_rng(0)


class Table:
    """A source whose latent is the number of a map."""

    def __init__(self, maps):
        self.maps = maps

    def volumes(self, z):
        return self.maps[z[:, 0].round().astype(int)]


@pytest.mark.parametrize("box", [16, 32])
def test_a_map_with_itself_has_the_largest_area_there_is(box):
    volume = RNG.normal(size=(box, box, box)).astype(np.float32)
    x, f = fsc_curve(volume, 3 * volume)
    np.testing.assert_allclose(x, np.arange(box // 2) / box)
    np.testing.assert_allclose(f, 1)
    assert auc_fsc(volume, volume) == pytest.approx((box // 2 - 1) / box)
    assert auc_fsc(-volume, volume) == pytest.approx(0.5 / box)  # clipped: only f_0 = 1 is left


def test_shells_are_those_of_the_definition_written_out():
    a, b = RNG.normal(size=(2, 12, 12, 12))
    b = 0.7 * a + 0.5 * b
    fa, fb = (np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(v))) for v in (a, b))
    grid = np.arange(12) - 6
    expected = [1.0]
    for i in range(1, 6):
        cross, pa, pb = 0j, 0.0, 0.0
        for z, qz in enumerate(grid):
            for y, qy in enumerate(grid):
                for x, qx in enumerate(grid):
                    if (i - 1) ** 2 <= qx**2 + qy**2 + qz**2 < i**2:
                        cross += np.conj(fa[z, y, x]) * fb[z, y, x]
                        pa += abs(fa[z, y, x]) ** 2
                        pb += abs(fb[z, y, x]) ** 2
        expected.append(np.clip(cross.real / np.sqrt(pa * pb), 0, 1))
    np.testing.assert_allclose(fsc_curve(a, b)[1], expected, atol=1e-12)


def test_an_empty_shell_counts_as_one_and_a_mask_applies_to_both():
    volume = RNG.normal(size=(16, 16, 16))
    assert fsc_curve(volume, np.zeros_like(volume))[1].tolist() == [1.0] * 8
    mask = np.zeros_like(volume)
    mask[4:12, 4:12, 4:12] = 1
    other = volume + 5 * RNG.normal(size=volume.shape) * (1 - mask)
    assert auc_fsc(other, volume, mask) == pytest.approx(7 / 16)
    assert auc_fsc(other, volume) < 0.3


def test_maps_of_unequal_boxes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        fsc_curve(np.zeros((16, 16, 16)), np.zeros((8, 8, 8)))


def test_per_image_area_takes_every_sth_particle_and_its_own_state():
    maps = RNG.normal(size=(3, 16, 16, 16)).astype(np.float32)
    labels = RNG.integers(3, size=60)
    z = labels[:, None].astype(np.float32)
    z[6] = (labels[6] + 1) % 3  # the wrong map at one of the particles 0, 6, 12 ...
    z[7] = (labels[7] + 1) % 3  # not looked at
    scores = per_image_auc(Table(maps), z, labels, maps, n=10)
    assert len(scores.values) == 10
    np.testing.assert_allclose(np.delete(scores.values, 1), 7 / 16)
    assert scores.values[1] == pytest.approx(auc_fsc(maps[int(z[6, 0])], maps[labels[6]]))
    assert scores.median == pytest.approx(7 / 16)
    assert scores.mean == pytest.approx(scores.values.mean())


def test_per_state_area_is_at_the_particle_nearest_to_the_mean():
    maps = RNG.normal(size=(4, 16, 16, 16)).astype(np.float32)
    labels = np.repeat([0, 1], 3)
    z = np.array([[0.0], [0.0], [3.0], [1.0], [1.0], [1.0]])  # mean of state 0 is 1: nearest is 0
    scores = per_state_auc(Table(maps), z, labels, maps)
    np.testing.assert_allclose(scores.values, 7 / 16)


def test_recovered_fraction():
    assert recovered_fraction(0.388, 0.366, 0.399) == pytest.approx(2 / 3)
    assert np.isnan(recovered_fraction(0.4, 0.4, 0.4))


def test_clusters_far_apart_agree_with_the_truth_and_noise_does_not():
    labels = RNG.integers(4, size=400)
    corners = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])
    apart = cluster_agreement(corners[labels] + RNG.normal(size=(400, 2)), labels)
    assert apart.ami > 0.9
    assert apart.ari > 0.9
    nothing = cluster_agreement(RNG.normal(size=(400, 2)), labels)
    assert abs(nothing.ami) < 0.03
    assert abs(nothing.ari) < 0.03
    assert nothing.ami_sd > 0
    assert partition_agreement((labels + 1) % 4, labels) == (pytest.approx(1), pytest.approx(1))


def test_purity_is_that_of_a_search_through_all_distances():
    labels = RNG.integers(3, size=150)
    z = 1.5 * labels[:, None] + RNG.normal(size=(150, 2))
    distance = np.linalg.norm(z[:, None] - z[None], axis=-1)
    nearest = np.argsort(distance, axis=1)[:, 1:21]
    expected = (labels[nearest] == labels[:, None]).mean()
    assert neighbourhood_purity(z, labels) == pytest.approx(expected)
    assert neighbourhood_purity(np.zeros((150, 2)), np.zeros(150, int)) == 1.0  # all are duplicates


def test_phase_on_a_noisy_circle_is_predicted_as_well_as_its_noise_allows():
    phase = RNG.uniform(0, 2 * np.pi, 8000)
    circle = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    exact = phase_score(circle, phase)
    assert exact.r2 > 0.999
    assert exact.median_error_degrees < 1.0
    noise = np.radians(20) * RNG.normal(size=len(phase))
    turned = np.stack([np.cos(phase + noise), np.sin(phase + noise)], axis=1)
    score = phase_score(turned, phase)
    # the mean vector of a wrapped normal is exp(-s^2 / 2), so R2 is exp(-s^2); the median error 0.6745 s
    assert score.r2 == pytest.approx(np.exp(-(np.radians(20) ** 2)), abs=0.015)
    assert score.median_error_degrees == pytest.approx(0.6745 * 20, rel=0.05)
    assert phase_score(RNG.normal(size=(8000, 2)), phase).r2 == pytest.approx(-1 / 50, abs=0.02)


def test_position_on_a_line_is_predicted_as_well_as_its_noise_allows():
    position = RNG.normal(size=8000)
    z = (position + 0.5 * RNG.normal(size=8000))[:, None]
    score = line_score(z, position)
    assert score.r2 == pytest.approx(0.8, abs=0.03)  # 1 / (1 + 0.25)
    assert score.median_error_degrees is None


def test_r_squared_over_two_columns():
    true = np.array([[0.0, 0.0], [2.0, 4.0]])
    assert r_squared(true, true) == 1
    assert r_squared(np.array([[1.0, 2.0], [1.0, 2.0]]), true) == 0
    assert r_squared(np.array([[0.0, 1.0], [2.0, 4.0]]), true) == pytest.approx(1 - 1 / 10)


def test_area_under_the_roc_curve_is_the_share_of_ordered_pairs():
    score, junk = RNG.normal(size=50), RNG.random(50) < 0.4
    pairs = score[junk][:, None] > score[~junk][None]
    assert junk_auc(score, junk) == pytest.approx(pairs.mean())


def test_best_cluster_has_the_largest_f1_of_all():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    clusters = np.array([5, 5, 5, 2, 2, 2, 2, 2, 2, 5])
    found = best_cluster(clusters, labels, 0)
    assert (found.cluster, found.precision, found.recall) == (5, 0.75, 0.75)
    assert best_cluster(clusters, labels, 3).recall == 0


def test_motion_seen_in_maps_is_the_share_that_is_in_them():
    phase = 2 * np.pi * np.arange(12) / 12
    position = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    mean, change = RNG.normal(size=(8, 8, 8)), RNG.normal(size=(2, 8, 8, 8))
    truth = mean + np.einsum("km,mzyx->kzyx", position, change)
    assert motion_in_maps(3 * truth, truth, position) == (pytest.approx(1), pytest.approx(1))
    half = 2 * (mean + 0.5 * np.einsum("km,mzyx->kzyx", position, change))
    r2, slope = motion_in_maps(half, truth, position)
    assert slope == pytest.approx(0.5)
    assert r2 == pytest.approx(0.75)


def test_curve_resembles_that_of_the_package_whose_shells_are_rounded():
    """Independent code with other shells: smooth curves must nearly agree."""
    from cryoscape.physics.fsc import fourier_shell_correlation

    truth = torch.randn(32, 32, 32, generator=torch.Generator().manual_seed(0))
    noisy = truth + torch.randn(32, 32, 32, generator=torch.Generator().manual_seed(1))
    ours = fsc_curve(noisy.numpy(), truth.numpy())[1]
    theirs = fourier_shell_correlation(noisy, truth).numpy()
    assert ours[6:].mean() == pytest.approx(theirs[6:16].mean(), abs=0.02)
