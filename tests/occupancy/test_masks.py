"""Masks against loops over all pairs of voxels."""

import itertools

import numpy as np
import pytest

from cryoscape.occupancy.masks import MaskConfig, make_mask, mask_of_patch, raised_cosine_low_pass
from cryoscape.occupancy.model import Patch

SHAPE = (9, 8, 10)


def brute_force(density: np.ndarray, threshold: float, extend: float, edge: float) -> np.ndarray:
    """The documented steps, one voxel at a time."""
    voxels = list(itertools.product(*map(range, density.shape)))
    inside = density >= threshold

    def nearest(to: np.ndarray, at: tuple[int, ...]) -> float:
        places = np.argwhere(to)
        return float(((places - at) ** 2).sum(axis=1).min()) if len(places) else np.inf

    grown = inside.copy()
    for at in voxels:
        if extend > 0 and nearest(inside, at) < extend**2:
            grown[at] = True
        if extend < 0 and nearest(~inside, at) < extend**2:
            grown[at] = False
    mask = grown.astype(float)
    for at in voxels:
        square = nearest(grown, at)
        if not grown[at] and square < edge**2:
            mask[at] = 0.5 + 0.5 * np.cos(np.pi * np.sqrt(square) / edge)
    return mask


@pytest.fixture(scope="module")
def density() -> np.ndarray:
    rng = np.random.default_rng(4)
    values = np.zeros(SHAPE, np.float32)
    values[2:7, 3:6, 4:9] = rng.random((5, 3, 5))
    values[8, 0, 0] = 1.0  # a corner, where the mask runs out of the box
    return values


@pytest.mark.parametrize("edge", [0.0, 2.0, 3.5])
@pytest.mark.parametrize("extend", [-1.5, -1.0, 0.0, 1.0, 2.5, 3.0])
def test_extension_and_edge_as_by_brute_force(density: np.ndarray, extend: float, edge: float) -> None:
    found = make_mask(density, 1.0, MaskConfig(threshold=0.3, extend_px=extend, edge_px=edge))
    np.testing.assert_allclose(found, brute_force(density, 0.3, extend, edge), atol=1e-6)


def test_defaults_give_ones_at_and_above_the_threshold(density: np.ndarray) -> None:
    density = density.copy()
    density[0, 0, 0] = np.float32(0.01)
    found = make_mask(density, 1.0, MaskConfig())
    np.testing.assert_array_equal(found, density >= np.float32(0.01))
    assert found[0, 0, 0] == 1
    assert found.dtype == np.float32
    assert set(np.unique(found)) == {0.0, 1.0}


def test_inverted(density: np.ndarray) -> None:
    config = {"threshold": 0.3, "extend_px": 1.0, "edge_px": 2.0}
    plain, inverse = (make_mask(density, 1.0, MaskConfig(**config, invert=x)) for x in (False, True))
    np.testing.assert_allclose(plain + inverse, 1)


def test_nothing_above_the_threshold_and_everything() -> None:
    assert not make_mask(np.zeros(SHAPE, np.float32), 1.0, MaskConfig(edge_px=2.0, extend_px=2.0)).any()
    assert make_mask(np.ones(SHAPE, np.float32), 1.0, MaskConfig(edge_px=2.0, extend_px=-2.0)).all()


def test_the_mask_of_a_patch_is_that_of_the_whole_map(density: np.ndarray) -> None:
    patch = Patch(density[2:7, 3:6, 4:9], (2, 3, 4))
    whole = patch.place(SHAPE)
    config = MaskConfig(threshold=0.5, extend_px=1.0, edge_px=2.0, lowpass_angstrom=6.0)
    np.testing.assert_array_equal(mask_of_patch(patch, SHAPE, 2.0, config), make_mask(whole, 2.0, config))


@pytest.mark.parametrize(("shell", "kept"), [(1, 1.0), (3, 1.0), (4, 0.5), (5, 0.0), (6, 0.0)])
def test_low_pass_keeps_waves_by_their_shell(shell: int, kept: float) -> None:
    """A wave of so many periods across 16 voxels of 2 A, cut at 8 A: at shell 4, two shells wide."""
    wave = np.broadcast_to(np.cos(2 * np.pi * shell * np.arange(16) / 16), (16, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(raised_cosine_low_pass(wave, 2.0, 8.0), kept * wave, atol=1e-6)
