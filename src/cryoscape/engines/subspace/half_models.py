"""What each half set alone makes of its images: latents that owe nothing to the other half.

Latents under maps of all images carry the noise of all images: a noise pattern that came into a basis draws
every image's latent to the match of its own noise, and maps of either half set made with such latents show
the same pattern again. Half maps that are to agree on nothing but signal need latents by half sets.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.passes import run_pass
from cryoscape.engines.subspace.posterior import latent_table
from cryoscape.engines.subspace.start import support_at
from cryoscape.engines.subspace.support import change_box
from cryoscape.particles.fourier_store import FourierStore


@dataclass(frozen=True, eq=False)
class HalfModels:
    """Maps that a run learned from each half set, images at even and at odd positions.

    Attributes
    ----------
    maps : (2, n, b, b, b) mean and bases in units of images, latents under them standard normal.
    change : (n, n) changes maps to the coordinates of the run's latents.
    radius : frequencies they were learned from, cycles per box.
    contrast_spread : of the images.
    """

    maps: Float[Tensor, "2 n z y x"]
    change: Float[Tensor, "n n"]
    radius: int
    contrast_spread: float

    def place(
        self, store: FourierStore, noise: Float[Tensor, " s"], mask: Float[Tensor, "z y x"]
    ) -> LatentTable:
        """Posterior of each image under the maps of its own half set, in the coordinates of the run.

        Parameters
        ----------
        store
            The images the run was trained on, in its order; their box may be larger.
        noise
            Variance a shell in the store.
        mask
            (D, D, D) where maps may differ, in the box of the store.
        """
        images, support = Images(store, self.radius), support_at(mask, self.radius)
        maps = torch.stack([change_box(half / store.scale, support.box) * support.mask for half in self.maps])
        placed = run_pass(images, maps.to(store.device), support, noise, self.contrast_spread)
        return latent_table(placed.posterior, self.change.to(store.device))
