"""Maps on a grid, ready to be projected: the mean map by a smooth kernel, its changes by the trilinear one.

What reading errs by at a pose is heterogeneity to all that follows, in proportion to the map that is read.
The mean map outweighs all bases, so it alone is worth the dearer kernel.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.smooth_reading import extract_smooth_slices, volume_to_smooth_grid
from cryoscape.physics.volume_grid import volume_to_grid


@dataclass(frozen=True)
class ReadableMaps:
    """Mean (V, 1, 2) and q bases (V, q, 2) on a grid, each corrected for how it is read."""

    mean: Float[Tensor, "v 1 2"]
    bases: Float[Tensor, "v q 2"]
    grid: FourierGrid

    @property
    def n(self) -> int:
        """Number of maps, q + 1."""
        return self.bases.shape[1] + 1

    @cached_property
    def packed_bases(self) -> Float[Tensor, "v twice"]:
        """Bases as the compiled loops want them: all real parts of a voxel, then all imaginary parts."""
        return self.bases.transpose(1, 2).reshape(len(self.bases), -1).contiguous()

    def slices(self, rotations: Float[Tensor, "b 3 3"], k: Tensor) -> Complex[Tensor, "b p n"]:
        """Central slices at k (P, 2), mean first."""
        mean = extract_smooth_slices(self.mean, self.grid, rotations, k)[..., None]
        if not self.bases.shape[1]:
            return mean
        return torch.cat([mean, extract_slices(self.bases, self.grid, rotations, k)], dim=-1)

    def double(self) -> "ReadableMaps":
        """The same in double precision."""
        return ReadableMaps(self.mean.double(), self.bases.double(), self.grid)


def readable(maps: Float[Tensor, "n z y x"], grid: FourierGrid) -> ReadableMaps:
    """Bring a mean map and its changes, of any box, to a grid."""
    bases = grid.zeros(len(maps) - 1, dtype=maps.dtype, device=maps.device)
    for j, one in enumerate(maps[1:]):
        bases[:, j] = volume_to_grid(one, grid)[:, 0]
    return ReadableMaps(volume_to_smooth_grid(maps[0], grid), bases, grid)
