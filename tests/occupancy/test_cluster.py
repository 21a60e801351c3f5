"""Scales, trees and cuts against scipy's own functions, hand counts and groups that were put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

from cryoscape.errors import InputError
from cryoscape.occupancy.cluster import cophenetic_correlation, grow_tree, rescale, suggested_number


def groups(n_groups: int, noise: float = 0.05, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """120 maps of as many states as asked for, each with some of 24 elements; and their states."""
    rng = np.random.default_rng(seed)
    states = rng.random((n_groups, 24)) > 0.5
    labels = np.arange(120) % n_groups
    return states[labels] + rng.normal(0, noise, (120, 24)), labels


def test_the_published_scale() -> None:
    table = np.arange(101.0)[None].repeat(2, axis=0) * [[1.0], [1.0]]
    found = rescale(table)
    np.testing.assert_allclose(found[0, [0, 10, 50, 90, 100]], [0, 0, 0.5, 1, 1])


def test_scales_by_element() -> None:
    table = np.stack([np.arange(11.0), 100 - 10 * np.arange(11.0), np.full(11, 3.0)], axis=1)
    column = rescale(table, "column")
    np.testing.assert_allclose(column[[0, 1, 5, 9, 10], 0], [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(column[:, 1], 1 - column[:, 0])
    np.testing.assert_array_equal(column[:, 2], 0)
    np.testing.assert_allclose(rescale(table, "minmax")[:, 0], np.arange(11) / 10)
    z = rescale(table, "zscore")
    np.testing.assert_allclose([z[:, 0].mean(), z[:, 0].std(), z[:, 2].std()], [0, 1, 0], atol=1e-12)
    np.testing.assert_array_equal(rescale(table, "none"), table)


def test_percentiles_must_rise() -> None:
    with pytest.raises(InputError, match="--percentiles 90 10"):
        rescale(np.eye(3), "global", (90.0, 10.0))


@pytest.mark.parametrize("method", ["ward", "average", "complete", "single"])
def test_cuts_are_those_of_scipy(method: str) -> None:
    items, _ = groups(5, noise=0.3)
    tree = grow_tree(items, method)  # type: ignore[arg-type]
    links = linkage(items, method=method, metric="euclidean")
    for n in (1, 2, 5, 9):
        expected = fcluster(links, n, criterion="maxclust")
        assert adjusted_rand_score(expected, tree.cut_to(n)) == 1
        assert adjusted_rand_score(expected, tree.cut(tree.threshold_for(n))) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 25), st.integers(0, 1000), st.integers(1, 30))
def test_classes_are_runs_of_leaves_numbered_along_them(n: int, seed: int, k: int) -> None:
    tree = grow_tree(np.random.default_rng(seed).normal(size=(n, 3)))
    assert sorted(tree.order.tolist()) == list(range(n))
    along = tree.cut_to(k)[tree.order]
    assert along[0] == 0
    assert set(np.diff(along).tolist()) <= {0, 1}
    assert along[-1] + 1 == min(k, n)


def test_fuller_maps_come_first() -> None:
    items, _ = groups(6)
    means = items[grow_tree(items).order].mean(axis=1)
    assert np.corrcoef(means, np.arange(120))[0, 1] < 0


@pytest.mark.parametrize("n_groups", [2, 4, 8, 14])
@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_the_number_of_groups_is_suggested(n_groups: int, noise: float) -> None:
    items, labels = groups(n_groups, noise)
    tree = grow_tree(items)
    assert suggested_number(tree) == n_groups
    assert adjusted_rand_score(labels, tree.cut_to(n_groups)) == 1
    assert cophenetic_correlation(tree, items) > 0.6


def test_few_items() -> None:
    assert suggested_number(grow_tree(np.eye(2))) == 2
    assert suggested_number(grow_tree(np.eye(3))) == 2
    assert grow_tree(np.ones((4, 2))).cut_to(2).tolist() == [0, 0, 0, 0]
    with pytest.raises(InputError, match="2 items"):
        grow_tree(np.ones((1, 2)))
