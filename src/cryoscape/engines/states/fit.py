"""States from a subspace: found in its likelihoods, then with maps of their own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.states.config import StatesConfig
from cryoscape.engines.states.evidence import Reading, likelihoods
from cryoscape.engines.states.merging import Merger, best_merger, held_out_likelihood, settle
from cryoscape.engines.states.mixture import Mixture, responsibilities
from cryoscape.engines.states.rounds import Round, Setting, half_maps, next_round, read_with, whole_maps
from cryoscape.engines.states.stability import stability
from cryoscape.engines.states.start import first_mixture
from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.final import in_image_units
from cryoscape.engines.subspace.fit import Watch
from cryoscape.engines.subspace.start import support_at
from cryoscape.particles.fourier_store import FourierStore

_EARLY_EASE = 0.5
"""Of what a state must be worth, while it is looked at in a subspace only."""


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
    watch: Watch = lambda label, done, total: None,
) -> StatesResult:
    """Find states in a subspace, then in maps of their own, and make their maps.

    Parameters
    ----------
    model
        A subspace: mean and bases of two half sets up to ``radius``.
    mask
        (D, D, D) where maps may differ.
    report
        Told of each step.
    watch
        Told how far passes over the images are.
    """
    setting, support = Setting(store, mask, config, watch), support_at(mask, radius)
    reading = read_with(setting, model, radius, support, "reading the images")
    first = Round(model, radius, support, reading, find_states(reading, config, report))
    last, held_out = _last_round(setting, first, report)

    made = half_maps(setting, last)
    whole = whole_maps(setting, last, made)
    probabilities = responsibilities(last.reading.evidence, last.mixture)[0].cpu().numpy()
    return StatesResult(
        maps=in_image_units(whole, store),
        halves=(in_image_units(made.halves[0], store), in_image_units(made.halves[1], store)),
        latents=_latents(last.reading, last.mixture, made.frame.points),
        probabilities=probabilities,
        centres=made.frame.points.cpu().numpy(),
        shares=last.mixture.shares.cpu().numpy(),
        stability=stability(reading, probabilities.argmax(1), last.mixture.k, config),
        noise_variance=model.noise,
        held_out=held_out,
        verdict=_verdict(last.reading, last.mixture, config),
    )


def find_states(
    reading: Reading, config: StatesConfig, report: Callable[[StepReport], None] = lambda _: None
) -> Mixture:
    """The mixture in the coordinates of the reading, largest state first.

    Before rounds that look again, states that may turn out to be two are left apart.
    """
    start = first_mixture(reading.evidence, reading.z.cpu().numpy(), config)
    report(StepReport("start", start.k))
    ease = _EARLY_EASE if config.rounds else 1.0
    return settle(reading.evidence, start, config, partial(_tell_merger, report), ease)


def _last_round(setting: Setting, found: Round, report: Callable[[StepReport], None]) -> tuple[Round, float]:
    """Go on as long as images say more with the new maps; and their held-out likelihood."""
    config, tell = setting.config, partial(_tell_merger, report)
    held_out = _held_out(found, config)
    report(StepReport("in the subspace", found.mixture.k, held_out=held_out))
    for _ in range(config.rounds if found.mixture.k > 1 else 0):
        again = next_round(setting, found, tell)
        value = _held_out(again, config)
        report(StepReport("in their own maps", again.mixture.k, held_out=value))
        if value <= held_out:
            mixture = settle(found.reading.evidence, found.mixture, config, tell)
            return replace(found, mixture=mixture), held_out
        found, held_out = again, value
    return found, held_out


def _held_out(found: Round, config: StatesConfig) -> float:
    return held_out_likelihood(found.reading.evidence, found.mixture, config.iterations)


def _tell_merger(report: Callable[[StepReport], None], merger: Merger) -> None:
    report(StepReport("merged", merger.mixture.k, merger.nats_a_particle))


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
