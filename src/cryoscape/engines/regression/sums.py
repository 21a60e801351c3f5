"""One pass over the images: residuals of the subspace prediction, back-projected for many maps at a time."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.engines.regression.kernels import accumulate, residuals
from cryoscape.engines.regression.voxels import Voxels
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.readable import ReadableMaps, readable
from cryoscape.engines.subspace.sorted_pixels import sort_by_voxel
from cryoscape.engines.subspace.threads import even_shares, in_threads
from cryoscape.particles.memory import available_memory_bytes
from cryoscape.physics.slices import FourierGrid

_LEAST_BYTES = 3 << 29
_SHARE = 0.3
"""Of the memory that is free: sums may take it, since each pass over the images has a cost."""


def bytes_for_sums() -> int:
    """Memory set aside for sums over images."""
    return max(_LEAST_BYTES, int(_SHARE * available_memory_bytes()))


def maps_at_a_time(voxels: Voxels, n_rings: int) -> int:
    """Maps whose sums of two half sets fit into the memory set aside; their number changes no map."""
    one = 2 * len(voxels) * n_rings * 3 * 4
    return max(1, bytes_for_sums() // one)


def residual_sums(
    images: Images,
    maps: Float[Tensor, "2 n z y x"],
    grid: FourierGrid,
    voxels: Voxels,
    noise: Float[Tensor, " f"],
    t: Float[Tensor, "m n"],
    ring: Int[Tensor, "m j"],
    n_rings: int,
    update: Callable[[int, int], None],
) -> Float[Tensor, "j 2 v r 3"]:
    """Sums of CTF x residual (real, imaginary) and CTF^2 over noise, by map, half set, voxel and ring.

    The residual of an image is what the maps of its own half set, at its own latent, leave: half sets share
    no image. ``update`` is called with (images seen, images to see in all).
    """
    done = 0
    sums = torch.zeros(ring.shape[1], 2, len(voxels), n_rings, 3)
    weight = (1 / noise[images.shells]).float()
    for which in range(2):  # one after the other: maps of one half set on their grid at a time
        own = readable(maps[which], grid)
        for rows in images.blocks():
            rows = rows[images.half[rows] == which]
            used = rows[(ring[rows] >= 0).any(1)]
            if len(used):
                _insert(images, used, own, voxels, weight, t[used], ring[used], sums, which)
            done += len(rows)
            update(done, images.store.n)
    return sums


def _insert(
    images: Images,
    rows: Int[Tensor, " b"],
    maps: ReadableMaps,
    voxels: Voxels,
    weight: Float[Tensor, " p"],
    t: Float[Tensor, "b n"],
    ring: Int[Tensor, "b j"],
    sums: Float[Tensor, "j 2 v r 3"],
    which: int,
) -> None:
    """Add images of one half set to the sums of the maps near them."""
    grid = maps.grid
    data, ctf, rotations = images.read(rows)
    values, nearest = np.empty((*ctf.shape, 3), np.float32), np.empty(ctf.shape, np.int32)
    arguments = [
        x.contiguous().numpy()
        for x in (maps.mean[:, 0], maps.packed_bases, torch.view_as_real(data), ctf, weight, rotations)
    ]
    arguments += [images.k.contiguous().numpy(), t.contiguous().numpy()]
    in_threads(
        lambda a, b: residuals(*arguments, grid.half, grid.oversampling, values, nearest, a, b),
        even_shares(len(rows)),
    )
    found = sort_by_voxel(values, nearest, grid, (0, grid.half + 1), 4 * sums[:, 0, 0].numel())
    pixels = (found.values, found.images, found.places, voxels.number)
    places = _places(ring, sums.shape[3])
    in_threads(lambda a, b: accumulate(*pixels, *places, sums.numpy(), which, a, b), found.shares)


def _places(ring: Int[Tensor, "b j"], n_rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Map x rings + ring of the maps that each image adds to, these first, and how many they are."""
    place = torch.where(ring >= 0, torch.arange(ring.shape[1]) * n_rings + ring, -1)
    place = place.sort(dim=1, descending=True).values
    return place.to(torch.int32).numpy(), (place >= 0).sum(1).to(torch.int32).numpy()
