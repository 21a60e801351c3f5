"""Smooth reading against transforms in closed form, trilinear reading, and its own plain definition."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoscape.physics import smooth_reading
from cryoscape.physics.grids import half_plane
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.smooth_kernel import kernel_weights, smooth_window
from cryoscape.physics.smooth_reading import extract_smooth_slices, volume_to_smooth_grid
from cryoscape.physics.volume_grid import volume_to_grid

BOX, RADIUS, SIGMA_PX = 24, 9, 1.2
CENTRES_PX = torch.tensor([[8.0, 3, 1], [-6, 5, -4], [0, -9, 2]]).double()
GRID = FourierGrid(RADIUS)
K = half_plane(BOX).prefix(float(RADIUS)).k.double()
ROTATIONS = torch.from_numpy(Rotation.random(12, rng=np.random.default_rng(1)).as_matrix())


def balls() -> torch.Tensor:
    """Gaussian balls near the rim of the box, [z, y, x]."""
    axis = torch.arange(BOX).double() - BOX // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    square = [(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in CENTRES_PX]
    return sum(torch.exp(-one / (2 * SIGMA_PX**2)) for one in square)


def exact_slices() -> torch.Tensor:
    """Their transform at k @ R in closed form."""
    frequency = torch.einsum("pi,bij->bpj", K, ROTATIONS[:, :2]) / BOX
    envelope = torch.exp(-2 * (math.pi * SIGMA_PX) ** 2 * (frequency**2).sum(-1))
    phases = sum(torch.exp(-2j * math.pi * (frequency @ centre)) for centre in CENTRES_PX)
    return (2 * math.pi * SIGMA_PX**2) ** 1.5 * envelope * phases


def relative_error(found: torch.Tensor) -> float:
    exact = exact_slices()
    return float((found - exact).abs().norm() / exact.abs().norm())


def test_reading_errs_ten_times_less_than_trilinear_reading() -> None:
    trilinear = extract_slices(volume_to_grid(balls(), GRID), GRID, ROTATIONS, K)[..., 0]
    smooth = extract_smooth_slices(volume_to_smooth_grid(balls(), GRID), GRID, ROTATIONS, K)
    assert relative_error(trilinear) > 0.03
    assert relative_error(smooth) < 0.006


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_compiled_loop_is_the_plain_definition(n_threads: int) -> None:
    """Also at slices through the axes, where points lie at x = 0 and beside it at x = -1."""
    torch.set_num_threads(n_threads)
    turns = torch.cat([torch.eye(3)[None].double(), ROTATIONS])
    values = volume_to_smooth_grid(balls(), GRID)
    found = extract_smooth_slices(values.float(), GRID, turns.float(), K.float())
    plain = smooth_reading._read(values[:, 0], GRID, turns.float().double(), K)
    torch.testing.assert_close(found, plain.to(found.dtype), rtol=1e-4, atol=1e-4)


def test_slices_beyond_the_grid_or_of_no_rotation_are_zero() -> None:
    values = volume_to_smooth_grid(balls().float(), GRID)
    broken = torch.full((1, 3, 3), torch.nan)
    assert float(extract_smooth_slices(values, GRID, broken, K.float()).abs().max()) == 0


def test_weights_of_a_constant_sum_to_the_window_at_the_origin() -> None:
    """Poisson's sum: to the kernel's alias at whole frequencies, under half a per cent here."""
    offset = torch.linspace(-0.5, 0.5, 21).double()
    total = kernel_weights(offset).sum(-1)
    at_origin = float(smooth_window(BOX, GRID.oversampling)[BOX // 2, BOX // 2, BOX // 2]) ** (1 / 3)
    np.testing.assert_allclose(total, at_origin, rtol=6e-3)


def test_weights_mirror() -> None:
    offset = torch.linspace(-0.5, 0.5, 11).double()
    torch.testing.assert_close(kernel_weights(offset), kernel_weights(-offset).flip(-1), rtol=1e-6, atol=1e-6)
