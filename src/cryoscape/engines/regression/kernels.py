"""Compiled loop of weighted back-projection into many maps at once."""

import inspect

import numba
import numpy as np


def _accumulate(values, ring, n_rings, pixels, places, n_pixels, sums, first, last):  # type: ignore[no-untyped-def]
    """Add pixels [first, last) of a list sorted by voxel to ``sums`` (V, M * n_rings * 3).

    ``values`` and the list are those of the subspace's kernels `locate` and `gather_by_bucket`; ``ring``
    (B, M) tells which of its rings an image adds to for each map, -1 for none.
    """
    m = ring.shape[1]
    for i in range(first, last):
        pixel, voxel = pixels[i], places[i]
        sign = np.float32(1)
        if pixel < 0:
            pixel, sign = -1 - pixel, np.float32(-1)
        b, p = pixel // n_pixels, pixel % n_pixels
        real, imaginary, squared = values[b, p, 0], sign * values[b, p, 1], values[b, p, 4]
        row = sums[voxel]
        for j in range(m):
            number = ring[b, j]
            if number >= 0:
                at = 3 * (j * n_rings + number)
                row[at] += real
                row[at + 1] += imaginary
                row[at + 2] += squared


accumulate = numba.njit(nogil=True, cache=True, fastmath=True, boundscheck=False)(inspect.unwrap(_accumulate))
