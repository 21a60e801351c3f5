"""Compiled loops of regression: residuals on their way into many maps, and the sums' way into corrections.

Sums are (M, 2, V, R, 3): of each map, half set, one of `Voxels` and ring, CTF x residual (real, imaginary)
and CTF^2, over the noise. Loops over images or voxels are shared between threads; no two write the same
number.
"""

import math

import numpy as np

from cryoscape.engines.subspace.kernels import ask_for_pixel, read_packed
from cryoscape.physics.compiled_loops import compiled
from cryoscape.physics.slice_kernels import AHEAD, place_of, read_smooth


@compiled()
def residuals(  # type: ignore[no-untyped-def]
    mean, bases, data, ctf, weight, rotations, k, t, half, oversampling, values, voxels, first, last
):
    """What the maps leave of images [first, last), and the nearest voxel of each pixel.

    ``mean`` (V, 2) and ``bases`` (V, 2q), real parts before imaginary ones, as of `ReadableMaps`; ``t``
    (B, q + 1) how much of each is in an image. ``values`` (B, P, 3) gains CTF x residual, conjugated where
    the pixel lies at x < 0, and CTF^2, times ``weight`` (P,); ``voxels`` (B, P) the index among the voxels of
    `NormalEquations.positions`.
    """
    n_yz, n_x, depth = 2 * half + 1, half + 1, half + 1
    q = bases.shape[1] // 2
    one = np.float32(1)
    read = np.empty(2 * q, np.float32)
    for b in range(first, last):
        r = rotations[b]
        for p in range(k.shape[0]):
            if p + AHEAD < k.shape[0]:
                ask_for_pixel(mean, bases, k[p + AHEAD], r, half, oversampling)
            x, y, z, sign = place_of(k[p], r, oversampling)
            real, imaginary = read_smooth(mean, x, y, z, half)
            real, imaginary = real * t[b, 0], imaginary * t[b, 0]
            read_packed(bases, x, y, z, half, one, read)
            for j in range(q):
                real += t[b, 1 + j] * read[j]
                imaginary += t[b, 1 + j] * read[q + j]
            w = ctf[b, p] * weight[p]
            values[b, p, 0] = w * (data[b, p, 0] - ctf[b, p] * real)
            values[b, p, 1] = w * (sign * data[b, p, 1] - ctf[b, p] * imaginary)
            values[b, p, 2] = w * ctf[b, p]
            nx, ny, nz = math.floor(x + 0.5), math.floor(y + 0.5), math.floor(z + 0.5)
            plane = nz if nz >= 0 else depth - nz
            voxels[b, p] = (plane * n_yz + ny + half) * n_x + nx


@compiled()
def accumulate(  # type: ignore[no-untyped-def]
    values, images, voxels, number, places, n_places, sums, which, first, last
):
    """Add pixels [first, last) of a list sorted by voxel to the ``sums`` of half set ``which``.

    ``values`` (E, 3), ``images`` and ``voxels`` (E,) are of `sorted_pixels`; ``number`` of `Voxels`;
    ``places`` (B, M) holds, for the ``n_places`` (B,) maps that an image adds to, map x R + ring.
    """
    n_rings = sums.shape[3]
    for i in range(first, last):
        b, voxel = images[i], number[voxels[i]]
        if voxel < 0:
            continue
        for j in range(n_places[b]):
            row = sums[places[b, j] // n_rings, which, voxel, places[b, j] % n_rings]
            for c in range(3):
                row[c] += values[i, c]


@compiled()
def nest(sums, first, last):  # type: ignore[no-untyped-def]
    """Turn rings of voxels [first, last) of ``sums`` (2, V, R, 3) into discs: each with all within it."""
    for h in range(sums.shape[0]):
        for v in range(first, last):
            for ring in range(1, sums.shape[2]):
                for c in range(3):
                    sums[h, v, ring, c] += sums[h, v, ring - 1, c]


@compiled()
def common(sums, shell, out, first, last):  # type: ignore[no-untyped-def]
    """Add to ``out`` (R, S, 2) the products of the half sets' residuals, and of their weights, a shell."""
    for v in range(first, last):
        s = shell[v]
        for ring in range(sums.shape[2]):
            a, b = sums[0, v, ring], sums[1, v, ring]
            out[ring, s, 0] += a[0] * b[0] + a[1] * b[1]
            out[ring, s, 1] += a[2] * b[2]


@compiled()
def filtered(sums, shell, position, precision, choice, spectrum, first, last):  # type: ignore[no-untyped-def]
    """Put the Wiener-filtered sums (H, V, R, 3) of the half sets, added, at their ``position`` of the grid.

    ``choice`` (S,) is the disc a shell takes, or -1 for none; ``precision`` (S,) what is added to the weight.
    """
    for v in range(first, last):
        s = shell[v]
        disc = choice[s]
        if disc < 0:
            spectrum[position[v], 0] = spectrum[position[v], 1] = 0
            continue
        real, imaginary, weight = np.float32(0), np.float32(0), precision[s]
        for h in range(sums.shape[0]):
            real += sums[h, v, disc, 0]
            imaginary += sums[h, v, disc, 1]
            weight += sums[h, v, disc, 2]
        spectrum[position[v], 0] = real / weight
        spectrum[position[v], 1] = imaginary / weight


@compiled()
def gains(sums, shell, precision, choice, out, first, last):  # type: ignore[no-untyped-def]
    """Add to ``out`` (S, 2) the gains weight / (weight + precision) of `filtered`, and how many they are."""
    for v in range(first, last):
        s = shell[v]
        out[s, 1] += 1
        if choice[s] >= 0:
            weight = np.float32(0)
            for h in range(sums.shape[0]):
                weight += sums[h, v, choice[s], 2]
            out[s, 0] += weight / (weight + precision[s])


@compiled()
def explained(sums, disc, shell, position, spectrum, out, first, last):  # type: ignore[no-untyped-def]
    """Add to ``out`` (S, 2): D* X and n |X|^2 for a correction X on the grid and sums (V, R, 3) of images."""
    for v in range(first, last):
        s = shell[v]
        x, y = spectrum[position[v], 0], spectrum[position[v], 1]
        row = sums[v, disc]
        out[s, 0] += x * row[0] + y * row[1]
        out[s, 1] += row[2] * (x * x + y * y)
