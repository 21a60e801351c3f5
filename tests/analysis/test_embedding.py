import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from cryoscape.analysis.embedding import (
    _place,
    check_latents,
    principal_components,
    umap_embedding,
    umap_seconds,
)
from cryoscape.errors import InputError


def planted(n=600, k=4, zdim=5, seed=0):
    rng = np.random.default_rng(seed)
    centers = 6 * rng.normal(size=(k, zdim))
    labels = rng.integers(k, size=n)
    return (centers[labels] + 0.5 * rng.normal(size=(n, zdim))).astype(np.float32), labels


def test_components_of_a_known_ellipsoid():
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    x = rng.normal(size=(20_000, 3)) * [3.0, 2.0, 1.0]
    found = principal_components(x @ axes.T + 5.0)
    np.testing.assert_allclose(found.variance, [9, 4, 1], rtol=0.05)
    np.testing.assert_allclose(found.explained, np.array([9, 4, 1]) / 14, atol=0.01)
    np.testing.assert_allclose(np.abs(np.sum(found.axes * axes.T, axis=1)), 1.0, atol=2e-3)
    assert (found.axes[np.arange(3), np.abs(found.axes).argmax(axis=1)] > 0).all()


def test_variance_of_scores_and_round_trip():
    z, _ = planted()
    found = principal_components(z)
    np.testing.assert_allclose(found.scores.var(axis=0, ddof=1), found.variance, rtol=1e-9)
    np.testing.assert_allclose(found.inverse(found.scores), z, atol=1e-5)
    np.testing.assert_allclose(found.transform(z[:3]), found.scores[:3], atol=1e-5)
    assert found.explained.sum() == pytest.approx(1.0)


def test_identical_particles_have_no_variance():
    found = principal_components(np.ones((5, 2)))
    np.testing.assert_array_equal(found.explained, [0, 0])


def test_umap_keeps_planted_clusters_apart_and_repeats_for_a_seed():
    z, labels = planted()
    layout = umap_embedding(z, seed=3, n_epochs=60)
    assert layout.shape == (600, 2)
    assert layout.dtype == np.float32
    found = KMeans(4, n_init=5, random_state=0).fit_predict(layout)
    assert adjusted_mutual_info_score(labels, found) > 0.95
    np.testing.assert_array_equal(layout, umap_embedding(z, seed=3, n_epochs=60))


def test_umap_of_few_particles():
    assert np.isfinite(umap_embedding(np.random.default_rng(0).normal(size=(6, 4)), n_epochs=20)).all()
    with pytest.raises(InputError, match="at least 5"):
        umap_embedding(np.zeros((3, 4)))


def test_umap_beyond_the_limit_places_the_rest_with_its_neighbours():
    z, labels = planted(n=900)
    layout = umap_embedding(z, n_epochs=60, max_whole=400, n_fitted=300)
    assert layout.shape == (900, 2)
    assert len(np.unique(layout, axis=0)) > 850
    found = KMeans(4, n_init=5, random_state=0).fit_predict(layout)
    assert adjusted_mutual_info_score(labels, found) > 0.95


@pytest.mark.parametrize(
    ("z", "words"),
    [
        (np.zeros(5), r"table \(n, zdim\)"),
        (np.zeros((1, 3)), "at least 2"),
        (np.array([[0.0], [np.nan], [1.0]]), r"1 of 3 .* rows \[1\]"),
    ],
)
def test_unusable_latents_are_named(z, words):
    with pytest.raises(InputError, match=rf"z\.pkl.*{words}"):
        check_latents(z, "z.pkl")


def test_a_particle_between_islands_of_the_layout_is_put_on_one():
    fitted = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [90.0, 0.0]])
    index = np.array([[0, 1, 2], [1, 0, 2], [0, 1, 3], [3, 0, 1]])
    distance = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [1.0, 2.0, 2.0]])
    found = _place(distance, index, fitted)
    np.testing.assert_allclose(found, [[1 / 3, 1 / 3], [1, 0], [0.5, 0], [90, 0]], atol=1e-5)


def test_time_of_umap_grows_with_the_particles_laid_out():
    assert 40 < umap_seconds(131_899) < 100
    assert umap_seconds(1_000_000) < 2 * umap_seconds(500_000)
