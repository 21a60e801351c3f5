"""What images say of the maps that networks are trained with: those of the subspace, then maps made again."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.fit import encode, weigh
from cryoscape.engines.manifold.likelihood import linear_model, telling_components, with_components
from cryoscape.engines.manifold.networks import Networks
from cryoscape.engines.states.evidence import Evidence, Reading, read_images
from cryoscape.engines.states.maps import MapMaker
from cryoscape.engines.subspace.em import Model, fewer_components
from cryoscape.engines.subspace.final import in_image_units
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.start import support_at
from cryoscape.particles.fourier_store import FourierStore


@dataclass(frozen=True, eq=False)
class MapsRead:
    """Maps, and what images say of them.

    Attributes
    ----------
    maps : mean and bases of all images, in the box and units of the images.
    learning : each image with the maps of the half set that it is not in; for training and judging.
    placing : for the places of particles and their misfit; with the maps of all images where there are some.
    misfit : (N,), see `subspace.posterior.Posterior`.
    """

    maps: LinearMaps
    learning: Evidence
    placing: Evidence
    misfit: Float[Tensor, " n"]


def read_subspace_maps(
    store: FourierStore,
    model: Model,
    radius: int,
    mask: Float[Tensor, "z y x"],
    update: Callable[[int], None] = lambda done: None,
) -> MapsRead:
    """Read all images with the maps of a subspace up to a radius, of the components that tell anything.

    Parameters
    ----------
    mask
        (D, D, D) where maps may differ.
    update
        Called with the number of images done.
    """
    images, support = Images(store, radius), support_at(mask, radius)
    reading = read_images(images, model.maps, support, model.noise, model.contrast_spread, update)
    n = telling_components(reading.evidence)
    evidence = with_components(reading.evidence, n)
    whole = fewer_components(model, n).maps.mean(0)
    return MapsRead(in_image_units(whole, store), evidence, evidence, reading.misfit)


def make_maps_again(
    store: FourierStore,
    model: Model,
    radius: int,
    mask: Float[Tensor, "z y x"],
    first: MapsRead,
    networks: Networks,
    config: ManifoldConfig,
    update: Callable[[int], None] = lambda done: None,
) -> MapsRead:
    """Solve for mean and bases up to half the box, of half sets and of all images; read all with both.

    For the maps of half sets, images are placed by the maps of their own half, so that these maps, too, know
    nothing of the other half, and what they say of it is held-out evidence.

    Parameters
    ----------
    model
        Maps of the half sets up to ``radius``, whose coefficients are meant; its first bases serve.
    first
        What images say of these.
    networks
        That place the images.
    update
        Called with a number of images, five times that of the store in all.
    """
    done = 0

    def tell(part: int) -> None:
        update(done + part)

    def share(part: int, of: int) -> None:
        tell(part * store.n // of)

    def placed(evidence: Evidence) -> tuple[Tensor, Tensor]:
        posterior = encode(linear_model(evidence).features, networks.encoder)
        found = weigh(evidence, posterior, networks, config.final_samples, config.seed)
        return found.once, found.twice

    model = fewer_components(model, first.learning.zdim)
    shared = (model.noise, model.contrast_spread, tell)
    own = read_images(Images(store, radius), model.maps.flip(0), support_at(mask, radius), *shared)
    maker = MapMaker(store, model, radius, mask)
    done += store.n
    halves = maker.halves(*placed(own.evidence), share)
    done += store.n
    whole = maker.whole(*placed(first.learning), share)
    images, found = Images(store, maker.support.grid.max_radius), list[Reading]()
    for maps in (halves, whole.expand(2, *whole.shape)):
        done += store.n
        found.append(read_images(images, maps, maker.support, maker.noise, model.contrast_spread, tell))
    learning, placing = found
    return MapsRead(in_image_units(whole, store), learning.evidence, placing.evidence, placing.misfit)
