"""Occupancies of particles: of maps that are linear in the latents a matrix product."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from cryoscape.occupancy.measure import ElementMasks, occupancies
from cryoscape.typing import Latents, Volume, Volumes


@dataclass(frozen=True, eq=False)
class LinearOccupancies:
    """Occupancies as a function of latents, O(z) = offset + sum_j z_j slope_j.

    An occupancy is a weighted sum of voxels, so where maps are mean + sum_j z_j B_j, those of the mean and of
    each basis B_j say what those of every map are, exactly.

    Attributes
    ----------
    offset : (E,) of the mean map.
    slopes : (q, E) of the bases.
    """

    offset: Float[np.ndarray, " e"]
    slopes: Float[np.ndarray, "q e"]

    def at(self, z: Latents) -> Float[np.ndarray, "n e"]:
        """Occupancies (n, E), float64, of the maps at latents z (n, q)."""
        return np.asarray(z.astype(np.float64) @ self.slopes + self.offset)


def linear_occupancies(mean: Volume, bases: Volumes, masks: ElementMasks) -> LinearOccupancies:
    """Measure a mean map (z, y, x) and bases (q, z, y, x), in the hand and sign that maps are measured in."""
    return LinearOccupancies(occupancies(mean[None], masks)[0], occupancies(bases, masks))
