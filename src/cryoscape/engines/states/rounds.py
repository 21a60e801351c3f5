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
class Setting:
    """What stays as it is from round to round.

    Attributes
    ----------
    mask : (D, D, D) where maps may differ.
    watch : told of each pass over the images and how far it is.
    """

    store: FourierStore
    mask: Float[Tensor, "z y x"]
    config: StatesConfig
    watch: Watch


@dataclass(frozen=True, eq=False)
class Round:
    """Half maps up to a radius, what each image says of those it has no part in, and states found in that.

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


def half_maps(setting: Setting, found: Round) -> StateMaps:
    """Make half maps of the states up to half the box.

    Images are placed by the maps of their own half set, so that maps of the halves still know nothing of each
    other.
    """
    swapped = replace(found.model, maps=found.model.maps.flip(0))
    own = read_with(setting, swapped, found.radius, found.support, "placing half sets by their own maps")
    frame = frame_of(found.mixture)
    weight, likelihoods, _ = responsibilities(own.evidence, found.mixture)
    moments = moments_of_states(frame.points, weight, likelihoods)
    maker = MapMaker(setting.store, in_frame(found.model, frame), found.radius, setting.mask)
    return StateMaps(maker, frame, maker.halves(*moments, partial(setting.watch, "half maps of states")))


def whole_maps(setting: Setting, found: Round, made: StateMaps) -> Float[Tensor, "k z y x"]:
    """Mean and differences of all images, each placed by the maps that it has no part in."""
    weight, likelihoods, _ = responsibilities(found.reading.evidence, found.mixture)
    moments = moments_of_states(made.frame.points, weight, likelihoods)
    return made.maker.whole(*moments, partial(setting.watch, "maps of states"))


def next_round(setting: Setting, found: Round, report: Callable[[Merger], None]) -> Round:
    """Make half maps of the states at all frequencies, and find the states in what images say of these."""
    config, made = setting.config, half_maps(setting, found)
    maker = made.maker
    model = replace(found.model, maps=made.halves, power=maker.power, noise=maker.noise)
    radius = maker.support.grid.max_radius
    reading = read_with(setting, model, radius, maker.support, "reading the images with maps of states")
    start = Mixture(made.frame.points, found.mixture.shares)
    start, _ = fit(reading.evidence, start, config.final_iterations)
    return Round(model, radius, maker.support, reading, settle(reading.evidence, start, config, report))


def read_with(setting: Setting, model: Model, radius: int, support: Support, label: str) -> Reading:
    """What each image says of the maps of the half set that it is not in."""
    store, watch = setting.store, setting.watch
    noise, spread = model.noise, model.contrast_spread
    return read_images(
        Images(store, radius), model.maps, support, noise, spread, lambda done: watch(label, done, store.n)
    )
