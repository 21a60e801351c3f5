"""States from a subspace: found in its likelihoods, then with maps of their own."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.states.config import StatesConfig
from cryoscape.engines.states.evidence import Reading, likelihoods, read_images
from cryoscape.engines.states.frame import frame_of, in_frame, moments_of_states
from cryoscape.engines.states.maps import MapMaker
from cryoscape.engines.states.merging import Merger, best_merger, cross_fitted, merge_states
from cryoscape.engines.states.mixture import Mixture, fit, responsibilities
from cryoscape.engines.states.stability import stability
from cryoscape.engines.states.start import first_mixture
from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.final import in_image_units
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.start import support_at
from cryoscape.particles.fourier_store import FourierStore


@dataclass(frozen=True)
class StepReport:
    """One step of finding states: which, the number of states, and a figure where there is one.

    ``nats_a_particle`` is what a merger cost; ``held_out`` the mean log-likelihood an image under maps and
    places of the other half set.
    """

    step: str
    n_states: int
    nats_a_particle: float | None = None
    held_out: float | None = None


@dataclass(frozen=True, eq=False)
class StatesResult:
    """What was found; states sorted by size, largest first.

    Attributes
    ----------
    maps, halves : mean and differences, of all images and of the two half sets; a state's map lies at its
        centre.
    latents : posterior of each image in these coordinates, with the likeliest state.
    probabilities : (N, K) of each state for each image.
    centres : (K, r)
    shares, stability : (K,)
    held_out : mean log-likelihood an image, natural logarithm, of images not seen by maps and places.
    verdict : why this number of states, in words.
    """

    maps: LinearMaps
    halves: tuple[LinearMaps, LinearMaps]
    latents: LatentTable
    probabilities: Float[np.ndarray, "n k"]
    centres: Float[np.ndarray, "k r"]
    shares: Float[np.ndarray, " k"]
    stability: Float[np.ndarray, " k"]
    noise_variance: Float[Tensor, " s"]
    held_out: float
    verdict: str

    @property
    def states(self) -> Int[np.ndarray, " n"]:
        """Likeliest state of each image."""
        likeliest: np.ndarray = self.probabilities.argmax(1)
        return likeliest


def fit_states(
    store: FourierStore,
    model: Model,
    radius: int,
    mask: Float[Tensor, "z y x"],
    config: StatesConfig,
    report: Callable[[StepReport], None] = lambda _: None,
) -> StatesResult:
    """Find states and make their maps.

    Parameters
    ----------
    model
        A subspace: mean and bases of two half sets up to ``radius``.
    mask
        (D, D, D) where maps may differ.
    report
        Told of each step.
    """
    reading = _read(store, model, radius, mask)
    mixture = find_states(reading, config, report)
    verdict = _verdict(reading, mixture, config)
    held_out, _ = cross_fitted(reading.evidence, mixture, config.iterations)
    report(StepReport("states", mixture.k, held_out=held_out))

    frame = frame_of(mixture)
    weight, found, _ = responsibilities(reading.evidence, mixture)
    moments = moments_of_states(frame.points, weight, found)
    maker = MapMaker(store, in_frame(model, frame), radius, mask)
    halves, whole = maker.halves(*moments), maker.whole(*moments)
    return StatesResult(
        maps=in_image_units(whole, store),
        halves=(in_image_units(halves[0], store), in_image_units(halves[1], store)),
        latents=_latents(reading, mixture, frame.points),
        probabilities=weight.cpu().numpy(),
        centres=frame.points.cpu().numpy(),
        shares=mixture.shares.cpu().numpy(),
        stability=stability(reading.evidence, reading.z.cpu().numpy(), mixture, config),
        noise_variance=model.noise,
        held_out=held_out,
        verdict=verdict,
    )


def find_states(
    reading: Reading, config: StatesConfig, report: Callable[[StepReport], None] = lambda _: None
) -> Mixture:
    """The mixture in the coordinates of the reading, largest state first."""

    def tell(merger: Merger) -> None:
        report(StepReport("merged", merger.mixture.k, merger.nats_a_particle))

    evidence = reading.evidence
    mixture = first_mixture(evidence, reading.z.cpu().numpy(), config)
    report(StepReport("start", mixture.k))
    mixture = merge_states(evidence, mixture, config.k, config.iterations, config.least_nats_a_particle, tell)
    mixture, _ = fit(evidence, mixture, config.final_iterations)
    order = mixture.shares.argsort(descending=True)
    return Mixture(mixture.centres[order], mixture.shares[order])


def _read(store: FourierStore, model: Model, radius: int, mask: Tensor) -> Reading:
    images, support = Images(store, radius), support_at(mask, radius)
    return read_images(images, model.maps, support, model.noise, model.contrast_spread)


def _verdict(reading: Reading, mixture: Mixture, config: StatesConfig) -> str:
    if config.k is not None:
        return "number given" if mixture.k == config.k else f"no more than {mixture.k} for so few images"
    if mixture.k == 1:
        return "no two states can be told apart"
    closest = best_merger(reading.evidence, mixture, config.least_nats_a_particle)
    return (
        f"merging the closest two would cost the smaller {closest.nats_a_particle:.2f} nats a particle, "
        f"above the least of {config.least_nats_a_particle:g}"
    )


def _latents(reading: Reading, mixture: Mixture, points: Float[Tensor, "k r"]) -> LatentTable:
    """Means and covariances of the places of images, which lie at states only."""
    evidence = reading.evidence
    weight, found, total = responsibilities(evidence, mixture)
    mean = weight @ points
    outer = (points[:, :, None] * points[:, None]).flatten(1)
    square = (weight @ outer).view(len(mean), points.shape[1], points.shape[1])
    alone = likelihoods(evidence, torch.zeros(1, evidence.zdim, device=mean.device)).log[:, 0]
    return LatentTable(
        mean=mean.cpu().numpy(),
        covariance=(square - mean[:, :, None] * mean[:, None]).cpu().numpy(),
        log_likelihood=(total - alone).cpu().numpy(),
        contrast=(weight * found.contrast).sum(1).cpu().numpy(),
        junk_score=reading.misfit.cpu().numpy(),
        state=weight.argmax(1).cpu().numpy(),
    )
