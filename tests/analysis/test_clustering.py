import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score

from cryoscape.analysis.clustering import cluster_kmeans, clusters_from_labels, similarity_order
from cryoscape.errors import InputError


def planted(k=6, n=900, zdim=4):
    rng = np.random.default_rng(1)
    centers = 8 * rng.normal(size=(k, zdim))
    labels = rng.integers(k, size=n)
    return (centers[labels] + 0.4 * rng.normal(size=(n, zdim))).astype(np.float32), labels


def check_consistent(z, clusters):
    np.testing.assert_array_equal(np.unique(clusters.labels), np.arange(clusters.k))
    np.testing.assert_array_equal(clusters.labels[clusters.center_rows], np.arange(clusters.k))
    np.testing.assert_array_equal(z[clusters.center_rows], clusters.centers)
    np.testing.assert_array_equal(clusters.counts, np.bincount(clusters.labels))


def test_planted_clusters_are_found():
    z, labels = planted()
    clusters = cluster_kmeans(z, 6)
    assert adjusted_mutual_info_score(labels, clusters.labels) == pytest.approx(1.0)
    check_consistent(z, clusters)
    for i in range(6):
        members = np.flatnonzero(clusters.labels == i)
        distance = np.linalg.norm(z[members] - z[members].mean(axis=0), axis=1)
        assert clusters.center_rows[i] == members[distance.argmin()]


def test_same_seed_same_clusters():
    z, _ = planted()
    np.testing.assert_array_equal(cluster_kmeans(z, 20, seed=5).labels, cluster_kmeans(z, 20, seed=5).labels)


def test_more_clusters_than_distinct_particles():
    z = np.repeat(np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]]), 4, axis=0)
    clusters = cluster_kmeans(z, 20)
    assert (clusters.k, clusters.requested) == (3, 20)
    check_consistent(z, clusters)
    assert cluster_kmeans(z[:2], 20).k == 1


def test_no_clusters_are_refused():
    with pytest.raises(InputError, match="at least 1"):
        cluster_kmeans(np.eye(3), 0)


def test_order_follows_a_line():
    points = np.random.default_rng(0).permutation(np.arange(12.0))[:, None] * [1.0, 0.0]
    order = similarity_order(points)
    np.testing.assert_array_equal(points[order, 0], np.arange(12.0))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=40), st.integers(0, 2**16))
def test_any_labelling_becomes_a_consistent_partition(labels, seed):
    labels = np.array(labels)
    z = np.random.default_rng(seed).normal(size=(len(labels), 3))
    clusters = clusters_from_labels(z, labels)
    check_consistent(z, clusters)
    assert adjusted_mutual_info_score(labels, clusters.labels) == pytest.approx(1.0)
