"""Density of a part of a model at a resolution, on the grid of the maps, as ChimeraX's molmap makes it.

A Gaussian an atom, weighted with its atomic number, sampled on a grid of a third of the resolution and
interpolated from there onto the grid of the maps. The interpolation blurs slightly; it is kept because
published masks and occupancies were made so.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from cryoscape.typing import Volume

SIGMA_PER_RESOLUTION = 1 / (math.pi * math.sqrt(2))
"""The Fourier transform of the Gaussian falls to 1/e at the resolution."""
_STEPS_PER_RESOLUTION = 3
_PADDING_RESOLUTIONS = 3
_REACH_SIGMAS = 5
_ATOMS_AT_ONCE = 4096


@dataclass(frozen=True)
class MapGrid:
    """Where the voxels of a map lie: voxel [k, j, i] at origin + voxel * (i, j, k).

    Attributes
    ----------
    shape : voxels along z, y, x.
    voxel_angstrom : side of a voxel.
    origin_angstrom : position (x, y, z) of voxel [0, 0, 0].
    """

    shape: tuple[int, int, int]
    voxel_angstrom: float
    origin_angstrom: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Patch:
    """The part of a map that is not zero.

    Attributes
    ----------
    values : (z, y, x) float32.
    start : voxel of the map at which values[0, 0, 0] lies, z, y, x.
    """

    values: Volume
    start: tuple[int, int, int]

    def place(self, shape: tuple[int, int, int]) -> Volume:
        """The whole map, zero elsewhere."""
        whole = np.zeros(shape, dtype=np.float32)
        whole[self.slices] = self.values
        return whole

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Where it lies in the map."""
        z, y, x = (slice(s, s + n) for s, n in zip(self.start, self.values.shape, strict=True))
        return z, y, x


def element_map(
    coordinates_angstrom: Float[np.ndarray, "a 3"],
    electrons: Float[np.ndarray, " a"],
    resolution_angstrom: float,
    grid: MapGrid,
) -> Patch:
    """Density (electrons per cubic angstrom, nearly) of some atoms on the grid of the maps.

    Parameters
    ----------
    coordinates_angstrom
        Atoms, x y z, in the frame of the maps' origin.
    electrons
        Weight of each, the atomic number.
    resolution_angstrom
        sigma of the Gaussians is 0.225 times this.
    grid
        Of the maps; what lies outside is cut.

    Returns
    -------
    Patch
        Empty (a side of 0 voxels) where the atoms lie outside the grid.
    """
    density, origin, step = molmap(coordinates_angstrom, electrons, resolution_angstrom)
    found = density
    start = []
    for axis, (n, offset, lowest) in enumerate(
        zip(grid.shape, reversed(grid.origin_angstrom), origin[::-1], strict=True)
    ):
        weights, first = _interpolation(
            density.shape[axis], float(lowest), step, n, offset, grid.voxel_angstrom
        )
        found = np.moveaxis(np.tensordot(weights, found, axes=(1, axis)), 0, axis)
        start.append(first)
    return Patch(np.ascontiguousarray(found, dtype=np.float32), (start[0], start[1], start[2]))


def molmap(
    coordinates_angstrom: Float[np.ndarray, "a 3"],
    electrons: Float[np.ndarray, " a"],
    resolution_angstrom: float,
) -> tuple[Float[np.ndarray, "z y x"], Float[np.ndarray, " 3"], float]:
    """rho(x) = (2 pi)^(-3/2) sigma^(-3) sum_a Z_a exp(-|x - x_a|^2 / (2 sigma^2)) on the atoms' own grid.

    Each Gaussian fills the cube of 5 sigma about its atom. The grid reaches 3 resolutions beyond the
    outermost atoms, in steps of a third of the resolution.

    Returns
    -------
    density : (z, y, x)
    origin_angstrom : (3,) position x, y, z of density[0, 0, 0]
    step_angstrom
    """
    step = resolution_angstrom / _STEPS_PER_RESOLUTION
    padding = _PADDING_RESOLUTIONS * resolution_angstrom
    origin = coordinates_angstrom.min(axis=0) - padding
    extent = np.ptp(coordinates_angstrom, axis=0) + 2 * padding
    size = np.ceil(extent / step).astype(np.int64)[::-1]
    sigma = SIGMA_PER_RESOLUTION * _STEPS_PER_RESOLUTION  # in steps
    places = ((coordinates_angstrom - origin) / step)[:, ::-1]
    density = np.zeros(int(size.prod()))
    for first in range(0, len(places), _ATOMS_AT_ONCE):
        part = slice(first, first + _ATOMS_AT_ONCE)
        density += _gaussians(places[part], electrons[part], sigma, size)
    scale = (2 * math.pi) ** -1.5 * (sigma * step) ** -3
    return scale * density.reshape(size), origin, step


def _gaussians(
    places: Float[np.ndarray, "a 3"], weights: Float[np.ndarray, " a"], sigma: float, size: np.ndarray
) -> Float[np.ndarray, " v"]:
    """Sum of exp(-d^2 / 2 sigma^2) on a grid of `size` (z, y, x), flat; places and sigma in steps."""
    reach = _REACH_SIGMAS * sigma
    lowest = np.ceil(places - reach).astype(np.int64)
    index = lowest[..., None] + np.arange(math.floor(2 * reach) + 1)
    away = index - places[..., None]
    values = np.where(np.abs(away) <= reach, np.exp(-0.5 * (away / sigma) ** 2), 0.0)
    cube = np.einsum("a,ak,aj,ai->akji", weights, values[:, 0], values[:, 1], values[:, 2], optimize=False)
    z, y, x = index[:, 0, :, None, None], index[:, 1, None, :, None], index[:, 2, None, None, :]
    flat = (z * size[1] + y) * size[2] + x
    return np.bincount(flat.ravel(), weights=cube.ravel(), minlength=int(size.prod()))


def _interpolation(
    n_source: int, source_origin: float, source_step: float, n: int, origin: float, step: float
) -> tuple[Float[np.ndarray, "m s"], int]:
    """Weights that interpolate linearly from one axis onto those points of another that lie on it.

    Returns them (points within, source points), and the index of the first point within.
    """
    position = (origin + step * np.arange(n) - source_origin) / source_step
    within = np.flatnonzero((position >= 0) & (position <= n_source - 1))
    first = int(within[0]) if len(within) else 0
    weights = np.zeros((len(within), n_source))
    low = np.minimum(np.floor(position[within]).astype(np.int64), n_source - 2)
    part = position[within] - low
    rows = np.arange(len(within))
    weights[rows, low] = 1 - part
    weights[rows, low + 1] = part
    return weights, first
