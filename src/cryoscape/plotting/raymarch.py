"""Compiled kernels that follow parallel rays through a map to its surface."""

from typing import no_type_check

import numba
import numpy as np
from scipy import ndimage

FARTHEST = 255
"""Distances to the surface are kept in a byte."""


@numba.njit(cache=True, fastmath=True, inline="always")
@no_type_check
def _sample(volume, x, y, z):
    """Trilinear density at (x, y, z) in voxels; far below any level outside the box."""
    nz, ny, nx = volume.shape
    ix, iy, iz = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    if ix < 0 or iy < 0 or iz < 0 or ix >= nx - 1 or iy >= ny - 1 or iz >= nz - 1:
        return np.float32(-1e30)
    fx, fy, fz = np.float32(x - ix), np.float32(y - iy), np.float32(z - iz)
    one = np.float32(1.0)
    low = (volume[iz, iy, ix] * (one - fx) + volume[iz, iy, ix + 1] * fx) * (one - fy) + (
        volume[iz, iy + 1, ix] * (one - fx) + volume[iz, iy + 1, ix + 1] * fx
    ) * fy
    high = (volume[iz + 1, iy, ix] * (one - fx) + volume[iz + 1, iy, ix + 1] * fx) * (one - fy) + (
        volume[iz + 1, iy + 1, ix] * (one - fx) + volume[iz + 1, iy + 1, ix + 1] * fx
    ) * fy
    return low * (one - fz) + high * fz


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _cells_to_surface(distance, x, y, z):
    """Cells from the one at (x, y, z) to the nearest that may hold the level; 1 outside the box."""
    nz, ny, nx = distance.shape
    ix, iy, iz = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    if ix < 0 or iy < 0 or iz < 0 or ix >= nx or iy >= ny or iz >= nz:
        return 1
    return int(distance[iz, iy, ix])


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _first_crossing(volume, distance, level, origin, step, step_length, n_steps):
    """Number of steps (a fraction too) to the first density above the level, or -1."""
    i = 0
    while i < n_steps:
        x, y, z = origin[0] + i * step[0], origin[1] + i * step[1], origin[2] + i * step[2]
        cells = _cells_to_surface(distance, x, y, z)
        if cells > 0:
            i += max(1, int((cells - 1) / step_length))
            continue
        if _sample(volume, x, y, z) > level:
            low, high = float(i - 1), float(i)
            for _ in range(6):
                middle = 0.5 * (low + high)
                inside = _sample(
                    volume,
                    origin[0] + middle * step[0],
                    origin[1] + middle * step[1],
                    origin[2] + middle * step[2],
                )
                if inside > level:
                    high = middle
                else:
                    low = middle
            return 0.5 * (low + high)
        i += 1
    return -1.0


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _normal(volume, p):
    """Unit vector down the density gradient (central differences over a voxel each way)."""
    g = np.empty(3)
    for a in range(3):
        d = np.zeros(3)
        d[a] = 1.0
        ahead = _sample(volume, p[0] + d[0], p[1] + d[1], p[2] + d[2])
        behind = _sample(volume, p[0] - d[0], p[1] - d[1], p[2] - d[2])
        g[a] = behind - ahead if ahead > -1e29 and behind > -1e29 else 0.0
    length = np.sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2])
    if length > 0:
        g /= length
    return g


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _open_sky(volume, distance, level, p, normal, directions, distances):
    """Share of the sky above a surface point that nearby density leaves open, weighted by the cosine."""
    seen, total = 0.0, 0.0
    for d in range(directions.shape[0]):
        v = directions[d]
        cosine = v[0] * normal[0] + v[1] * normal[1] + v[2] * normal[2]
        if cosine <= 0.05:
            continue
        total += cosine
        light = 1.0
        for s in range(distances.shape[0]):
            t = distances[s]
            x = p[0] + 1.2 * normal[0] + t * v[0]
            y = p[1] + 1.2 * normal[1] + t * v[1]
            z = p[2] + 1.2 * normal[2] + t * v[2]
            if _cells_to_surface(distance, x, y, z) == 0 and _sample(volume, x, y, z) > level:
                light = 0.75 * s / distances.shape[0]  # far blockers dim less
                break
        seen += cosine * light
    return seen / total if total > 0 else 1.0


@numba.njit(cache=True, parallel=True, fastmath=True)
@no_type_check
def _march(volume, distance, level, axes, center, half_width, n, reach, step_length, directions, distances):
    out = np.empty((n, n, 5))
    n_steps = int(2.0 * reach / step_length) + 2
    step = -axes[2] * step_length
    for row in numba.prange(n):
        v = half_width * (1.0 - 2.0 * (row + 0.5) / n)
        for col in range(n):
            u = half_width * (2.0 * (col + 0.5) / n - 1.0)
            origin = center + u * axes[0] + v * axes[1] + reach * axes[2]
            t = _first_crossing(volume, distance, level, origin, step, step_length, n_steps)
            if t < 0:
                out[row, col, 0] = np.inf
                out[row, col, 1:4] = 0.0
                out[row, col, 4] = 1.0
                continue
            p = origin + t * step
            normal = _normal(volume, p)
            out[row, col, 0] = t * step_length - reach
            for a in range(3):
                out[row, col, 1 + a] = (
                    normal[0] * axes[a, 0] + normal[1] * axes[a, 1] + normal[2] * axes[a, 2]
                )
            out[row, col, 4] = _open_sky(volume, distance, level, p, normal, directions, distances)
    return out


def march(
    volume: np.ndarray, level: np.float32, axes: np.ndarray, center: np.ndarray, half_width: float, n: int
) -> np.ndarray:
    """Depth (voxels from the centre plane, inf for no hit), normal in view axes and open sky of each pixel.

    Returns
    -------
    array (n, n, 5)
    """
    # directions spread evenly over the sphere (Fibonacci lattice); the half below the surface is skipped
    m = 40
    i = np.arange(m) + 0.5
    polar, azimuth = np.arccos(1 - 2 * i / m), np.pi * (1 + 5**0.5) * i
    directions = np.stack(
        [np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1
    )
    size = max(volume.shape)
    distances = size * np.array([0.006, 0.014, 0.026, 0.042, 0.064, 0.095, 0.14])
    above = np.argwhere(volume > level)[:, ::-1]
    # rays start and end just outside the density
    reach = 2.0 + float(np.linalg.norm(above - center, axis=1).max()) if len(above) else 2.0
    result = _march(
        volume,
        _distance_to_surface(volume, level),
        level,
        axes,
        center,
        float(half_width),
        n,
        float(reach),
        0.6,
        directions,
        distances,
    )
    return np.asarray(result)


def _distance_to_surface(volume: np.ndarray, level: np.float32) -> np.ndarray:
    """Cells (between neighbouring voxels, one fewer a side) to the nearest with a corner above the level.

    In cells along the axis that is farthest (chessboard distance): a ray may go that far less one without
    looking at the density, and nothing but time is changed.
    """
    above = volume > level
    for axis in range(3):
        above = above.take(range(1, above.shape[axis]), axis) | above.take(range(above.shape[axis] - 1), axis)
    if not above.any():
        return np.full(above.shape, FARTHEST, dtype=np.uint8)
    distance = ndimage.distance_transform_cdt(~above, metric="chessboard")
    return np.minimum(distance, FARTHEST).astype(np.uint8)
