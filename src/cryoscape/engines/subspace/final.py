"""Maps at full resolution for known latents, slab by slab of Fourier space where memory asks for it."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.distributed import sum_over_processes
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.subspace.equations import Block, NormalEquations, precision_of
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.support import Support, change_box
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.physics.smooth_reading import volume_to_smooth_grid

MEMORY_BYTES = 3 << 29
"""Of sums held at a time; more takes several passes over the images."""

Sets = Literal["all", "halves", "halves and all"]
"""Of which images maps are made: of all, of each half set, or three: of each and of all."""


def full_maps(
    images: Images,
    bases: Float[Tensor, "b z y x"],
    power: Float[Tensor, "s n"],
    support: Support,
    noise: Float[Tensor, " f"],
    weighted: Float[Tensor, "i n"],
    weighted_squares: Float[Tensor, "i n n"],
    update: Callable[[int, int], None] = lambda done, total: None,
    sets: Sets = "all",
    memory_bytes: int | None = None,
) -> Float[Tensor, "h n z y x"]:
    """Solve for mean and bases, given E[a (1, z)] and E[a^2 (1, z) (1, z)^T] of every image.

    Parameters
    ----------
    bases
        Mean maps close to those looked for: one for all sets, or (only for "halves") one of each half set.
    power
        Prior power of each map a shell.
    noise
        Variance a shell.
    update
        Called with (images read, images to read in all).
    memory_bytes
        Of sums held at a time; `MEMORY_BYTES` by default.
    """
    grid, n = support.grid, weighted.shape[1]
    n_sums = 1 if sets == "all" else 2
    starts = [volume_to_smooth_grid(base, grid) for base in bases]
    known = [support.to_grid(base[None], correct_gridding=False) for base in bases]
    spectra = [grid.zeros(n, device=bases.device) for _ in range(3 if sets == "halves and all" else n_sums)]
    precision = precision_of(power, support)
    slabs = _slabs(support, n, n_sums, MEMORY_BYTES if memory_bytes is None else memory_bytes)
    for number, (first, last) in enumerate(slabs):
        equations = [NormalEquations(grid, n, starts[i % len(starts)], first, last) for i in range(n_sums)]
        done = number * images.store.n
        for rows in images.blocks():
            block = Block(*images.read(rows), weighted[rows], weighted_squares[rows])
            equations[int(images.half[rows[0]]) % n_sums].add(block, images.k, noise[images.shells])
            done += len(rows)
            update(done, len(slabs) * images.store.n)
        sum_over_processes(*(one.sums for one in equations))
        for which, spectrum in enumerate(spectra):
            if which == 2:  # both half sets, from the same start
                equations[0].sums += equations[1].sums
            solved = equations[which % 2].solve(precision, support, known[which % len(known)])
            spectrum[solved.position] = solved.values
        del equations, solved  # no name may hold the sums of a slab while the next are made
    maps = torch.stack([support.from_spectra(spectrum) for spectrum in spectra])
    for which, one in enumerate(maps):
        one[0] += bases[which % len(bases)]
    return maps


def in_image_units(maps: Float[Tensor, "n z y x"], store: FourierStore) -> LinearMaps:
    """Mean and bases in the box of the images of a store, in their units."""
    whole = (change_box(maps, store.box_size) * store.scale).cpu().numpy()
    return LinearMaps(whole[0], whole[1:], store.pixel_size_angstrom or 1.0)


def _slabs(support: Support, n: int, n_sums: int, memory_bytes: int) -> list[tuple[int, int]]:
    """Planes |z| of each slab, such that their sums fit."""
    grid = support.grid
    plane = n_sums * 2 * grid.n_yz * grid.n_x * (2 * n + n * (n + 1) // 2) * 4
    depth = max(4, memory_bytes // plane)
    return [(first, min(first + depth, grid.half + 1)) for first in range(0, grid.half + 1, depth)]
