"""Components of maps against a plain singular value decomposition, and the two routes against each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from cryoscape.analysis.landscape import (
    components_of_linear_maps,
    components_of_maps,
    sketch_latents,
)
from cryoscape.errors import InputError


def distances(x):
    return np.linalg.norm(x[:, None] - x[None], axis=2)


def test_components_are_those_of_a_decomposition_of_the_maps():
    maps = np.random.default_rng(0).normal(size=(12, 700)).astype(np.float32) * np.linspace(0.1, 2, 700)
    maps = maps.astype(np.float32)
    found = components_of_maps(maps, 4)
    known = PCA(11).fit(maps.astype(np.float64))
    np.testing.assert_allclose(found.explained, known.explained_variance_ratio_, rtol=1e-5)
    np.testing.assert_allclose(found.center, maps.mean(axis=0), atol=1e-6)
    overlap = np.abs(np.sum(found.axes * known.components_[:4], axis=1))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-5)
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(4), atol=1e-5)
    np.testing.assert_allclose(found.project(maps), found.coordinates[:, :4], atol=1e-4)
    assert (np.take_along_axis(found.axes, np.abs(found.axes).argmax(axis=1)[:, None], axis=1) > 0).all()


def test_chunks_of_voxels_do_not_matter(monkeypatch):
    maps = np.random.default_rng(1).normal(size=(9, 333)).astype(np.float32)
    whole = components_of_maps(maps, 3)
    monkeypatch.setattr("cryoscape.analysis.landscape._CHUNK_BYTES", 9 * 8 * 10)
    parts = components_of_maps(maps, 3)
    np.testing.assert_allclose(parts.coordinates, whole.coordinates, atol=1e-9)
    np.testing.assert_allclose(parts.axes, whole.axes, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), q=st.integers(1, 5), k=st.integers(3, 12))
def test_linear_maps_need_no_maps(seed, q, k):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(k, q)).astype(np.float32)
    mean, bases = rng.normal(size=60).astype(np.float32), rng.normal(size=(q, 60)).astype(np.float32)
    maps = (mean + z @ bases).astype(np.float32)
    slow = components_of_maps(maps, q)
    fast, linear = components_of_linear_maps(z, mean, bases, q)
    np.testing.assert_allclose(distances(fast.coordinates), distances(maps.astype(np.float64)), atol=2e-4)
    np.testing.assert_allclose(distances(slow.coordinates), distances(maps.astype(np.float64)), atol=2e-4)
    np.testing.assert_allclose(linear.at(z), fast.coordinates[:, :q], atol=1e-9)
    np.testing.assert_allclose(fast.project(maps), linear.at(z), atol=1e-3)
    rank = min(q, k - 1)
    np.testing.assert_allclose(fast.explained[:rank], slow.explained[:rank], atol=1e-4)


def test_both_routes_give_the_same_numbers_where_components_differ_in_strength():
    rng = np.random.default_rng(3)
    z = (rng.normal(size=(40, 3)) * [5, 2, 0.7]).astype(np.float32)
    mean = rng.normal(size=500).astype(np.float32)
    bases = np.linalg.qr(rng.normal(size=(500, 3)))[0].T.astype(np.float32)
    slow = components_of_maps((mean + z @ bases).astype(np.float32), 3)
    fast, _ = components_of_linear_maps(z, mean, bases, 3)
    np.testing.assert_allclose(fast.coordinates, slow.coordinates[:, :3], atol=1e-4)
    np.testing.assert_allclose(fast.axes, slow.axes, atol=1e-4)
    np.testing.assert_allclose(fast.center, slow.center, atol=1e-5)


def test_equal_maps_have_no_components():
    assert components_of_maps(np.ones((5, 20), np.float32), 3).coordinates.shape == (5, 0)
    none, linear = components_of_linear_maps(
        np.ones((5, 2), np.float32), np.ones(20, np.float32), np.ones((2, 20), np.float32), 3
    )
    assert none.coordinates.shape == (5, 0)
    assert linear.at(np.ones((7, 2), np.float32)).shape == (7, 0)


def test_bases_that_repeat_each_other_are_one_component():
    z = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    basis = np.random.default_rng(1).normal(size=30).astype(np.float32)
    found, linear = components_of_linear_maps(z, np.zeros(30, np.float32), np.stack([basis, 2 * basis]), 2)
    assert found.coordinates.shape == (10, 1)
    known = (z[:, 0] + 2 * z[:, 1]) * np.linalg.norm(basis)
    np.testing.assert_allclose(np.abs(linear.at(z)[:, 0]), np.abs(known - known.mean()), rtol=1e-4)


def test_sketch_follows_the_particles_and_a_part_of_them_is_enough():
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(size=(900, 2)), rng.normal(size=(100, 2)) + 20]).astype(np.float32)
    for most in (10_000, 300):
        found = sketch_latents(z, 20, seed=1, max_fitted=most)
        assert found.counts.sum() == 1000
        assert found.k <= 20
        far = found.centers[:, 0] > 10
        assert found.counts[far].sum() == 100
        np.testing.assert_array_equal(found.labels[found.center_rows], np.arange(found.k))


def test_fewer_particles_than_points_are_their_own_points():
    z = np.repeat(np.arange(5, dtype=np.float32)[:, None], 4, axis=0)
    found = sketch_latents(z, 1000)
    assert (found.k, found.requested) == (5, 1000)
    np.testing.assert_array_equal(found.counts, 4)


@pytest.mark.parametrize(("k", "n", "said"), [(2, 30, "-N"), (10, 2, "distinct")])
def test_too_few_points(k, n, said):
    z = np.repeat(np.arange(n, dtype=np.float32)[:, None], 3, axis=0)
    with pytest.raises(InputError, match=said):
        sketch_latents(z, k)
