"""Trees cut into planted groups, their number found, and particles given to them."""

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from cryoscape.analysis.landscape_states import assign_particles, map_tree, suggest_number
from cryoscape.errors import InputError


def planted(n_groups=5, n=120, apart=8.0, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(n_groups, size=n)
    return rng.normal(size=(n, 4)) + apart * rng.normal(size=(n_groups, 4))[truth], truth


@pytest.mark.parametrize("linkage", ["average", "ward", "complete", "single"])
def test_cuts_are_those_of_another_implementation(linkage):
    points, _ = planted(seed=3)
    for n in (2, 5, 9):
        known = AgglomerativeClustering(n, linkage=linkage).fit_predict(points)
        assert adjusted_rand_score(known, map_tree(points, linkage).cut(n)) == pytest.approx(1.0)


def test_states_are_numbered_along_the_tree():
    points, _ = planted()
    tree = map_tree(points, "ward")
    labels = tree.cut(5)
    assert (np.diff(labels[tree.order]) >= 0).all()
    np.testing.assert_array_equal(np.unique(labels), np.arange(5))
    finer = tree.cut(6)
    assert all(len(np.unique(labels[finer == state])) == 1 for state in range(6))


def test_number_of_states_is_found():
    points, truth = planted(n_groups=6, apart=12.0, seed=1)
    tree = map_tree(points, "ward")
    found = suggest_number(tree, points, np.ones(len(points), dtype=np.int64))
    assert found.chosen == 6
    assert adjusted_mutual_info_score(truth, tree.cut(6)) == pytest.approx(1.0)


def test_near_ties_go_to_more_states(monkeypatch):
    scores = {2: 0.3, 3: 0.60, 4: 0.58, 5: 0.575, 6: 0.5, 7: 0.59}
    points, _ = planted(n=40)
    tree = map_tree(points, "ward")

    def silhouettes(_points, labels):
        return np.full(40, scores.get(int(labels.max()) + 1, 0.0))

    monkeypatch.setattr("sklearn.metrics.silhouette_samples", silhouettes)
    assert suggest_number(tree, points, np.ones(40, dtype=np.int64)).chosen == 5


def test_equal_maps_make_one_state():
    tree = map_tree(np.zeros((8, 2)), "ward")
    assert suggest_number(tree, np.zeros((8, 2)), np.ones(8, dtype=np.int64)).chosen == 1
    np.testing.assert_array_equal(tree.cut(4), 0)


@pytest.mark.parametrize("n", [0, 121])
def test_more_states_than_maps(n):
    with pytest.raises(InputError, match="-M"):
        map_tree(planted()[0], "ward").cut(n)


def test_particles_move_to_the_state_they_are_likelier_in():
    # noise along one axis only: states touch along it, so cells of a sketch cut through them
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=3000)
    noise = rng.normal(size=(3000, 2)) * [4.0, 0.5]
    points = np.array([[0, 0], [0, 3], [0, 6]], dtype=float)[truth] + noise
    start = np.where(rng.random(3000) < 0.25, rng.integers(3, size=3000), truth)
    found = assign_particles(points, start)
    assert (found.labels == truth).mean() > 0.99
    assert (start == truth).mean() < 0.9
    assert (found.probability > 1 / 3).all()
    assert (found.probability <= 1 + 1e-12).all()


def test_assignment_does_not_depend_on_linear_coordinates():
    points, truth = planted(n_groups=3, n=600, apart=3.0)
    start = np.where(np.arange(600) % 7 == 0, 0, truth)
    turned = points @ np.random.default_rng(1).normal(size=(4, 4)) * 1e4 + 5.0
    first, second = assign_particles(points, start), assign_particles(turned, start)
    assert (first.labels == second.labels).mean() > 0.995
    np.testing.assert_allclose(first.probability, second.probability, atol=0.02)


def test_a_part_of_the_particles_is_enough():
    points, truth = planted(n_groups=3, n=900)
    found = assign_particles(points, truth, max_fitted=200)
    assert (found.labels == truth).mean() > 0.99


def test_one_state():
    found = assign_particles(np.random.default_rng(0).normal(size=(10, 2)), np.zeros(10, dtype=np.int64))
    np.testing.assert_array_equal(found.labels, 0)
    np.testing.assert_array_equal(found.probability, 1.0)
