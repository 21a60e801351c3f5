"""Learning the subspace: expectation maximisation over growing radii, then maps at full resolution."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.distributed import own_part
from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.course import Course, Place
from cryoscape.engines.subspace.em import Model, extrapolate_power, fewer_components, iterate, whitening
from cryoscape.engines.subspace.final import full_maps, in_image_units
from cryoscape.engines.subspace.halves import agreement, focused
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.mean_map import solved_means
from cryoscape.engines.subspace.passes import run_pass
from cryoscape.engines.subspace.posterior import Posterior, latent_table
from cryoscape.engines.subspace.selection import choose_components
from cryoscape.engines.subspace.start import first_model, in_box_of, support_at, whole_mask
from cryoscape.engines.subspace.support import Support
from cryoscape.particles.fourier_store import FourierStore

_PIXELS_OF_AN_IMAGE = 150
"""What an image costs beside its pixels, in pixels: posterior, moments."""


Watch = Callable[[str, int, int], None]
"""Told of a step in words, the images done, and how many there are."""


@dataclass(frozen=True)
class IterationReport:
    """How one pass over the images went; information in nats an image, of images not seen by their maps."""

    iteration: int
    radius: int
    n_images: int
    n_components: int
    held_out_information: float
    noise: float
    contrast_spread: float
    seconds: float
    estimated_left_seconds: float | None


@dataclass(frozen=True, eq=False)
class SubspaceResult:
    """What was learned.

    Attributes
    ----------
    maps : mean and bases in the box of the images, in units of the images.
    latents : posterior of each image.
    by_half : the same by the frequencies learned from and the maps of each image's half set alone.
    noise_variance : (S,) a shell.
    radius : frequencies the latents were learned from, cycles per box.
    half_set_agreement : (q,) correlation of each basis between the half sets.
    state : tensors and numbers to continue from.
    finished : False where `should_stop` ended learning.
    verdict : in words.
    """

    maps: LinearMaps
    latents: LatentTable
    by_half: LatentTable
    noise_variance: Float[Tensor, " s"]
    radius: int
    half_set_agreement: Float[np.ndarray, " q"]
    state: dict[str, Any]
    finished: bool
    verdict: str


class SubspaceFit:
    """State of learning: a model at one radius; each call of `step` is one pass over the images."""

    def __init__(
        self, store: FourierStore, config: SubspaceConfig, mask: Float[Tensor, "z y x"] | None = None
    ) -> None:
        self.store, self.config = store, config
        self.course = Course.of(config, store.box_size, store.n)
        self.mask = whole_mask(store, config, mask)
        self.place = Place()
        self._enter()
        self.model = first_model(self.images, self.support, config)

    def _enter(self) -> None:
        most = None if self.place.whole else self.config.sample
        self.images = Images(self.store, self.radius, most)
        self.support = support_at(self.mask, self.radius)

    @property
    def radius(self) -> int:
        """Frequencies in use."""
        return self.course.radii[self.place.level]

    @property
    def done(self) -> bool:
        """Whether learning has ended."""
        return self.place.finished

    def state(self) -> dict[str, Any]:
        """Tensors and numbers from which learning continues exactly."""
        return {
            "maps": self.model.maps,
            "power": self.model.power,
            "noise": self.model.noise,
            "contrast_spread": self.model.contrast_spread,
            "mask": self.mask,
            **asdict(self.place),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        self.place = Place(**{field.name: state[field.name] for field in fields(Place)})
        self.mask = state["mask"]
        self._enter()
        self.model = Model(state["maps"], state["power"], state["noise"], float(state["contrast_spread"]))

    def step(self, watch: Watch = lambda step, done, n: None) -> float:
        """One iteration; the information of the model it began with."""
        place = self.place
        label = f"iteration {place.iteration}, radius {self.radius}"
        done = iterate(
            *(self.model, self.support, self.images, self.course.placing_radius(place)),
            update=watched(watch, label, self.images),
        )
        self.model = done.model
        self.place = self.course.after(place, done.held_out_information)
        if (self.place.level, self.place.whole) != (place.level, place.whole):
            self._enter()
        if self.place.level > place.level:
            if self.place.fresh:
                self.model = first_model(self.images, self.support, self.config)
            else:
                self.model = in_box_of(self.support, self.model)
        return done.held_out_information

    def seconds_left(self, seconds: float) -> float | None:
        """Rough time left, given that of the last iteration: a pass costs as its images and their pixels."""
        radii, level = self.course.radii, self.place.level
        last = max(level, sum(radius <= self.course.reach for radius in radii) - 1)
        pixels = [self.store.plane.count_within(float(radius)) + _PIXELS_OF_AN_IMAGE for radius in radii]
        now, whole = pixels[level], self.store.n / len(self.images.rows)
        finish = 3 * pixels[last] * whole
        if self.place.whole:
            return seconds * (now + finish) / now
        ahead = 2 * now + 3 * sum(pixels[level + 1 : last + 1]) + finish
        return seconds * (ahead + (2 * pixels[last] * whole if self.course.sampled else 0)) / now


def watched(watch: Watch, step: str, images: Images) -> Callable[[int], None]:
    """What a pass over the images tells, as a step of learning."""
    n = len(own_part(images.rows))
    return lambda done: watch(step, done, n)


def fit_subspace(
    store: FourierStore,
    config: SubspaceConfig,
    *,
    mask: Float[Tensor, "z y x"] | None = None,
    report: Callable[[IterationReport], None] = lambda _: None,
    watch: Watch = lambda step, done, n: None,
    should_stop: Callable[[], bool] = lambda: False,
    state: dict[str, Any] | None = None,
) -> SubspaceResult:
    """Learn mean, bases and latents of the images of a store.

    Parameters
    ----------
    mask
        (D, D, D) where maps may differ, 0 to 1; default as the configuration says.
    report
        Told of each iteration.
    watch
        Told how far each pass over the images has come.
    should_stop
        Asked after each iteration and before the last pass; the result then is unfinished and holds the
        state to continue from.
    state
        Of an earlier, unfinished result.
    """
    fit = SubspaceFit(store, config, mask)
    if state is not None:
        fit.restore(state)
    while not fit.done:
        radius, n_images, start = fit.radius, len(fit.images.rows), time.perf_counter()
        information = fit.step(watch)
        seconds = time.perf_counter() - start
        report(
            IterationReport(
                iteration=fit.place.iteration - 1,
                radius=radius,
                n_images=n_images,
                n_components=fit.model.maps.shape[1] - 1,
                held_out_information=information,
                noise=float(fit.model.noise[1 : radius + 1].mean()),
                contrast_spread=fit.model.contrast_spread,
                seconds=seconds,
                estimated_left_seconds=None if fit.done else fit.seconds_left(seconds),
            )
        )
        if should_stop():
            return _unfinished(fit)
    return finish(fit, watch, should_stop)


def finish(fit: SubspaceFit, watch: Watch, should_stop: Callable[[], bool]) -> SubspaceResult:
    """Choose components, place every image, and make the maps at full resolution.

    Asked to stop, it leaves the state that learning ended with, from which all of this is done again.
    """
    model, verdict = fit.model, "number given"
    if fit.config.zdim is None:
        chosen = choose_components(fit.images, model, fit.support)
        model, verdict = fewer_components(model, chosen.n_components), chosen.reason
    full, by_half, images, support = _maps_of(fit, model, watch)
    if should_stop():
        return _unfinished(fit)
    placed = run_pass(
        *(images, full[None], support, model.noise, model.contrast_spread),
        update=watched(watch, "placing all images with the final maps", images),
    )
    found = placed.posterior
    change = whitening(full, found)
    return SubspaceResult(
        maps=in_image_units(torch.einsum("ij,jzyx->izyx", change, full), fit.store),
        latents=latent_table(found, change),
        by_half=latent_table(by_half, change),
        noise_variance=model.noise,
        radius=fit.radius,
        half_set_agreement=agreement(model.maps).cpu().numpy(),
        state=fit.state(),
        finished=True,
        verdict=verdict,
    )


def _maps_of(fit: SubspaceFit, model: Model, watch: Watch) -> tuple[Tensor, Posterior, Images, Support]:
    """Maps up to half the box, for latents by half sets and the frequencies they were learned from."""
    radius = fit.store.box_size // 2 - 1
    images, support = Images(fit.store, radius), support_at(fit.mask, radius)
    wide = in_box_of(support, model)
    placed = run_pass(
        *(images, wide.maps, support.within(fit.radius), model.noise, model.contrast_spread),
        update=watched(watch, "placing all images", images),
        solving=support,
        n_solved=1,
    )
    means, of_mean = solved_means(placed.equations, wide.maps[:, 0], support)
    found = placed.posterior
    del placed, wide  # room for the sums
    full = full_maps(
        images,
        means.mean(0, keepdim=True),
        extrapolate_power(model.power, of_mean),
        focused(support, model.maps),
        model.noise,
        found.weighted,
        found.weighted_squares,
        update=lambda done, total: watch("maps at all frequencies", done, total),
    )
    return full[0], found, images, support


def _unfinished(fit: SubspaceFit) -> SubspaceResult:
    n, q = fit.store.n, fit.model.maps.shape[1] - 1
    nothing = np.zeros(n, np.float32)
    table = LatentTable(np.zeros((n, q), np.float32), None, nothing, nothing, nothing)
    maps = in_image_units(fit.model.maps.mean(0), fit.store)
    alike = agreement(fit.model.maps).cpu().numpy()
    return SubspaceResult(
        maps, table, table, fit.model.noise, fit.radius, alike, fit.state(), False, "stopped before the end"
    )
