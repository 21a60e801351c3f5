"""Occupancies as a function of latents, against maps that were made."""

import numpy as np

from cryoscape.occupancy.measure import gather_masks, occupancies
from cryoscape.occupancy.particles import linear_occupancies


def test_occupancies_of_latents_are_those_of_their_maps() -> None:
    rng = np.random.default_rng(0)
    mean, bases = rng.normal(size=(8, 8, 8)), rng.normal(size=(3, 8, 8, 8))
    masks = gather_masks(
        [("a", (rng.random((8, 8, 8)) > 0.8).astype(np.float32)), ("b", rng.random((8, 8, 8)).astype("f4"))],
        (8, 8, 8),
        [2.0, 3.0],
    )
    z = rng.normal(size=(50, 3)).astype(np.float32)
    maps = mean + np.tensordot(z, bases, axes=1)
    found = linear_occupancies(mean.astype("f4"), bases.astype("f4"), masks).at(z)
    np.testing.assert_allclose(found, occupancies(maps.astype("f4"), masks), atol=1e-4)
    assert found.shape == (50, 2)


def test_a_run_without_components_has_one_map() -> None:
    mask = np.zeros((4, 4, 4), np.float32)
    mask[1] = 1
    masks = gather_masks([("a", mask)], (4, 4, 4))
    mean, none = np.ones((4, 4, 4), np.float32), np.zeros((0, 4, 4, 4), np.float32)
    found = linear_occupancies(mean, none, masks).at(np.zeros((5, 0), np.float32))
    np.testing.assert_array_equal(found, np.full((5, 1), 16.0))
