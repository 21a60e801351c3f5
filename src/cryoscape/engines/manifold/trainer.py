"""State of training encoder and decoder on the evidence of images, one epoch at a time, kept exactly."""

import copy
import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cryoscape.engines.manifold.bound import Sampled, sample, weighted_bound
from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.likelihood import linear_model, moments
from cryoscape.engines.manifold.networks import new_networks
from cryoscape.engines.states.evidence import Evidence

TELLING = 0.02
"""Nats an image: smaller changes of the held-out likelihood count as none."""
_LEAST_STEPS = 30
"""Of an epoch: batches are smaller where particles are few."""
_AVERAGE_STEPS = 100
"""Over which weights are averaged for evaluation."""
_LARGEST_GRADIENT = 100.0
_MOST_HELD_OUT = 10_000
_WARM_SHARE, _FIRST_RATE, _LAST_RATE = 0.1, 1 / 25, 1 / 250_000
_MOMENTUM = (0.95, 0.85)
"""Of Adam where the rate is lowest and where it is highest."""


@dataclass(frozen=True)
class EpochReport:
    """How an epoch went; nats an image over one of pure noise. Held out are particles not trained on.

    Attributes
    ----------
    training_bound : what was trained, with ``prior_weight`` as it was at the end of the epoch.
    held_out_bound : variational (one draw), looser than the log-likelihood, which is weighted over draws.
    round : 0 with the maps of the subspace, 1 with maps made again.
    """

    epoch: int
    round: int
    training_bound: float
    held_out_bound: float
    held_out_log_likelihood: float
    kl: float
    prior_weight: float
    learning_rate: float
    seconds: float


class Trainer:
    """Training on one set of evidence after the other; `epoch` is one pass.

    Attributes
    ----------
    number : of the next epoch.
    round : how often maps were made again.
    history : held-out log-likelihood of the epochs of this round.
    networks, averaged, kept : as trained; averaged over the last steps, for use; of the best epoch.
    kept_epoch : the best epoch of this round; that before it where none is done yet.
    """

    def __init__(self, evidence: Evidence, config: ManifoldConfig) -> None:
        self.evidence, self.config = evidence, config
        self.device = evidence.image.device
        self.linear = linear_model(evidence)
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        order = torch.randperm(evidence.n, generator=self.generator, device=self.device)
        n_held_out = min(_MOST_HELD_OUT, max(1, round(config.held_out_share * evidence.n)))
        self.held_out, self.trained = order[:n_held_out].sort().values, order[n_held_out:].sort().values
        self.n_epochs = config.n_epochs(len(self.trained))
        self.batch = max(1, min(config.batch_size, len(self.trained) // _LEAST_STEPS))
        self.steps_an_epoch = max(1, len(self.trained) // self.batch)
        self.networks = new_networks(config, evidence.zdim, self.linear.features)
        self.averaged, self.kept = copy.deepcopy(self.networks), copy.deepcopy(self.networks)
        self.optimiser = torch.optim.Adam(list(self.networks.parameters()), lr=config.learning_rate)
        self.number, self.step_number, self.round, self.kept_epoch = 0, 0, 0, -1
        self.history: list[float] = []
        self.noise = torch.randn(
            config.samples, n_held_out, config.zdim, generator=self.generator, device=self.device
        )

    @property
    def share_done(self) -> float:
        """Of the steps of all epochs."""
        return self.step_number / max(1, self.n_epochs * self.steps_an_epoch)

    @property
    def prior_weight(self) -> float:
        """Weight of the prior in the next step."""
        warm = self.share_done / max(1e-9, self.config.kl_share)
        return min(1.0, self.config.kl_start + (1 - self.config.kl_start) * warm)

    def epoch(self) -> EpochReport:
        """One pass over the particles that are trained on."""
        start, total, kl = time.perf_counter(), 0.0, 0.0
        order = self.trained[torch.randperm(len(self.trained), generator=self.generator, device=self.device)]
        for rows in torch.split(order[: self.steps_an_epoch * self.batch], self.batch):
            found = self._step(rows)
            total, kl = total + found[0], kl + found[1]
        seen = self.evaluate()
        value, number = float(seen.log_likelihood.mean()), self.number
        if value > max(self.history, default=-math.inf):
            self.kept_epoch = number
            self.kept.restore(self.averaged.state())
        self.history.append(value)
        self.number += 1
        return EpochReport(
            epoch=number,
            round=self.round,
            training_bound=total / self.steps_an_epoch,
            held_out_bound=float(seen.bound.mean()),
            held_out_log_likelihood=value,
            kl=kl / self.steps_an_epoch,
            prior_weight=self.prior_weight,
            learning_rate=float(self.optimiser.param_groups[0]["lr"]),
            seconds=time.perf_counter() - start,
        )

    def renew(self, evidence: Evidence) -> None:
        """Go on with what images say of better maps; from the best networks, where likelihood has fallen."""
        if self.history and max(self.history) - self.history[-1] > TELLING:
            self.networks.restore(self.kept.state())
            self.averaged.restore(self.kept.state())
        self.evidence, self.linear = evidence, linear_model(evidence)
        for networks in (self.networks, self.averaged, self.kept):
            networks.encoder.standardise(self.linear.features)
        self.round += 1
        self.history, self.kept_epoch = [], self.number - 1

    def _step(self, rows: Tensor) -> tuple[float, float]:
        """One step; the bound, and the divergence from the prior."""
        shape = (self.config.draws, len(rows), self.config.zdim)
        noise = torch.randn(shape, generator=self.generator, device=self.device)
        proposal = self.networks.encoder(self.linear.features[rows])
        own = moments(self.evidence.of(rows))
        bound = weighted_bound(own, self.networks.decoder, proposal, noise, self.prior_weight).mean()
        self.optimiser.zero_grad()
        (-bound).backward()  # type: ignore[no-untyped-call]
        group = self.optimiser.param_groups[0]
        length = nn.utils.clip_grad_norm_(group["params"], _LARGEST_GRADIENT)
        rate, momentum = one_cycle(self.share_done)
        group["lr"], group["betas"] = rate * self.config.learning_rate, (momentum, group["betas"][1])
        if bool(torch.isfinite(length)):
            self.optimiser.step()
        self.step_number += 1
        self._average()
        return float(bound.detach()), float(proposal.kl().mean().detach())

    @torch.no_grad()
    def _average(self) -> None:
        share = 1 / min(self.step_number, _AVERAGE_STEPS)
        for own, mean in zip(self.networks.parameters(), self.averaged.parameters(), strict=True):
            mean.lerp_(own, share)

    def evaluate(self) -> Sampled:
        """Held-out particles under the averaged weights, always with the same draws."""
        with torch.no_grad():
            proposal = self.averaged.encoder(self.linear.features[self.held_out])
        return sample(moments(self.evidence.of(self.held_out)), self.averaged.decoder, proposal, self.noise)

    def state(self) -> dict[str, Any]:
        """All that another trainer needs to go on exactly, beside evidence, settings and averaged weights."""
        return {
            "networks": self.networks.state(),
            "kept": self.kept.state(),
            "optimiser": copy.deepcopy(self.optimiser.state_dict()),
            "generator": self.generator.get_state(),
            "number": self.number,
            "step_number": self.step_number,
            "steps_an_epoch": self.steps_an_epoch,
            "round": self.round,
            "kept_epoch": self.kept_epoch,
            "history": list(self.history),
        }

    def restore(self, averaged: dict[str, Any], state: dict[str, Any]) -> None:
        """Go on from a state; exactly, where evidence and settings are the same."""
        self.networks.restore(state["networks"])
        self.averaged.restore(averaged)
        self.kept.restore(state["kept"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.number, self.step_number = int(state["number"]), int(state["step_number"])
        self.round, self.kept_epoch = int(state["round"]), int(state["kept_epoch"])
        self.history = [float(value) for value in state["history"]]


def one_cycle(share_done: float) -> tuple[float, float]:
    """Learning rate, of the highest, and momentum: up along a cosine, then down (Smith & Topin 2018)."""
    low, high = _MOMENTUM
    if share_done < _WARM_SHARE:
        bend = (1 - math.cos(math.pi * share_done / _WARM_SHARE)) / 2
        return _FIRST_RATE + (1 - _FIRST_RATE) * bend, low + (high - low) * bend
    bend = (1 - math.cos(math.pi * min(1.0, (share_done - _WARM_SHARE) / (1 - _WARM_SHARE)))) / 2
    return 1 + (_LAST_RATE - 1) * bend, high + (low - high) * bend
