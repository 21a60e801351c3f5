import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score

from cryoscape.analysis.mixture import cluster_gmm
from cryoscape.errors import InputError


def narrow_in_wide(n=1500):
    """A narrow cluster beside a wide one that surrounds it, as junk does: k-means cuts the wide one."""
    rng = np.random.default_rng(2)
    labels = (rng.random(n) < 0.3).astype(int)
    width = np.where(labels == 1, 0.15, 2.0)[:, None]
    z = width * rng.normal(size=(n, 3)) + np.where(labels == 1, 1.0, 0.0)[:, None]
    return z.astype(np.float32), labels


def test_clusters_of_unequal_width_are_found():
    z, truth = narrow_in_wide()
    found = cluster_gmm(z, 2)
    assert adjusted_mutual_info_score(truth, found.clusters.labels) > 0.8
    np.testing.assert_array_equal(found.probabilities.argmax(axis=1), found.clusters.labels)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, atol=1e-6)


def test_probabilities_are_those_of_the_planted_gaussians():
    rng = np.random.default_rng(3)
    labels = rng.integers(2, size=20_000)
    z = (rng.normal(size=20_000) + 3.0 * labels)[:, None]
    found = cluster_gmm(z, 2)
    # two unit Gaussians of equal weight at 0 and 3: the log odds are 3 z - 4.5
    expected = 1 / (1 + np.exp(-(3 * z[:, 0] - 4.5)))
    right = found.clusters.centers[:, 0].argmax()
    np.testing.assert_allclose(found.probabilities[:, right], expected, atol=0.08)


def test_fitted_to_a_subset_every_particle_is_assigned_and_a_seed_repeats():
    z, truth = narrow_in_wide()
    found = cluster_gmm(z, 2, max_fitted=300, seed=4)
    assert adjusted_mutual_info_score(truth, found.clusters.labels) > 0.7
    again = cluster_gmm(z, 2, max_fitted=300, seed=4)
    np.testing.assert_array_equal(found.probabilities, again.probabilities)


def test_scale_of_the_latents_does_not_matter():
    z, _ = narrow_in_wide()
    small = cluster_gmm(1e-6 * z, 2)
    np.testing.assert_array_equal(small.clusters.labels, cluster_gmm(z, 2).clusters.labels)


def test_no_clusters_are_refused():
    with pytest.raises(InputError, match="--gmm"):
        cluster_gmm(np.eye(3), 0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(2, 30), st.integers(1, 3), st.integers(0, 2**16))
def test_any_points_give_a_consistent_partition(k, n, zdim, seed):
    z = np.random.default_rng(seed).integers(0, 3, size=(n, zdim)).astype(np.float32)
    found = cluster_gmm(z, k, n_starts=1)
    clusters = found.clusters
    assert clusters.k <= k
    assert found.probabilities.shape == (n, clusters.k)
    np.testing.assert_array_equal(np.unique(clusters.labels), np.arange(clusters.k))
    np.testing.assert_array_equal(found.probabilities.argmax(axis=1), clusters.labels)
