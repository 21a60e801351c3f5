"""Maps of states at full resolution, of each half set and of all images."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.final import full_maps
from cryoscape.engines.subspace.halves import focused
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.start import enlarge, support_at
from cryoscape.particles.fourier_store import FourierStore


class MapMaker:
    """Solves for mean and differences of states, given what each image is.

    Parameters
    ----------
    model
        Maps (the first guess) and prior in the coordinates asked for.
    radius
        Up to which the model's maps reach; those made here reach half the box.
    mask
        (D, D, D) where maps may differ.
    """

    def __init__(self, store: FourierStore, model: Model, radius: int, mask: Float[Tensor, "z y x"]) -> None:
        self.store = store
        last = store.box_size // 2 - 1
        self.support = focused(support_at(mask, last), model.maps)
        images = Images(store, last)
        wide = enlarge(model, images, self.support) if last > radius else model
        self.bases, self.power, self.noise = wide.maps[:, 0], wide.power, wide.noise

    def halves(
        self,
        once: Float[Tensor, "n m"],
        twice: Float[Tensor, "n m m"],
        update: Callable[[int], None] = lambda done: None,
    ) -> Float[Tensor, "2 m z y x"]:
        """Maps of the half sets in the box of the support, from E[a (1, u)] and E[a^2 (1, u)(1, u)^T].

        ``update`` is called with the number of images done.
        """
        half = self.store.halves()
        found, before = [], 0
        for which in range(2):
            rows = torch.nonzero(half == which)[:, 0]
            part = self.store.select_original(self.store.particles.row[rows.cpu().numpy()])
            tell = partial(_shifted, update, before)
            found.append(self._solve(part, self.bases[which], once[rows], twice[rows], tell))
            before += part.n
        return torch.stack(found)

    def whole(
        self,
        once: Float[Tensor, "n m"],
        twice: Float[Tensor, "n m m"],
        update: Callable[[int], None] = lambda done: None,
    ) -> Float[Tensor, "m z y x"]:
        """Maps of all images."""
        return self._solve(self.store, self.bases.mean(0), once, twice, update)

    def _solve(
        self, store: FourierStore, base: Tensor, once: Tensor, twice: Tensor, update: Callable[[int], None]
    ) -> Tensor:
        images = Images(store, self.support.grid.max_radius)
        fixed = (self.power, self.support, self.noise, once, twice)
        return full_maps(images, base, *fixed, lambda done, total: update(done * store.n // total))


def _shifted(update: Callable[[int], None], before: int, done: int) -> None:
    update(before + done)
