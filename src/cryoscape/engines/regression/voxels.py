"""The voxels of a grid that sums are kept of."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from cryoscape.engines.subspace.equations import NormalEquations
from cryoscape.engines.subspace.support import Support


@dataclass(frozen=True)
class Voxels:
    """Voxels within the radius, about half of a grid, each once.

    Attributes
    ----------
    position : (V,) index in the flattened grid.
    shell : (V,) shell of each.
    number : (S,) of each voxel of `NormalEquations.positions` its place in the above, or -1.
    """

    position: Int[np.ndarray, " v"]
    shell: Int[np.ndarray, " v"]
    number: Int[np.ndarray, " s"]

    def __len__(self) -> int:
        return len(self.position)

    @classmethod
    def of(cls, support: Support) -> "Voxels":
        """Those of the grid of a support."""
        position = NormalEquations(support.grid, 0, support.grid.zeros(1)).positions()
        shell = torch.where(position >= 0, support.shell[position.clamp(min=0)], -1)
        used = shell >= 0
        number = torch.where(used, used.cumsum(0) - 1, -1)
        return cls(*(one.to(torch.int32).numpy() for one in (position[used], shell[used], number)))
