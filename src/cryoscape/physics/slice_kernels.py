"""Compiled loops behind `slices`; call those of `slices`, which check their input.

Insertion divides the grid, not the images, between threads: each owns a slab of z and skips pixels elsewhere,
so no two threads write the same voxel, no copy of the grid is needed, and the sum has a fixed order.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cryoscape.physics.compiled_loops import ask_for, compiled, part_of_loops
from cryoscape.physics.smooth_kernel import KERNEL_POLYNOMIALS

if TYPE_CHECKING:
    from cryoscape.physics.slices import FourierGrid

AHEAD = 3
"""Pixels between asking the memory for what one of them will read, and reading it."""
_HALF, _ONE = np.float32(0.5), np.uint64(1)
# the kernel is even: the weight beside the centre is an even and an odd polynomial, that of the centre even
_CENTRE_0, _CENTRE_2, _CENTRE_4, _CENTRE_6, _CENTRE_8 = KERNEL_POLYNOMIALS[1, ::2].astype(np.float32)
_SIDE_0, _SIDE_2, _SIDE_4, _SIDE_6, _SIDE_8 = KERNEL_POLYNOMIALS[2, ::2].astype(np.float32)
_SIDE_1, _SIDE_3, _SIDE_5, _SIDE_7 = KERNEL_POLYNOMIALS[2, 1::2].astype(np.float32)


@compiled(fastmath={"contract", "nsz"})
def _extract(  # type: ignore[no-untyped-def]
    values, out, rotations, k, half, oversampling, first, last
):
    n_yz, n_x = 2 * half + 1, half + 1
    for b in range(first, last):
        r = rotations[b]
        for p in range(k.shape[0]):
            u, v = k[p, 0] * oversampling, k[p, 1] * oversampling
            x, y, z = u * r[0, 0] + v * r[1, 0], u * r[0, 1] + v * r[1, 1], u * r[0, 2] + v * r[1, 2]
            negative = x < 0
            if negative:
                x, y, z = -x, -y, -z
            ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
            fx, fy, fz = x - ix, y - iy, z - iz
            out[b, p] = 0
            # also where a rotation is not finite, whose floor is the lowest integer
            if ix < 0 or ix >= half or iy <= -half or iy >= half or iz <= -half or iz >= half:
                continue
            for corner in range(8):
                dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
                weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                voxel = ((iz + dz + half) * n_yz + iy + dy + half) * n_x + ix + dx
                for c in range(values.shape[1]):
                    out[b, p, c] += weight * values[voxel, c]
            if negative:
                for c in range(1, values.shape[1], 2):
                    out[b, p, c] = -out[b, p, c]


@compiled(fastmath={"contract", "nsz"})
def _insert(  # type: ignore[no-untyped-def]
    slices, out, rotations, k, half, oversampling, z_first, z_last
):
    n_yz, n_x = 2 * half + 1, half + 1
    for b in range(rotations.shape[0]):
        r = rotations[b]
        for p in range(k.shape[0]):
            u, v = k[p, 0] * oversampling, k[p, 1] * oversampling
            x, z = u * r[0, 0] + v * r[1, 0], u * r[0, 2] + v * r[1, 2]
            sign = 1.0
            if x < 0:
                x, z, sign = -x, -z, -1.0
            iz = math.floor(z)
            if iz + 1 < z_first or iz >= z_last:
                continue
            y = sign * (u * r[0, 1] + v * r[1, 1])
            ix, iy = math.floor(x), math.floor(y)
            if ix < 0 or ix >= half or iy <= -half or iy >= half or iz <= -half or iz >= half:
                continue
            fx, fy, fz = x - ix, y - iy, z - iz
            for dz in range(2):
                if iz + dz < z_first or iz + dz >= z_last:
                    continue
                wz = fz if dz else 1 - fz
                for dy in range(2):
                    wy = wz * (fy if dy else 1 - fy)
                    voxel = ((iz + dz + half) * n_yz + iy + dy + half) * n_x + ix
                    for c in range(0, out.shape[1], 2):
                        real, imaginary = wy * slices[b, p, c], wy * sign * slices[b, p, c + 1]
                        out[voxel, c] += (1 - fx) * real
                        out[voxel, c + 1] += (1 - fx) * imaginary
                        out[voxel + 1, c] += fx * real
                        out[voxel + 1, c + 1] += fx * imaginary


@part_of_loops(inline=True)
def place_of(k, r, oversampling):  # type: ignore[no-untyped-def]
    """Place of a pixel on the grid, (x, y, z, sign): its opposite, with sign -1, where x would be below 0."""
    u, v = k[0] * oversampling, k[1] * oversampling
    x, y, z = u * r[0, 0] + v * r[1, 0], u * r[0, 1] + v * r[1, 1], u * r[0, 2] + v * r[1, 2]
    sign = np.float32(1)
    if x < 0:
        x, y, z, sign = -x, -y, -z, -sign
    return x, y, z, sign


@part_of_loops(inline=True)
def _three_weights(t):  # type: ignore[no-untyped-def]
    """Weights of the points at -1, 0 and 1 for an offset t, as `smooth_kernel.kernel_weights`."""
    s = t * t
    centre = _CENTRE_0 + s * (_CENTRE_2 + s * (_CENTRE_4 + s * (_CENTRE_6 + s * _CENTRE_8)))
    even = _SIDE_0 + s * (_SIDE_2 + s * (_SIDE_4 + s * (_SIDE_6 + s * _SIDE_8)))
    odd = t * (_SIDE_1 + s * (_SIDE_3 + s * (_SIDE_5 + s * _SIDE_7)))
    return even - odd, centre, even + odd


@part_of_loops()
def read_smooth(values, x, y, z, half):  # type: ignore[no-untyped-def]
    """Real and imaginary part of ``values`` (V, 2) at x >= 0."""
    n_yz, n_x = 2 * half + 1, half + 1
    nx, ny, nz = math.floor(x + _HALF), math.floor(y + _HALF), math.floor(z + _HALF)
    x0, x1, x2 = _three_weights(x - np.float32(nx))
    y0, y1, y2 = _three_weights(y - np.float32(ny))
    z0, z1, z2 = _three_weights(z - np.float32(nz))
    r0 = i0 = r1 = i1 = r2 = i2 = np.float32(0)
    # what lies at x = -1 is the conjugate of its opposite
    mirrored = nx == 0
    for dz in range(-1, 2):
        wz = z0 if dz < 0 else (z1 if dz == 0 else z2)
        for dy in range(-1, 2):
            w = wz * (y0 if dy < 0 else (y1 if dy == 0 else y2))
            # unsigned, so that no index is tested for counting from the end
            at = np.uint64(((nz + dz + half) * n_yz + ny + dy + half) * n_x + nx)
            left = at - _ONE
            if mirrored:
                left = np.uint64(((half - nz - dz) * n_yz + half - ny - dy) * n_x + 1)
            r0 += w * values[left, 0]
            i0 += w * values[left, 1]
            r1 += w * values[at, 0]
            i1 += w * values[at, 1]
            r2 += w * values[at + _ONE, 0]
            i2 += w * values[at + _ONE, 1]
    if mirrored:
        i0 = -i0
    return x0 * r0 + x1 * r1 + x2 * r2, x0 * i0 + x1 * i1 + x2 * i2


@part_of_loops(inline=True)
def ask_for_smooth(values, x, y, z, half):  # type: ignore[no-untyped-def]
    """Have the memory bring what `read_smooth` will read."""
    n_yz, n_x = 2 * half + 1, half + 1
    nx, ny, nz = math.floor(x + _HALF), math.floor(y + _HALF), math.floor(z + _HALF)
    for dz in range(-1, 2):
        for dy in range(-1, 2):
            ask_for(values, ((nz + dz + half) * n_yz + ny + dy + half) * n_x + nx, 0)


@compiled(fastmath={"contract", "nsz"})
def _extract_smooth(values, out, rotations, k, half, oversampling, first, last):  # type: ignore[no-untyped-def]
    n_pixels = k.shape[0]
    for b in range(first, last):
        r = rotations[b]
        for p in range(n_pixels):
            if p + AHEAD < n_pixels:
                x, y, z, _ = place_of(k[p + AHEAD], r, oversampling)
                ask_for_smooth(values, x, y, z, half)
            x, y, z, sign = place_of(k[p], r, oversampling)
            out[b, p] = 0
            # also where a rotation is not finite, whose floor is the lowest integer
            if math.floor(x) < 0 or max(x, abs(y), abs(z)) >= half - 1:
                continue
            real, imaginary = read_smooth(values, x, y, z, half)
            out[b, p, 0], out[b, p, 1] = real, sign * imaginary


def _in_threads(work: Callable[..., None], pieces: list[tuple[int, int]], *arguments: Any) -> None:
    if len(pieces) <= 1:
        for piece in pieces:
            work(*arguments, *piece)
        return
    with ThreadPoolExecutor(len(pieces)) as pool:
        list(pool.map(lambda piece: work(*arguments, *piece), pieces))


def _split(first: int, last: int, n: int) -> list[tuple[int, int]]:
    edges = [first + (last - first) * i // n for i in range(n + 1)]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def _plain(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


def extract(values: Tensor, out: Tensor, rotations: Tensor, k: Tensor, grid: "FourierGrid") -> None:
    """Fill ``out`` (B, P, C, 2) from ``values`` (V, C, 2); all on the CPU and of one real type."""
    _in_threads(
        _extract,
        _split(0, len(rotations), torch.get_num_threads()),
        _plain(values.flatten(1)),
        _plain(out.flatten(2)),
        _plain(rotations),
        _plain(k),
        grid.half,
        grid.oversampling,
    )


def extract_smooth(values: Tensor, out: Tensor, rotations: Tensor, k: Tensor, grid: "FourierGrid") -> None:
    """Fill ``out`` (B, P, 2) from ``values`` (V, 1, 2); all on the CPU and of one real type."""
    _in_threads(
        _extract_smooth,
        _split(0, len(rotations), torch.get_num_threads()),
        _plain(values[:, 0]),
        _plain(out),
        _plain(rotations),
        _plain(k),
        grid.half,
        grid.oversampling,
    )


def insert(slices: Tensor, out: Tensor, rotations: Tensor, k: Tensor, grid: "FourierGrid") -> None:
    """Add ``slices`` (B, P, C, 2) into ``out`` (V, C, 2); all on the CPU and of one real type."""
    _in_threads(
        _insert,
        _split(-grid.half, grid.half + 1, torch.get_num_threads()),
        _plain(slices.flatten(2)),
        out.detach().view(len(out), 2 * out.shape[1]).numpy(),
        _plain(rotations),
        _plain(k),
        grid.half,
        grid.oversampling,
    )
