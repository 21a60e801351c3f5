"""Maps for latents that are given: the true labels, none, and latents in other coordinates."""

import numpy as np
import pytest
import torch

from cryoscape.engines.subspace.given_latents import maps_for_latents
from cryoscape.physics.masks import soft_sphere

from .conftest import BOX, Balls, make_balls


def labels(balls: Balls) -> np.ndarray:
    """Which state, as contrasts with the first."""
    return np.stack([balls.state == 1, balls.state == 2], axis=1).astype(np.float32)


def test_without_latents_it_is_the_mean_map(balls: Balls) -> None:
    found = maps_for_latents(balls.store, np.zeros((balls.store.n, 0), np.float32))
    assert found.bases.shape == (0, BOX, BOX, BOX)
    truth = balls.mean_volume()
    assert np.corrcoef(found.mean.ravel(), truth.ravel())[0, 1] > 0.98
    assert (found.mean * truth).sum() / (truth**2).sum() == pytest.approx(1, abs=0.1)


def test_true_labels_give_the_true_maps(balls: Balls) -> None:
    found = maps_for_latents(balls.store, labels(balls))
    for state, z in enumerate([[0, 0], [1, 0], [0, 1]]):
        volume = found.volumes(np.array([z], np.float32))[0]
        assert np.corrcoef(volume.ravel(), balls.volume(state).ravel())[0, 1] > 0.98
        difference = balls.volume(state) - balls.mean_volume()
        mine = volume - found.volumes(labels(balls).mean(0, keepdims=True))[0]
        assert (mine * difference).sum() / (difference**2).sum() == pytest.approx(0.92, abs=0.15)


def test_other_coordinates_of_the_latents_give_the_same_maps(balls: Balls) -> None:
    z = labels(balls)
    turn, shift = np.array([[3.0, 0.5], [-1.0, 0.2]], np.float32), np.array([10.0, -4.0], np.float32)
    plain = maps_for_latents(balls.store, z)
    other = maps_for_latents(balls.store, z @ turn + shift)
    wanted = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    a, b = plain.volumes(wanted), other.volumes(wanted @ turn + shift)
    # power is shared among the whitened latents, which depend on the turn: equal up to regularisation
    assert np.abs(a - b).max() < 0.05 * np.abs(a).max()


def test_latents_known_badly_change_maps_less() -> None:
    """Covariance adds to what bases must explain: the same data give smaller bases per unit of z."""
    balls = make_balls(300)
    z, sure = labels(balls), np.zeros((300, 2, 2), np.float32)
    exact = maps_for_latents(balls.store, z)
    given = maps_for_latents(balls.store, z, sure)
    np.testing.assert_allclose(given.bases, exact.bases, atol=1e-5 * np.abs(exact.bases).max())
    unsure = maps_for_latents(balls.store, z, sure + 0.3 * np.eye(2, dtype=np.float32))
    assert np.linalg.norm(unsure.bases) < 0.7 * np.linalg.norm(exact.bases)


def test_maps_differ_within_the_mask_given(balls: Balls) -> None:
    mask = soft_sphere(BOX, 4.0, 1.0)
    found = maps_for_latents(balls.store, labels(balls), mask=mask)
    outside = (torch.nn.functional.max_pool3d(mask[None], 3, 1, 1)[0] == 0).numpy()
    assert np.abs(found.bases[:, outside]).max() < 0.02 * np.abs(found.bases).max()
