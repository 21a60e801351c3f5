"""Pixels of images sorted by the voxel of the grid that they go to.

Sums on a grid of many maps do not fit into a core's cache. Sorted by groups of neighbouring voxels, pixels
add to one group after the other, and what they bring is read in one go. Within a group they keep the order of
the images, so sums do not depend on the number of threads.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from cryoscape.engines.subspace import kernels
from cryoscape.engines.subspace.threads import even_shares, in_threads
from cryoscape.physics.slices import FourierGrid

_CACHE_BYTES = 1 << 19
"""Of sums that a core works on at a time: half of a usual second-level cache."""


@dataclass(frozen=True)
class SortedPixels:
    """What pixels bring, sorted.

    Attributes
    ----------
    values : (E, C), real and imaginary parts in turns, then a real number.
    images : (E,) row of the block each came from.
    places : (E,) voxel of the slab.
    shares : ranges of pixels for the threads; no voxel is in two.
    """

    values: Float[np.ndarray, "e c"]
    images: Int[np.ndarray, " e"]
    places: Int[np.ndarray, " e"]
    shares: list[tuple[int, int]]


def sort_by_voxel(
    values: Float[np.ndarray, "b p c"],
    voxels: Int[np.ndarray, "b p"],
    grid: FourierGrid,
    planes: tuple[int, int],
    voxel_bytes: int,
) -> SortedPixels:
    """Sort pixels; one at x = 0 stands for its opposite too, and is listed there once more, conjugated.

    Parameters
    ----------
    values
        What each pixel brings; odd columns are imaginary parts.
    voxels
        Of a slab of planes first <= |z| < last, those of z >= 0 first; -1 for none.
    planes
        First and last.
    voxel_bytes
        Of the sums of a voxel.
    """
    first, last = planes
    slab = (grid.n_x, grid.n_yz, grid.half, last - first, first)
    bucket = max(64, _CACHE_BYTES // voxel_bytes)
    n_groups = 2 * (last - first) * grid.n_yz * grid.n_x // bucket + 1
    shares = even_shares(len(voxels))
    counts = np.zeros((len(shares), n_groups), np.int64)
    of_share = {share: counts[number] for number, share in enumerate(shares)}
    in_threads(lambda a, b: kernels.count_pixels(voxels, *slab, bucket, of_share[a, b], a, b), shares)
    starts = np.concatenate([[0], np.cumsum(counts.sum(0))])
    counts[:] = np.cumsum(counts, axis=0) - counts + starts[:-1]  # now the next free place of each share
    n = int(starts[-1])
    sorted_values = np.empty((n, values.shape[2]), np.float32)
    images, places = np.empty(n, np.int32), np.empty(n, np.int32)
    out = (sorted_values, images, places)
    in_threads(
        lambda a, b: kernels.sort_pixels(values, voxels, *slab, bucket, of_share[a, b], *out, a, b), shares
    )
    return SortedPixels(*out, _whole_groups(starts))


def _whole_groups(starts: Int[np.ndarray, " g"]) -> list[tuple[int, int]]:
    """Ranges of the sorted pixels for each thread, cut only between groups."""
    n = int(starts[-1])
    cuts = [int(starts[np.searchsorted(starts, a)]) for a, _ in even_shares(n)]
    return [(a, b) for a, b in pairwise([*cuts, n]) if b > a]
