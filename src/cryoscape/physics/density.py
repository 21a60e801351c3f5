"""Density of an atomic model on a grid: one Gaussian an atom, exact up to Nyquist."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.fft import next_fast_len
from torch import Tensor

from cryoscape.physics.compiled_loops import compiled

_KERNEL_SIGMA = 1.0
"""Width of the spreading kernel on the fine grid: aliases reach 5e-5 of the signal at Nyquist."""
_KERNEL_REACH = 5
_FINER = 2


def atom_density(
    coordinates: Float[Tensor, "a 3"],
    amplitudes: Float[Tensor, " a"],
    sigma_angstrom: float,
    box_size: int,
    pixel_size_angstrom: float,
    origin_angstrom: Sequence[float] | None = None,
) -> tuple[Float[Tensor, "z y x"], int]:
    """Sum a Gaussian of the same width at each atom: rho(x) = sum_a A_a N(x; x_a, sigma^2).

    Atoms are spread with a narrow kernel on a grid twice as fine, and the kernel is exchanged for the wanted
    Gaussian in Fourier space (a non-uniform Fourier transform; Greengard & Lee 2004), so Fourier coefficients
    below Nyquist are those of the Gaussians themselves however narrow these are. Above Nyquist there is
    nothing: with sigma under about 0.8 voxels the map shows the ripples of a band limit. Not periodic.

    Parameters
    ----------
    coordinates
        Atoms (x, y, z) in angstrom.
    amplitudes
        Integral of each Gaussian, for example the number of electrons.
    sigma_angstrom
        Standard deviation; ChimeraX's molmap has 0.225 times the resolution.
    box_size, pixel_size_angstrom
        Side of the map in voxels, and a voxel in angstrom.
    origin_angstrom
        Position (x, y, z) of voxel [0, 0, 0]; by default that which puts 0 at voxel D // 2.

    Returns
    -------
    density
        Amplitude per cubic angstrom, shape (D, D, D), type and device of the coordinates.
    n_dropped
        Number of atoms outside the box, which are left out.
    """
    size = float(pixel_size_angstrom)
    if origin_angstrom is None:
        origin_angstrom = (-(box_size // 2) * size,) * 3
    origin = torch.tensor(list(origin_angstrom), dtype=torch.float64)
    voxels = (coordinates.detach().cpu().double() - origin) / size
    inside = ((voxels >= -0.5) & (voxels < box_size - 0.5)).all(dim=1)
    # room for tails, so that none re-enters on the other side
    margin = math.ceil(6 * sigma_angstrom / size) + _KERNEL_REACH
    wide = _even_fast_length(box_size + 2 * margin)
    fine = torch.zeros((_FINER * wide,) * 3, dtype=torch.float32)
    weights = amplitudes.detach().cpu().double()[inside] * (_FINER / size) ** 3
    _splat(
        ((voxels[inside] + margin) * _FINER).numpy(),
        weights.numpy(),
        fine.numpy(),
        _KERNEL_SIGMA,
        _KERNEL_REACH,
    )
    density = _exchange_kernel(fine, wide, sigma_angstrom / size)
    cut = slice(margin, margin + box_size)
    return density[cut, cut, cut].contiguous().to(coordinates), int((~inside).sum())


def _even_fast_length(n: int) -> int:
    return 2 * int(next_fast_len((n + 1) // 2, real=True))


def _exchange_kernel(fine: Tensor, wide: int, sigma_voxels: float) -> Float[Tensor, "z y x"]:
    """Crop the spectrum of the fine grid to ``wide`` and make the kernel a Gaussian of ``sigma_voxels``."""
    half = wide // 2
    spectrum = torch.fft.rfftn(fine)
    keep = torch.cat([torch.arange(half), torch.arange(len(fine) - half, len(fine))])
    spectrum = spectrum[:, :, : half + 1].index_select(0, keep).index_select(1, keep)
    frequency = torch.fft.fftfreq(wide, dtype=torch.float64)
    exponent = -2 * math.pi**2 * (sigma_voxels**2 - (_KERNEL_SIGMA / _FINER) ** 2)
    filter_1d = torch.exp(exponent * frequency**2)
    filter_1d[half] = 0  # Nyquist is its own opposite and would break the symmetry
    filter_1d = filter_1d.float()
    spectrum *= filter_1d[:, None, None] * filter_1d[:, None] * filter_1d[: half + 1]
    return torch.fft.irfftn(spectrum, s=(wide,) * 3) / _FINER**3


@compiled()
def _splat(positions, weights, grid, sigma, reach):  # type: ignore[no-untyped-def]
    """Add a Gaussian of unit sum, cut at ``reach`` voxels, at each position (x, y, z) in voxels."""
    width = 2 * reach + 1
    kernel = np.empty((3, width), np.float32)
    norm = 1.0 / (sigma * math.sqrt(2 * math.pi))
    for a in range(positions.shape[0]):
        x0 = math.floor(positions[a, 0] + 0.5) - reach
        y0 = math.floor(positions[a, 1] + 0.5) - reach
        z0 = math.floor(positions[a, 2] + 0.5) - reach
        for i in range(width):
            kernel[0, i] = norm * math.exp(-0.5 * ((x0 + i - positions[a, 0]) / sigma) ** 2)
            kernel[1, i] = norm * math.exp(-0.5 * ((y0 + i - positions[a, 1]) / sigma) ** 2)
            kernel[2, i] = norm * math.exp(-0.5 * ((z0 + i - positions[a, 2]) / sigma) ** 2)
        for k in range(width):
            wz = np.float32(weights[a]) * kernel[2, k]
            for j in range(width):
                w = wz * kernel[1, j]
                for i in range(width):
                    grid[z0 + k, y0 + j, x0 + i] += w * kernel[0, i]
