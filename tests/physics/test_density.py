"""Density of atoms against Gaussians in closed form, in real space and in Fourier space."""

import math

import pytest
import torch

from cryoscape.physics.density import atom_density
from cryoscape.physics.fourier import fourier_3d
from cryoscape.physics.grids import frequency_grid_3d

BOX, PIXEL = 24, 1.7


def atoms(n=30, extent=0.25, seed=0):
    generator = torch.Generator().manual_seed(seed)
    position = (torch.rand(n, 3, generator=generator, dtype=torch.float64) - 0.5) * 2 * extent * BOX * PIXEL
    return position, torch.randint(1, 20, (n,), generator=generator).double()


def gaussians(position, amplitude, sigma):
    """rho at every voxel by the formula, (z, y, x)."""
    axis = PIXEL * (torch.arange(BOX, dtype=torch.float64) - BOX // 2)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    grid = torch.stack([x, y, z], dim=-1)
    out = torch.zeros(BOX, BOX, BOX, dtype=torch.float64)
    for p, a in zip(position, amplitude, strict=True):
        out += a * torch.exp(-((grid - p) ** 2).sum(-1) / (2 * sigma**2))
    return out / (2 * math.pi * sigma**2) ** 1.5


def test_wide_gaussians_are_those_of_the_formula_at_every_voxel():
    position, amplitude = atoms()
    sigma = 1.6 * PIXEL
    density, dropped = atom_density(position, amplitude, sigma, BOX, PIXEL)
    truth = gaussians(position, amplitude, sigma)
    assert dropped == 0
    assert density.dtype == torch.float64
    assert (density - truth).abs().max() < 1e-4 * truth.max()


@pytest.mark.parametrize("sigma_voxels", [0.0, 0.3, 0.5, 0.9])
def test_fourier_coefficients_of_narrow_gaussians_are_exact_below_nyquist(sigma_voxels):
    position, amplitude = atoms(n=1, extent=0.05)
    density, _ = atom_density(position, amplitude, sigma_voxels * PIXEL, 64, PIXEL)
    k = frequency_grid_3d(64, torch.float64) / (64 * PIXEL)
    exact = amplitude[0] * torch.exp(
        -2 * math.pi**2 * (sigma_voxels * PIXEL) ** 2 * (k**2).sum(-1) - 2j * math.pi * (k @ position[0])
    )
    found = fourier_3d(density) * PIXEL**3
    below = k.abs().amax(-1) < 0.4 / PIXEL  # the box cuts the ripples of the band limit
    error = (found - exact)[below].abs().max() / amplitude[0]
    assert error < (5e-3 if sigma_voxels >= 0.5 else 3e-2)


def test_integral_is_the_sum_of_the_amplitudes():
    position, amplitude = atoms()
    density, _ = atom_density(position, amplitude, 2.0, BOX, PIXEL)
    assert float(density.sum()) * PIXEL**3 == pytest.approx(float(amplitude.sum()), rel=1e-4)


def test_origin_is_the_position_of_the_first_voxel_and_axes_are_z_y_x():
    position = torch.tensor([[10.0 + 3 * PIXEL, 20.0 + 5 * PIXEL, 30.0 + 9 * PIXEL]])
    density, dropped = atom_density(position, torch.ones(1), 1.5, BOX, PIXEL, (10.0, 20.0, 30.0))
    assert dropped == 0
    assert tuple(map(int, torch.unravel_index(density.argmax(), density.shape))) == (9, 5, 3)


def test_atoms_outside_are_dropped_and_tails_do_not_come_back_on_the_other_side():
    edge = (BOX - 1 - BOX // 2) * PIXEL
    position = torch.tensor([[edge, 0.0, 0.0], [edge + 2 * PIXEL, 0.0, 0.0], [0.0, -1e3, 0.0]])
    density, dropped = atom_density(position, torch.ones(3), 1.5 * PIXEL, BOX, PIXEL)
    assert dropped == 2
    assert density[:, :, : BOX // 2].abs().max() < 1e-4 * density.max()
    peak = float(gaussians(position[:1].double(), torch.ones(1), 1.5 * PIXEL).max())
    assert float(density.max()) == pytest.approx(peak, rel=1e-3)


def test_no_atoms_give_an_empty_map():
    density, dropped = atom_density(torch.zeros(0, 3), torch.zeros(0), 1.0, 8, 1.0)
    assert density.shape == (8, 8, 8)
    assert dropped == 0
    assert not density.any()
