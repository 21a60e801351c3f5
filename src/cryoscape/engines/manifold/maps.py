"""Maps at full resolution for coefficients that were found, by the subspace's regularised least squares."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.states.evidence import Reading, read_images
from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.final import full_maps, in_image_units
from cryoscape.engines.subspace.halves import local_agreement
from cryoscape.engines.subspace.passes import Images
from cryoscape.engines.subspace.start import enlarge, support_at
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.physics.fourier import crop_volume


class FullMaps:
    """Mean and bases up to half the box, from all images.

    Parameters
    ----------
    model
        Maps of the half sets up to ``radius``, whose coefficients are meant.
    mask
        (D, D, D) where maps may differ.
    once, twice
        E[a (1, c)] and E[a^2 (1, c) (1, c)^T] of each image.
    update
        Called with (images read, images to read in all).

    Attributes
    ----------
    maps : (q + 1, b, b, b) in the box of the support.
    """

    def __init__(
        self,
        store: FourierStore,
        model: Model,
        radius: int,
        mask: Float[Tensor, "z y x"],
        once: Float[Tensor, "n m"],
        twice: Float[Tensor, "n m m"],
        update: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        last = store.box_size // 2 - 1
        self.images, self.support = Images(store, last), support_at(mask, last)
        self.model = enlarge(model, self.images, self.support) if last > radius else model
        focus = crop_volume(local_agreement(model.maps), self.support.box).clamp(0, 1)
        base, power = self.model.maps[:, 0].mean(0), self.model.power
        focused = replace(self.support, focus=focus)
        self.maps = full_maps(self.images, base, power, focused, self.model.noise, once, twice, update)

    def in_image_units(self) -> LinearMaps:
        """The maps in the box and units of the images."""
        return in_image_units(self.maps.clone(), self.images.store)  # which it scales in place

    def read(self, update: Callable[[int], None] = lambda done: None) -> Reading:
        """What images say of these maps, at all frequencies; their maps have seen them."""
        both = torch.stack([self.maps, self.maps])
        return read_images(
            self.images, both, self.support, self.model.noise, self.model.contrast_spread, update
        )
