"""What every engine answers: the density map at a point of latent space."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from cryoscape.typing import Latents


@runtime_checkable
class VolumeSource(Protocol):
    """Maps at latent coordinates; analysis, traversal, occupancy and pages use nothing else of an engine."""

    @property
    def zdim(self) -> int:
        """Dimension of the latent space."""
        ...

    @property
    def box_size(self) -> int:
        """Voxels a side of the maps."""
        ...

    @property
    def pixel_size_angstrom(self) -> float:
        """Voxel size of the maps in angstrom; 1.0 where it is not known."""
        ...

    def volumes(self, z: Latents) -> Float[np.ndarray, "n D D D"]:
        """Density maps (n, D, D, D) float32, axes [z, y, x], centre at D//2, at latents z (n, zdim)."""
        ...
