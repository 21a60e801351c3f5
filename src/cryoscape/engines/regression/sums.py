"""One pass over the images: residuals of the subspace prediction, back-projected for many maps at a time."""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.engines.regression.kernels import accumulate
from cryoscape.engines.subspace import kernels
from cryoscape.engines.subspace.equations import Block, NormalEquations, precision_of
from cryoscape.engines.subspace.passes import Images
from cryoscape.engines.subspace.readable import readable
from cryoscape.engines.subspace.support import Support
from cryoscape.engines.subspace.threads import even_shares, in_threads
from cryoscape.physics.smooth_reading import volume_to_smooth_grid

_MEMORY_BYTES = 3 << 29
_CACHE_BYTES = 1 << 19


def maps_at_a_time(support: Support, n_rings: int) -> int:
    """Maps whose sums of two half sets fit into the memory set aside."""
    grid = support.grid
    one = 2 * 2 * (grid.half + 1) * grid.n_yz * grid.n_x * n_rings * 3 * 4
    return max(1, _MEMORY_BYTES // one)


def half_set_maps(
    images: Images,
    mean: Float[Tensor, "z y x"],
    power: Float[Tensor, "s n"],
    support: Support,
    noise: Float[Tensor, " f"],
    t: Float[Tensor, "m n"],
    tt: Float[Tensor, "m n n"],
) -> Float[Tensor, "2 n z y x"]:
    """Mean and bases of each half set from its own images, latents known; a slab of the grid at a time."""
    grid, n = support.grid, t.shape[1]
    base = volume_to_smooth_grid(mean, grid)
    known = support.to_grid(mean[None], correct_gridding=False)
    spectra = [grid.zeros(n, device=mean.device) for _ in range(2)]
    plane = 2 * 2 * grid.n_yz * grid.n_x * (2 * n + n * (n + 1) // 2) * 4
    depth = max(4, _MEMORY_BYTES // plane)
    for first in range(0, grid.half + 1, depth):
        last = min(first + depth, grid.half + 1)
        halves = [NormalEquations(grid, n, base, first, last) for _ in range(2)]
        for rows in images.blocks():
            if len(rows):
                block = Block(*images.read(rows), t[rows], tt[rows])
                halves[int(images.half[rows[0]])].add(block, images.k, noise[images.shells])
        for spectrum, half in zip(spectra, halves, strict=True):
            solved = half.solve(precision_of(power, support), support, known)
            spectrum[solved.position] = solved.values
    maps = torch.stack([support.from_spectra(spectrum) for spectrum in spectra])
    maps[:, 0] += mean
    return maps


def residual_sums(
    images: Images,
    maps: Float[Tensor, "2 n z y x"],
    support: Support,
    noise: Float[Tensor, " f"],
    t: Float[Tensor, "m n"],
    ring: Int[Tensor, "m j"],
    n_rings: int,
) -> Float[Tensor, "2 v j r 3"]:
    """Sums of CTF x residual (real, imaginary) and CTF^2 over noise, by half set, voxel, map and ring.

    The residual of an image is what the maps of its own half set, at its own latent, leave: half sets share
    no image. Voxels are those of `NormalEquations.positions`.
    """
    grid, n_maps = support.grid, ring.shape[1]
    values = [readable(half, grid) for half in maps]
    n_voxels = 2 * (grid.half + 1) * grid.n_yz * grid.n_x
    sums = torch.zeros(2, n_voxels, n_maps * n_rings * 3)
    for rows in images.blocks():
        rows = rows[(ring[rows] >= 0).any(1)]
        if len(rows):
            which = int(images.half[rows[0]])
            data, ctf, rotations = images.read(rows)
            slices = values[which].slices(rotations, images.k)
            predicted = torch.view_as_real(slices)
            predicted = torch.einsum("bpnc,bn->bpc", predicted, t[rows]) * ctf[..., None]
            residual = torch.view_as_real(data) - predicted
            weight = 1 / noise[images.shells]
            _insert(residual, ctf, rotations, images.k, weight, ring[rows], n_rings, support, sums[which])
    return sums.view(2, n_voxels, n_maps, n_rings, 3)


def _insert(
    residual: Tensor,
    ctf: Tensor,
    rotations: Tensor,
    k: Tensor,
    weight: Tensor,
    ring: Tensor,
    n_rings: int,
    support: Support,
    sums: Tensor,
) -> None:
    grid, shape = support.grid, ctf.shape
    values, voxels = np.empty((*shape, 5), np.float32), np.empty(shape, np.int32)
    arguments = (
        residual.contiguous().numpy(),
        ctf.contiguous().numpy(),
        weight.float().numpy(),
        rotations.contiguous().numpy(),
        k.to(torch.float32).contiguous().numpy(),
        np.zeros((grid.n_voxels, 2), np.float32),
    )
    slab = (grid.half, grid.oversampling, 0, grid.half + 1)
    in_threads(lambda a, b: kernels.locate(*arguments, *slab, values, voxels, a, b), even_shares(len(ctf)))
    bucket = max(64, _CACHE_BYTES // (4 * sums.shape[1]))
    starts = np.zeros(len(sums) // bucket + 2, np.int64)
    pixels, places = (np.empty(2 * voxels.size, np.int32) for _ in range(2))
    kernels.gather_by_bucket(
        voxels, grid.n_x, grid.n_yz, grid.half, grid.half + 1, 0, bucket, starts, pixels, places
    )
    cuts = [int(starts[np.searchsorted(starts, a)]) for a, _ in even_shares(int(starts[-1]))]
    cuts.append(int(starts[-1]))
    shares = [(a, b) for a, b in pairwise(cuts) if b > a]
    numbers = ring.to(torch.int32).contiguous().numpy()
    if shares:
        in_threads(
            lambda a, b: accumulate(values, numbers, n_rings, pixels, places, shape[1], sums.numpy(), a, b),
            shares,
        )
