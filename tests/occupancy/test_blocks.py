"""Regions of co-varying voxels: exact tails against scipy, planted regions, and noise that has none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from cryoscape.occupancy.blocks import (
    RegionOptions,
    correlation,
    critical_counts,
    find_regions,
    varying,
)


@given(st.integers(2, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n), st.integers(1, n))),
       st.sampled_from([0.3, 0.05, 1e-4, 1e-9]))  # fmt: skip
def test_critical_counts_are_those_of_the_exact_test(sizes: tuple[int, int, int], alpha: float) -> None:
    n, a, b = sizes
    found = int(critical_counts(np.array([a]), np.array([b]), n, alpha)[0, 0])
    tail = hypergeom(n, a, b).sf(np.arange(-1, min(a, b) + 1))  # P(k >= 0), P(k >= 1)...
    clear = np.abs(tail - alpha) > 1e-9 * alpha
    assert found <= min(a, b) + 1
    if found <= min(a, b):
        assert tail[found] <= alpha or not clear[found]
    if found > 0:
        assert tail[found - 1] > alpha or not clear[found - 1]


def test_each_pair_has_its_own_count() -> None:
    in_p, in_q = np.array([5, 30, 5]), np.array([30, 12])
    table = critical_counts(in_p, in_q, 40, 0.01)
    for i, a in enumerate(in_p):
        for j, b in enumerate(in_q):
            assert table[i, j] == critical_counts(np.array([a]), np.array([b]), 40, 0.01)[0, 0]


def test_correlation_is_that_of_pearson() -> None:
    there = np.random.default_rng(0).random((50, 6)) > 0.4
    values = there.astype(np.float64)
    counts = values.sum(axis=0)
    found = correlation(values.T @ values, counts, counts, 50)
    np.testing.assert_allclose(found, np.corrcoef(values.T), atol=1e-12)


def planted(flips: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """200 maps, three regions of 60 voxels whose presence is independent, 40 voxels of noise."""
    rng = np.random.default_rng(seed)
    patterns = rng.random((200, 3)) < [0.7, 0.4, 0.1]
    truth = np.repeat([0, 1, 2, -1], [60, 60, 60, 40])
    there = np.where(truth >= 0, patterns[:, truth], rng.random((200, 220)) < 0.5)
    there ^= rng.random(there.shape) < flips * (truth >= 0)
    order = rng.permutation(220)
    return there[:, order], truth[order]


@pytest.mark.parametrize("flips", [0.0, 0.03])
def test_planted_regions_are_found_and_noise_is_not(flips: float) -> None:
    there, truth = planted(flips)
    options = RegionOptions(min_correlation=0.6)
    found = find_regions(there, options)
    assert found.n_regions == 3
    assert np.diff(found.present.sum(axis=0)).max() < 0  # in most maps first
    agree = found.labels == truth
    assert agree[truth < 0].all()
    assert agree.mean() > (0.999 if flips == 0 else 0.95)
    assert (found.correlation > 0.7).all()


def test_regions_start_from_some_voxels_and_take_in_all() -> None:
    there, truth = planted(0.0)
    few = find_regions(there, RegionOptions(seeds=60))
    np.testing.assert_array_equal(few.labels, truth)


@pytest.mark.parametrize("seed", range(5))
def test_independent_voxels_make_no_region(seed: int) -> None:
    rng = np.random.default_rng(seed)
    there = rng.random((30, 400)) < rng.uniform(0.1, 0.9, 400)
    kept = there[:, varying(there.sum(axis=0), 30, RegionOptions())]
    found = find_regions(kept, RegionOptions(min_correlation=0.1, min_voxels=2))
    assert found.n_regions == 0
    assert (found.labels == -1).all()


def test_small_regions_are_left_out() -> None:
    there, truth = planted(0.0)
    keep = (truth != 1) | (np.cumsum(truth == 1) <= 5)
    found = find_regions(there[:, keep], RegionOptions(min_voxels=6))
    assert found.n_regions == 2
    assert (found.labels[truth[keep] == 1] == -1).all()


@pytest.mark.parametrize("v", [0, 1])
def test_too_few_voxels_have_no_regions(v: int) -> None:
    found = find_regions(np.zeros((10, v), dtype=bool))
    assert (found.n_regions, len(found.labels)) == (0, v)


def test_voxels_in_nearly_all_maps_or_none_say_nothing() -> None:
    counts = np.array([0, 1, 2, 100, 198, 199, 200])
    assert varying(counts, 200, RegionOptions(min_share=0.01)).tolist() == [0, 0, 1, 1, 1, 0, 0]
