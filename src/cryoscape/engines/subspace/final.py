"""Maps at full resolution for latents that are known, slab by slab of Fourier space where memory asks for it."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.subspace.em import power_in_common
from cryoscape.engines.subspace.equations import Block, NormalEquations, precision_of
from cryoscape.engines.subspace.passes import Images
from cryoscape.engines.subspace.support import Support

MEMORY_BYTES = 3 << 29
"""Of sums held at a time; more takes several passes over the images."""
_ROUNDS = 4


def full_maps(
    images: Images,
    base: Float[Tensor, "z y x"],
    power: Float[Tensor, "s n"],
    support: Support,
    noise: Float[Tensor, " s"],
    weighted: Float[Tensor, "n m"],
    weighted_squares: Float[Tensor, "n m m"],
    update: Callable[[int, int], None] = lambda done, total: None,
) -> Float[Tensor, "n z y x"]:
    """Solve for mean and bases, given E[a (1, z)] and E[a^2 (1, z) (1, z)^T] of every image.

    Parameters
    ----------
    base
        A mean map close to the one looked for.
    power
        First guess of the prior power of each map; estimated from what two half sets have in common in the
        first slab, which holds voxels of all shells.
    noise
        Variance a shell.
    update
        Called with (images read, images to read in all).
    """
    n = weighted.shape[1]
    grid = support.to_grid(base[None])
    spectrum = support.grid.zeros(n, device=base.device)
    slabs = _slabs(support, n)
    for number, (first, last) in enumerate(slabs):
        halves = [NormalEquations(support.grid, n, grid, first, last) for _ in range(2)]
        done = number * images.store.n
        for rows in images.blocks():
            if not len(rows):
                continue
            block = Block(*images.read(rows), weighted[rows], weighted_squares[rows])
            halves[int(images.half[rows[0]])].add(block, images.k, noise[images.shells])
            done += len(rows)
            update(done, len(slabs) * images.store.n)
        if number == 0:
            for _ in range(_ROUNDS):
                power = _estimate_power(halves, support, power)
        halves[0].sums += halves[1].sums
        solved = halves[0].solve(precision_of(power, support), support)
        spectrum[solved.position] = solved.values
        del halves, solved
    maps = support.from_spectra(spectrum)
    maps[0] += base
    return maps


def _slabs(support: Support, n: int) -> list[tuple[int, int]]:
    """Planes |z| of each slab, such that the sums of two half sets fit."""
    grid = support.grid
    plane = 2 * 2 * grid.n_yz * grid.n_x * (2 * n + n * (n + 1) // 2) * 4
    depth = max(4, MEMORY_BYTES // plane)
    return [(first, min(first + depth, grid.half + 1)) for first in range(0, grid.half + 1, depth)]


def _estimate_power(
    halves: list[NormalEquations], support: Support, prior: Float[Tensor, "s n"]
) -> Float[Tensor, "s n"]:
    """One step of the prior's estimate from the voxels of a slab."""
    a, b = (half.solve(precision_of(prior, support), support) for half in halves)
    first, second = a.values.clone(), b.values.clone()
    for values, solved, half in ((first, a, halves[0]), (second, b, halves[1])):
        values[:, 0] += half.base[solved.position, 0]
    counts = torch.bincount(a.shell, minlength=support.n_shells).clamp(min=1).to(prior)
    common = torch.zeros_like(prior).index_add_(0, a.shell, (first * second).sum(-1)) / counts[:, None]
    inverses = torch.diagonal(a.inverses + b.inverses, dim1=1, dim2=2) / 2
    return power_in_common(common, inverses * support.calibration / counts[:, None], prior)
