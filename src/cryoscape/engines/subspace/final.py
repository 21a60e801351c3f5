"""Maps at full resolution for known latents, slab by slab of Fourier space where memory asks for it."""

from collections.abc import Callable

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


def full_maps(
    images: Images,
    base: Float[Tensor, "z y x"],
    power: Float[Tensor, "s n"],
    support: Support,
    noise: Float[Tensor, " all"],
    weighted: Float[Tensor, "i n"],
    weighted_squares: Float[Tensor, "i n n"],
    update: Callable[[int, int], None] = lambda done, total: None,
) -> Float[Tensor, "n z y x"]:
    """Solve for mean and bases, given E[a (1, z)] and E[a^2 (1, z) (1, z)^T] of every image.

    Parameters
    ----------
    base
        A mean map close to the one looked for.
    power
        Prior power of each map a shell.
    noise
        Variance a shell.
    update
        Called with (images read, images to read in all).
    """
    n = weighted.shape[1]
    grid = volume_to_smooth_grid(base, support.grid)
    known = support.to_grid(base[None], correct_gridding=False)
    spectrum = support.grid.zeros(n, device=base.device)
    slabs = _slabs(support, n)
    for number, (first, last) in enumerate(slabs):
        equations = NormalEquations(support.grid, n, grid, first, last)
        done = number * images.store.n
        for rows in images.blocks():
            block = Block(*images.read(rows), weighted[rows], weighted_squares[rows])
            equations.add(block, images.k, noise[images.shells])
            done += len(rows)
            update(done, len(slabs) * images.store.n)
        sum_over_processes(equations.sums)
        solved = equations.solve(precision_of(power, support), support, known)
        spectrum[solved.position] = solved.values
        del equations, solved
    maps = support.from_spectra(spectrum)
    maps[0] += base
    return maps


def in_image_units(maps: Float[Tensor, "n z y x"], store: FourierStore) -> LinearMaps:
    """Mean and bases in the box of the images of a store, in their units."""
    whole = (change_box(maps, store.box_size) * store.scale).cpu().numpy()
    return LinearMaps(whole[0], whole[1:], store.pixel_size_angstrom or 1.0)


def _slabs(support: Support, n: int) -> list[tuple[int, int]]:
    """Planes |z| of each slab, such that their sums fit."""
    grid = support.grid
    plane = 2 * grid.n_yz * grid.n_x * (2 * n + n * (n + 1) // 2) * 4
    depth = max(4, MEMORY_BYTES // plane)
    return [(first, min(first + depth, grid.half + 1)) for first in range(0, grid.half + 1, depth)]
