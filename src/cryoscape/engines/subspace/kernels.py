"""Compiled loops of the two passes over the data; `moments` and `equations` check and call them.

Grids of bases hold all real parts, then all imaginary parts, of each voxel side by side, so the loops over
components run over neighbouring numbers; the mean map has a grid of its own and the smoother kernel of
`physics.smooth_reading`. Loops over images or over planes of the grid are shared between threads, and no two
threads write the same number.
"""

import inspect
import math
from collections.abc import Callable

import numba
import numpy as np

from cryoscape.physics.slice_kernels import read_smooth


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a loop that lets go of the interpreter lock; run-time type checks of tests are peeled off."""
    loop: Callable[..., None] = numba.njit(nogil=True, cache=True, fastmath=True, boundscheck=False)(
        inspect.unwrap(function)
    )
    return loop


@_compiled
def moments(mean, bases, data, ctf, weight, rotations, k, half, oversampling, out, first, last):  # type: ignore[no-untyped-def]
    """Gram matrices (B, q + 2, q + 2) of projected mean and q bases and the image, times ``weight`` (P,)."""
    n_yz, n_x = 2 * half + 1, half + 1
    q, n_pixels = bases.shape[1] // 2, k.shape[0]
    one = np.float32(1)
    rows = np.empty((2 * n_pixels, q + 2), np.float32)
    read = np.empty(2 * q, np.float32)
    room = np.empty((3, 3), np.float32)
    for b in range(first, last):
        r = rotations[b]
        for p in range(n_pixels):
            u, v = k[p, 0] * oversampling, k[p, 1] * oversampling
            x, y, z = u * r[0, 0] + v * r[1, 0], u * r[0, 1] + v * r[1, 1], u * r[0, 2] + v * r[1, 2]
            sign = one
            if x < 0:
                x, y, z, sign = -x, -y, -z, -one
            w = ctf[b, p] * weight[p]
            real, imaginary = read_smooth(mean, x, y, z, half, room)
            rows[2 * p, 0], rows[2 * p + 1, 0] = w * real, w * sign * imaginary
            ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
            fx, fy, fz = np.float32(x - ix), np.float32(y - iy), np.float32(z - iz)
            a = ((iz + half) * n_yz + iy + half) * n_x + ix
            c = a + n_yz * n_x
            front, back = (one - fz) * w, fz * w
            w00, w01, w10, w11 = front * (one - fy), front * fy, back * (one - fy), back * fy
            # the eight voxels around, two neighbours along x at a time
            v0, v1, v2, v3 = bases[a], bases[a + n_x], bases[c], bases[c + n_x]
            v4, v5, v6, v7 = bases[a + 1], bases[a + n_x + 1], bases[c + 1], bases[c + n_x + 1]
            for j in range(2 * q):
                left = w00 * v0[j] + w01 * v1[j] + w10 * v2[j] + w11 * v3[j]
                right = w00 * v4[j] + w01 * v5[j] + w10 * v6[j] + w11 * v7[j]
                read[j] = left + fx * (right - left)
            for j in range(q):
                rows[2 * p, 1 + j] = read[j]
                rows[2 * p + 1, 1 + j] = sign * read[q + j]
            rows[2 * p, q + 1] = data[b, p, 0] * weight[p]
            rows[2 * p + 1, q + 1] = data[b, p, 1] * weight[p]
        out[b] = np.dot(rows.T, rows)


@_compiled
def locate(  # type: ignore[no-untyped-def]
    data,
    ctf,
    weight,
    rotations,
    k,
    base,
    half,
    oversampling,
    slab_first,
    slab_last,
    values,
    voxels,
    first,
    last,
):
    """Find the nearest voxel of each pixel of images [first, last), and what the pixel has to give.

    ``values`` (B, P, 5) gains CTF x image and CTF^2 x slice of ``base`` (V, 2), both real and imaginary, and
    CTF^2, all times ``weight`` and conjugated where the pixel lies at x < 0; ``voxels`` (B, P) the index in
    the slab of planes slab_first <= |z| < slab_last, or -1.
    """
    n_yz, n_x = 2 * half + 1, half + 1
    depth = slab_last - slab_first
    one = np.float32(1)
    room = np.empty((3, 3), np.float32)
    for b in range(first, last):
        r = rotations[b]
        for p in range(k.shape[0]):
            u, v = k[p, 0] * oversampling, k[p, 1] * oversampling
            x, y, z = u * r[0, 0] + v * r[1, 0], u * r[0, 1] + v * r[1, 1], u * r[0, 2] + v * r[1, 2]
            sign = one
            if x < 0:
                x, y, z, sign = -x, -y, -z, -one
            nx, ny, nz = math.floor(x + 0.5), math.floor(y + 0.5), math.floor(z + 0.5)
            if abs(nz) < slab_first or abs(nz) >= slab_last:
                voxels[b, p] = -1
                continue
            # planes of a slab: those of z >= 0 first, then those of z < 0
            plane = nz - slab_first if nz >= 0 else depth - nz - slab_first
            voxels[b, p] = (plane * n_yz + ny + half) * n_x + nx
            w = ctf[b, p] * weight[p]
            squared = w * ctf[b, p]
            values[b, p, 0] = w * data[b, p, 0]
            values[b, p, 1] = w * sign * data[b, p, 1]
            real, imaginary = read_smooth(base, x, y, z, half, room)
            values[b, p, 2], values[b, p, 3] = squared * real, squared * imaginary
            values[b, p, 4] = squared


@_compiled
def gather_by_bucket(voxels, n_x, n_yz, half, depth, slab_first, bucket, starts, pixels, places):  # type: ignore[no-untyped-def]
    """Sort pixels by groups of ``bucket`` neighbouring voxels, so that each group stays in cache.

    A voxel at x = 0 stands for its opposite too, which gains the conjugate: such a pixel is listed twice, the
    second time as -1 - its index. ``starts`` (groups + 1) tells where each group begins in ``pixels`` and
    ``places``.
    """
    flat = voxels.reshape(-1)
    for fill in range(2):
        for i in range(len(flat)):
            voxel = flat[i]
            if voxel < 0:
                continue
            group = voxel // bucket
            if fill:
                at = starts[group]
                pixels[at], places[at] = i, voxel
            starts[group + (0 if fill else 1)] += 1
            if voxel % n_x == 0:
                plane, y = voxel // (n_yz * n_x), voxel // n_x % n_yz
                z = plane if plane < depth else plane - depth
                # z + slab_first = 0 is its own opposite plane
                opposite = plane if z + slab_first == 0 else (plane + depth) % (2 * depth)
                mirrored = (opposite * n_yz + 2 * half - y) * n_x
                group = mirrored // bucket
                if fill:
                    at = starts[group]
                    pixels[at], places[at] = -1 - i, mirrored
                starts[group + (0 if fill else 1)] += 1
        if fill:
            for group in range(len(starts) - 1, 0, -1):
                starts[group] = starts[group - 1]
            starts[0] = 0
        else:
            for group in range(1, len(starts)):
                starts[group] += starts[group - 1]


@_compiled
def normal_equations(values, t, tt, pixels, places, n_pixels, sums, first, last):  # type: ignore[no-untyped-def]
    """Add pixels [first, last) of the sorted list to their voxels of ``sums`` (V, 2n + m).

    A voxel gains t x CTF x residual, real then imaginary, and tt x CTF^2; the residual is the image less the
    slice of the base map as often as it was seen, E[a^2 (1, z)], which is how ``tt`` (B, m) begins.
    """
    n, m = t.shape[1], tt.shape[1]
    for i in range(first, last):
        pixel, voxel = pixels[i], places[i]
        sign = np.float32(1)
        if pixel < 0:
            pixel, sign = -1 - pixel, np.float32(-1)
        b, p = pixel // n_pixels, pixel % n_pixels
        real, imaginary = values[b, p, 0], sign * values[b, p, 1]
        base_real, base_imaginary, squared = values[b, p, 2], sign * values[b, p, 3], values[b, p, 4]
        row, once, twice = sums[voxel], t[b], tt[b]
        for j in range(n):
            row[j] += real * once[j] - base_real * twice[j]
        for j in range(n):
            row[n + j] += imaginary * once[j] - base_imaginary * twice[j]
        left = row[2 * n :]
        for j in range(m):
            left[j] += squared * twice[j]


@_compiled
def solve_voxels(sums, precision, shell, n, spectrum, variance, first, last):  # type: ignore[no-untyped-def]
    """Solve (left + diagonal precision of the shell) x = right at each voxel by Cholesky's method.

    ``sums`` (V, 2n + m) as of `normal_equations`; voxels with shell -1 are skipped. ``spectrum`` (V, 2n)
    gains the solution, ``variance`` (S, n, n) the sum over voxels of the inverse matrices.
    """
    factor = np.zeros((n, n))
    inverse = np.zeros((n, n))
    column = np.zeros(n)
    for v in range(first, last):
        s = shell[v]
        if s < 0:
            continue
        at = 2 * n
        for i in range(n):
            for j in range(i, n):
                factor[j, i] = sums[v, at]
                at += 1
            factor[i, i] += precision[s, i]
        for i in range(n):
            for j in range(i + 1):
                total = factor[i, j]
                for c in range(j):
                    total -= factor[i, c] * factor[j, c]
                factor[i, j] = math.sqrt(total) if i == j else total / factor[j, j]
        # inverse of the lower triangle, then its square
        for i in range(n):
            inverse[i, i] = 1 / factor[i, i]
            for j in range(i):
                total = 0.0
                for c in range(j, i):
                    total -= factor[i, c] * inverse[c, j]
                inverse[i, j] = total / factor[i, i]
        for part in range(2):
            for i in range(n):
                total = 0.0
                for c in range(i + 1):
                    total += inverse[i, c] * sums[v, part * n + c]
                column[i] = total
            for i in range(n):
                total = 0.0
                for c in range(i, n):
                    total += inverse[c, i] * column[c]
                spectrum[v, part * n + i] = total
        for i in range(n):
            for j in range(i + 1):
                total = 0.0
                for c in range(i, n):
                    total += inverse[c, i] * inverse[c, j]
                variance[s, i, j] += total
                if i != j:
                    variance[s, j, i] += total
