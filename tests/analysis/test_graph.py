import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.analysis.graph import least_neighbours, neighbour_graph, pairs_apart, shortest_path
from cryoscape.errors import InputError


def dense_graph(z, k, average):
    """The same graph from all distances, undirected; inf where there is no edge."""
    distance = np.linalg.norm(z[:, None] - z[None], axis=2)
    n = len(z)
    np.fill_diagonal(distance, np.inf)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    lengths = np.take_along_axis(distance, order, axis=1)
    longest = np.sort(lengths.ravel())[min(round(n * average), n * k) - 1]
    edges = np.full((n, n), np.inf)
    for i in range(n):
        for j, length in zip(order[i], lengths[i], strict=True):
            if length <= longest:
                edges[i, j] = edges[j, i] = length
    return edges


def all_shortest(edges):
    """Floyd and Warshall."""
    found = edges.copy()
    np.fill_diagonal(found, 0)
    for middle in range(len(found)):
        found = np.minimum(found, found[:, middle, None] + found[None, middle])
    return found


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    zdim=st.integers(1, 4),
    k=st.integers(1, 8),
    average=st.floats(0.5, 8.0),
)
def test_paths_are_shortest_in_the_graph_of_all_distances(seed, zdim, k, average):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(40, zdim)).astype(np.float32)
    graph = neighbour_graph(z, k, average)
    edges = dense_graph(z.astype(np.float64), k, average)
    shortest = all_shortest(edges)
    anchors = [int(a) for a in rng.choice(40, size=3, replace=False)]
    apart = tuple(p for p in itertools.pairwise(anchors) if np.isinf(shortest[p]))
    assert pairs_apart(graph, anchors) == apart
    if apart:
        return
    path = shortest_path(graph, anchors)
    np.testing.assert_array_equal(path.rows[path.anchors_at], anchors)
    steps = edges[path.rows[:-1], path.rows[1:]]
    assert np.isfinite(steps).all()
    expected = sum(shortest[pair] for pair in itertools.pairwise(anchors))
    assert steps.sum() == pytest.approx(expected)
    back = shortest_path(graph, anchors[::-1])
    assert edges[back.rows[:-1], back.rows[1:]].sum() == pytest.approx(expected)


def test_a_path_follows_a_bent_cloud_where_a_line_would_leave_it():
    rng = np.random.default_rng(0)
    angle = np.linspace(0, np.pi, 600)
    z = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.01 * rng.normal(size=(600, 2))
    path = shortest_path(neighbour_graph(z, 10, 10.0), [0, 599])
    radius = np.linalg.norm(z[path.rows], axis=1)
    assert radius.min() > 0.9
    assert len(path.rows) > 20


def test_particles_at_one_point_are_joined():
    z = np.repeat(np.arange(4.0)[:, None], 3, axis=0)
    graph = neighbour_graph(z, 4, 4.0)
    path = shortest_path(graph, [0, 1, 11])
    assert path.rows[0] == 0
    assert path.rows[-1] == 11
    assert pairs_apart(graph, [0, 2]) == ()


def test_the_same_anchor_twice_in_a_row_counts_once():
    z = np.arange(6.0)[:, None]
    path = shortest_path(neighbour_graph(z, 2, 1.0), [0, 0, 3, 3])
    np.testing.assert_array_equal(path.rows, [0, 1, 2, 3])
    np.testing.assert_array_equal(path.anchors_at, [0, 3])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), gap=st.floats(3.0, 30.0), k=st.integers(1, 4))
def test_least_neighbours_join_and_one_less_does_not(seed, gap, k):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(30, 2))
    z[12:] += [gap, 0.0]
    pairs = ((0, 29),)
    average = min(float(k), 2.0)
    if not pairs_apart(neighbour_graph(z, k, average), [0, 29]):
        return
    found = least_neighbours(z, pairs, k, average)
    assert found.least is not None
    most, mean = found.least
    assert not pairs_apart(neighbour_graph(z, most, mean), [0, 29])
    assert most >= k
    assert mean >= average
    if most > k:
        assert pairs_apart(neighbour_graph(z, most - 1, float(most - 1)), [0, 29])
    if mean > average:
        assert pairs_apart(neighbour_graph(z, most, mean - 0.01 - 1 / 30), [0, 29])


def test_two_clouds_are_joined_when_neighbours_outnumber_the_smaller():
    z = np.concatenate([np.arange(7.0), 100 + np.arange(20.0)])[:, None]
    found = least_neighbours(z, ((0, 26),), 3, 3.0)
    assert found.least is not None
    assert found.least[0] == 7  # six others of its cloud, and one beyond
    assert least_neighbours(z, ((0, 26),), 3, 3.0, max_edges=27 * 6).least is None


@pytest.mark.parametrize(("k", "average", "words"), [(0, 1.0, "max-neighbors"), (3, 0.0, "avg-neighbors")])
def test_numbers_that_make_no_graph_are_refused(k, average, words):
    with pytest.raises(InputError, match=words):
        neighbour_graph(np.zeros((4, 2)), k, average)
