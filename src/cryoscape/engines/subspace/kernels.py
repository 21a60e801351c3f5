"""Compiled loops of the two passes over the data; `moments` and `equations` check and call them.

Grids of bases hold all real parts, then all imaginary parts, of each voxel side by side, so the loops over
components run over neighbouring numbers; the mean map has a grid of its own and the smoother kernel of
`physics.smooth_reading`. Loops over images or over planes of the grid are shared between threads, and no two
threads write the same number.
"""

import math

import numpy as np

from cryoscape.physics.compiled_loops import ask_for, compiled, part_of_loops
from cryoscape.physics.slice_kernels import AHEAD, ask_for_smooth, place_of, read_smooth

NUMBERS_AT_ONCE = 16
"""Single precision numbers that memory brings at once."""
LANES = 8
"""Voxels solved side by side: as many double precision numbers as the widest registers hold."""


@part_of_loops(inline=True)
def read_packed(bases, x, y, z, half, w, read):  # type: ignore[no-untyped-def]
    """Trilinear values of ``bases`` (V, 2q) at x >= 0, times w, into ``read`` (2q,)."""
    n_yz, n_x = 2 * half + 1, half + 1
    one = np.float32(1)
    ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
    fx, fy, fz = np.float32(x - ix), np.float32(y - iy), np.float32(z - iz)
    a = ((iz + half) * n_yz + iy + half) * n_x + ix
    c = a + n_yz * n_x
    front, back = (one - fz) * w, fz * w
    w00, w01, w10, w11 = front * (one - fy), front * fy, back * (one - fy), back * fy
    # the eight voxels around, two neighbours along x at a time
    v0, v1, v2, v3 = bases[a], bases[a + n_x], bases[c], bases[c + n_x]
    v4, v5, v6, v7 = bases[a + 1], bases[a + n_x + 1], bases[c + 1], bases[c + n_x + 1]
    for j in range(len(read)):
        left = w00 * v0[j] + w01 * v1[j] + w10 * v2[j] + w11 * v3[j]
        right = w00 * v4[j] + w01 * v5[j] + w10 * v6[j] + w11 * v7[j]
        read[j] = left + fx * (right - left)


@part_of_loops(inline=True)
def ask_for_pixel(mean, bases, k, r, half, oversampling):  # type: ignore[no-untyped-def]
    """Have the memory bring what `read_smooth` and `read_packed` will read for a pixel."""
    n_yz, n_x = 2 * half + 1, half + 1
    x, y, z, _ = place_of(k, r, oversampling)
    ask_for_smooth(mean, x, y, z, half)
    a = ((math.floor(z) + half) * n_yz + math.floor(y) + half) * n_x + math.floor(x)
    # two neighbours along x lie one behind the other
    for column in range(0, 2 * bases.shape[1], NUMBERS_AT_ONCE):
        ask_for(bases, a, column)
        ask_for(bases, a + n_x, column)
        ask_for(bases, a + n_yz * n_x, column)
        ask_for(bases, a + n_yz * n_x + n_x, column)


@compiled()
def project(mean, bases, rotations, k, half, oversampling, out, first, last):  # type: ignore[no-untyped-def]
    """Central slices ``out`` (B, P, q + 1, 2) of mean (V, 2) and bases (V, 2q)."""
    q, one = bases.shape[1] // 2, np.float32(1)
    read = np.empty(2 * q, np.float32)
    for b in range(first, last):
        r = rotations[b]
        for p in range(k.shape[0]):
            if p + AHEAD < k.shape[0]:
                ask_for_pixel(mean, bases, k[p + AHEAD], r, half, oversampling)
            x, y, z, sign = place_of(k[p], r, oversampling)
            real, imaginary = read_smooth(mean, x, y, z, half)
            read_packed(bases, x, y, z, half, one, read)
            out[b, p, 0, 0], out[b, p, 0, 1] = real, sign * imaginary
            for j in range(q):
                out[b, p, 1 + j, 0], out[b, p, 1 + j, 1] = read[j], sign * read[q + j]


@compiled()
def moments(  # type: ignore[no-untyped-def]
    mean, bases, data, ctf, weight, rotations, k, half, oversampling, out, seen, first, last
):
    """Gram matrices (B, q + 2, q + 2) of projected mean and q bases and the image, times ``weight`` (P,).

    ``seen`` (B, P, 2) gains the slices of the mean map, before CTF and weight, or is empty.
    """
    keep = len(seen) > 0
    q, n_pixels = bases.shape[1] // 2, k.shape[0]
    rows = np.empty((2 * n_pixels, q + 2), np.float32)
    read = np.empty(2 * q, np.float32)
    for b in range(first, last):
        r = rotations[b]
        for p in range(n_pixels):
            if p + AHEAD < n_pixels:
                ask_for_pixel(mean, bases, k[p + AHEAD], r, half, oversampling)
            x, y, z, sign = place_of(k[p], r, oversampling)
            w = ctf[b, p] * weight[p]
            real, imaginary = read_smooth(mean, x, y, z, half)
            imaginary *= sign
            if keep:
                seen[b, p, 0], seen[b, p, 1] = real, imaginary
            rows[2 * p, 0], rows[2 * p + 1, 0] = w * real, w * imaginary
            read_packed(bases, x, y, z, half, w, read)
            for j in range(q):
                rows[2 * p, 1 + j] = read[j]
                rows[2 * p + 1, 1 + j] = sign * read[q + j]
            rows[2 * p, q + 1] = data[b, p, 0] * weight[p]
            rows[2 * p + 1, q + 1] = data[b, p, 1] * weight[p]
        out[b] = np.dot(rows.T, rows)


@compiled()
def locate(  # type: ignore[no-untyped-def]
    data,
    ctf,
    base,
    weight,
    rotations,
    k,
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

    ``values`` (B, P, 5) gains CTF x image and CTF^2 x slice of the base map, both real and imaginary, and
    CTF^2, all times ``weight`` and conjugated where the pixel lies at x < 0; ``voxels`` (B, P) the index in
    the slab of planes slab_first <= |z| < slab_last, or -1.
    """
    n_yz, n_x = 2 * half + 1, half + 1
    depth = slab_last - slab_first
    near = np.float32(0.5)
    for b in range(first, last):
        r = rotations[b]
        for p in range(k.shape[0]):
            x, y, z, sign = place_of(k[p], r, oversampling)
            nx, ny, nz = math.floor(x + near), math.floor(y + near), math.floor(z + near)
            if abs(nz) < slab_first or abs(nz) >= slab_last:
                voxels[b, p] = -1
                continue
            # planes of a slab: those of z >= 0 first, then those of z < 0
            plane = nz - slab_first if nz >= 0 else depth - nz - slab_first
            voxels[b, p] = (plane * n_yz + ny + half) * n_x + nx
            w = ctf[b, p] * weight[p]
            squared = w * ctf[b, p]
            values[b, p, 0], values[b, p, 1] = w * data[b, p, 0], w * sign * data[b, p, 1]
            values[b, p, 2], values[b, p, 3] = squared * base[b, p, 0], squared * sign * base[b, p, 1]
            values[b, p, 4] = squared


@part_of_loops(inline=True)
def _opposite(voxel, n_x, n_yz, half, depth, slab_first):  # type: ignore[no-untyped-def]
    """Index in a slab of the voxel at the negative of one at x = 0."""
    plane, y = voxel // (n_yz * n_x), voxel // n_x % n_yz
    z = plane if plane < depth else plane - depth
    # z + slab_first = 0 is its own opposite plane
    opposite = plane if z + slab_first == 0 else (plane + depth) % (2 * depth)
    return (opposite * n_yz + 2 * half - y) * n_x


@compiled()
def count_pixels(voxels, n_x, n_yz, half, depth, slab_first, bucket, counts, first, last):  # type: ignore[no-untyped-def]
    """Count in ``counts`` (G,) the pixels of images [first, last) by groups of ``bucket`` voxels."""
    for b in range(first, last):
        for p in range(voxels.shape[1]):
            voxel = voxels[b, p]
            if voxel < 0:
                continue
            counts[voxel // bucket] += 1
            if voxel % n_x == 0:
                counts[_opposite(voxel, n_x, n_yz, half, depth, slab_first) // bucket] += 1


@compiled()
def sort_pixels(  # type: ignore[no-untyped-def]
    values,
    voxels,
    n_x,
    n_yz,
    half,
    depth,
    slab_first,
    bucket,
    following,
    sorted_values,
    images,
    places,
    first,
    last,
):
    """Write pixels of images [first, last) to the next free place of their group, ``following`` (G,)."""
    n_columns = values.shape[2]
    for b in range(first, last):
        for p in range(voxels.shape[1]):
            voxel = voxels[b, p]
            if voxel < 0:
                continue
            group = voxel // bucket
            at = following[group]
            following[group] = at + 1
            images[at], places[at] = b, voxel
            for c in range(n_columns):
                sorted_values[at, c] = values[b, p, c]
            if voxel % n_x == 0:
                voxel = _opposite(voxel, n_x, n_yz, half, depth, slab_first)
                group = voxel // bucket
                at = following[group]
                following[group] = at + 1
                images[at], places[at] = b, voxel
                for c in range(n_columns):
                    sorted_values[at, c] = values[b, p, c] if c % 2 == 0 else -values[b, p, c]


@compiled()
def normal_equations(values, images, places, t, tt, sums, first, last):  # type: ignore[no-untyped-def]
    """Add pixels [first, last) of the sorted list to their voxels of ``sums`` (V, 2n + m).

    A voxel gains t x CTF x residual, real then imaginary, and tt x CTF^2; the residual is the image less the
    slice of the base map as often as it was seen, E[a^2 (1, z)], which is how ``tt`` (B, m) begins.
    """
    n, m = t.shape[1], tt.shape[1]
    for i in range(first, last):
        real, imaginary, squared = values[i, 0], values[i, 1], values[i, 4]
        base_real, base_imaginary = values[i, 2], values[i, 3]
        row, once, twice = sums[places[i]], t[images[i]], tt[images[i]]
        for j in range(n):
            row[j] += real * once[j] - base_real * twice[j]
        for j in range(n):
            row[n + j] += imaginary * once[j] - base_imaginary * twice[j]
        left = row[2 * n :]
        for j in range(m):
            left[j] += squared * twice[j]


@compiled()
def solve_voxels(sums, precision, shell, used, n, spectrum, variance, first, last):  # type: ignore[no-untyped-def]
    """Solve (left + diagonal precision of the shell) x = right at voxels ``used`` [first, last) by Cholesky.

    ``sums`` (V, 2n + m) as of `normal_equations`. ``spectrum`` (V, 2n) gains the solution, ``variance``
    (S, n, n) the sum over voxels of the inverse matrices. Some voxels are solved at a time, side by side.
    """
    factor = np.zeros((n, n, LANES))
    inverse = np.zeros((n, n, LANES))
    right = np.zeros((2 * n, LANES))
    total = np.empty(LANES)
    voxels, shells = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    for start in range(first, last, LANES):
        in_use = min(LANES, last - start)
        for lane in range(LANES):
            v = used[start + min(lane, in_use - 1)]
            s = shell[v]
            voxels[lane], shells[lane] = v, s
            at = 2 * n
            for i in range(n):
                right[i, lane], right[n + i, lane] = sums[v, i], sums[v, n + i]
                for j in range(i, n):
                    factor[j, i, lane] = sums[v, at]
                    at += 1
                factor[i, i, lane] += precision[s, i]
        for i in range(n):
            for j in range(i):
                for c in range(j):
                    for lane in range(LANES):
                        factor[i, j, lane] -= factor[i, c, lane] * factor[j, c, lane]
                for lane in range(LANES):
                    factor[i, j, lane] *= inverse[j, j, lane]
            for c in range(i):
                for lane in range(LANES):
                    factor[i, i, lane] -= factor[i, c, lane] * factor[i, c, lane]
            for lane in range(LANES):
                inverse[i, i, lane] = 1 / math.sqrt(factor[i, i, lane])
        # inverse of the lower triangle, then its square
        for i in range(n):
            for j in range(i):
                total[:] = 0
                for c in range(j, i):
                    for lane in range(LANES):
                        total[lane] -= factor[i, c, lane] * inverse[c, j, lane]
                for lane in range(LANES):
                    inverse[i, j, lane] = total[lane] * inverse[i, i, lane]
        for part in range(0, 2 * n, n):
            for i in range(n - 1, -1, -1):
                total[:] = 0
                for c in range(i + 1):
                    for lane in range(LANES):
                        total[lane] += inverse[i, c, lane] * right[part + c, lane]
                right[part + i] = total
            for i in range(n):
                total[:] = 0
                for c in range(i, n):
                    for lane in range(LANES):
                        total[lane] += inverse[c, i, lane] * right[part + c, lane]
                for lane in range(in_use):
                    spectrum[voxels[lane], part + i] = total[lane]
        for i in range(n):
            for j in range(i + 1):
                total[:] = 0
                for c in range(i, n):
                    for lane in range(LANES):
                        total[lane] += inverse[c, i, lane] * inverse[c, j, lane]
                for lane in range(in_use):
                    variance[shells[lane], i, j] += total[lane]
                    if i != j:
                        variance[shells[lane], j, i] += total[lane]
