"""What learning needs of memory, and the radius that fits into what there is."""

from dataclasses import replace

from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.start import OVERSAMPLING
from cryoscape.physics.slices import FourierGrid

_FLOAT_BYTES = 4


def learning_bytes(radius: int, n_components: int) -> int:
    """Bytes of one iteration at a radius: sums of both half sets, maps on their grids, solutions.

    Images, and what passes with some of them at a time, are not counted.
    """
    grid, n = FourierGrid(radius, OVERSAMPLING), n_components + 1
    slab_voxels = 2 * (grid.half + 1) * grid.n_yz * grid.n_x
    sums = 2 * slab_voxels * (2 * n + n * (n + 1) // 2)
    maps = 2 * grid.n_voxels * 2 * n
    solutions = (slab_voxels + 2 * grid.n_voxels) * 2 * n
    return (sums + max(maps, solutions)) * _FLOAT_BYTES


def within_memory(config: SubspaceConfig, box_size: int, room_bytes: int) -> SubspaceConfig:
    """The configuration with the largest radius that fits; the first radius is always taken."""
    radii = config.radii(box_size)
    fitting = [radius for radius in radii if learning_bytes(radius, config.n_components) <= room_bytes]
    if len(fitting) == len(radii):
        return config
    return replace(config, max_radius=max(fitting, default=radii[0]))
