"""Maps of states at full resolution, of each half set and of all images."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.final import Sets, full_maps
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
        update: Callable[[int, int], None] = lambda done, total: None,
    ) -> Float[Tensor, "2 m z y x"]:
        """Maps of the half sets in the box of the support, from E[a (1, u)] and E[a^2 (1, u)(1, u)^T].

        ``update`` is called with (images read, images to read in all).
        """
        return self._solve("halves", self.bases, once, twice, update)

    def whole(
        self,
        once: Float[Tensor, "n m"],
        twice: Float[Tensor, "n m m"],
        update: Callable[[int, int], None] = lambda done, total: None,
    ) -> Float[Tensor, "m z y x"]:
        """Maps of all images."""
        return self._solve("all", self.bases.mean(0, keepdim=True), once, twice, update)[0]

    def _solve(
        self, sets: Sets, bases: Tensor, once: Tensor, twice: Tensor, update: Callable[[int, int], None]
    ) -> Tensor:
        images = Images(self.store, self.support.grid.max_radius)
        fixed = (images, bases, self.power, self.support, self.noise)
        return full_maps(*fixed, once, twice, update, sets)
