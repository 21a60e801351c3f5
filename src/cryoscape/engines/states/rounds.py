"""Maps and states in turn: states found in a subspace get maps of their own, in which they are found again.

A subspace has fewer directions than there are differences between states, and ends at the frequencies that it
was learned with. Half maps of the states at all frequencies say more of each image.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.states.config import StatesConfig
from cryoscape.engines.states.evidence import Reading, read_images
from cryoscape.engines.states.frame import Frame, frame_of, in_frame, moments_of_states
from cryoscape.engines.states.maps import MapMaker
from cryoscape.engines.states.merging import Merger, settle
from cryoscape.engines.states.mixture import Mixture, fit, responsibilities
from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.fit import Watch
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.support import Support
from cryoscape.particles.fourier_store import FourierStore


@dataclass(frozen=True, eq=False)
class Known:
    """Half maps up to a radius, what each image says of those it has no part in, and states in that.

    Attributes
    ----------
    model : maps of the two half sets, their prior, the noise.
    """

    model: Model
    radius: int
    support: Support
    reading: Reading
    mixture: Mixture


@dataclass(frozen=True, eq=False)
class StateMaps:
    """Half maps of states: mean and differences in the coordinates of a frame, (2, K, z, y, x)."""

    maker: MapMaker
    frame: Frame
    halves: Float[Tensor, "2 k z y x"]


def half_maps(store: FourierStore, known: Known, mask: Float[Tensor, "z y x"], watch: Watch) -> StateMaps:
    """Make half maps up to half the box.

    Images are placed by the maps of their own half set, so that maps of the halves still know nothing of each
    other.
    """
    swapped = replace(known.model, maps=known.model.maps.flip(0))
    own = read_with(store, swapped, known.radius, known.support, "placing half sets by their own maps", watch)
    frame = frame_of(known.mixture)
    weight, found, _ = responsibilities(own.evidence, known.mixture)
    maker = MapMaker(store, in_frame(known.model, frame), known.radius, mask)
    moments = moments_of_states(frame.points, weight, found)
    return StateMaps(maker, frame, maker.halves(*moments, partial(watch, "half maps of states")))


def whole_maps(store: FourierStore, known: Known, made: StateMaps, watch: Watch) -> Float[Tensor, "k z y x"]:
    """Mean and differences of all images, each placed by the maps that it has no part in."""
    weight, found, _ = responsibilities(known.reading.evidence, known.mixture)
    moments = moments_of_states(made.frame.points, weight, found)
    return made.maker.whole(*moments, partial(watch, "maps of states"))


def find_again(
    store: FourierStore,
    known: Known,
    mask: Float[Tensor, "z y x"],
    config: StatesConfig,
    report: Callable[[Merger], None],
    watch: Watch,
) -> Known:
    """Make half maps of the states at all frequencies, and find the states in what images say of these."""
    made = half_maps(store, known, mask, watch)
    maker = made.maker
    model = replace(known.model, maps=made.halves, power=maker.power, noise=maker.noise)
    radius = maker.support.grid.max_radius
    reading = read_with(store, model, radius, maker.support, "reading the images with maps of states", watch)
    start, _ = fit(
        reading.evidence, Mixture(made.frame.points, known.mixture.shares), config.final_iterations
    )
    return Known(model, radius, maker.support, reading, settle(reading.evidence, start, config, report))


def read_with(
    store: FourierStore, model: Model, radius: int, support: Support, label: str, watch: Watch
) -> Reading:
    """What each image says of the maps of the half set that it is not in."""
    images = Images(store, radius)
    noise, spread = model.noise, model.contrast_spread
    return read_images(images, model.maps, support, noise, spread, lambda done: watch(label, done, store.n))
