"""Training of encoder and decoder on the evidence of images, with particles held out to tell when to stop."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cryoscape.engines.manifold.bound import Sampled, sample, weighted_bound
from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.likelihood import LinearModel, linear_model, moments
from cryoscape.engines.manifold.networks import Decoder, Encoder, Gaussians
from cryoscape.engines.states.evidence import Evidence

_LEAST_STEPS = 30
"""Of an epoch: batches are smaller where particles are few."""
_AVERAGE_STEPS = 100
"""Over which weights are averaged for evaluation."""
_BLOCK_DRAWS = 200_000
_LARGEST_GRADIENT = 100.0
_MOST_HELD_OUT = 10_000
_TELLING = 0.02
"""Nats an image: smaller changes of the held-out likelihood count as none."""
_LAST_SHARE = 0.2


@dataclass(frozen=True)
class EpochReport:
    """How an epoch went; nats an image over one of pure noise. Held out are particles not trained on.

    Attributes
    ----------
    training_bound : what was trained, with ``prior_weight`` as it was at the end of the epoch.
    held_out_bound : variational (one draw), looser than the log-likelihood, which is weighted over draws.
    """

    epoch: int
    training_bound: float
    held_out_bound: float
    held_out_log_likelihood: float
    kl: float
    prior_weight: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Networks:
    """Encoder and decoder, ready for use."""

    encoder: Encoder
    decoder: Decoder


@dataclass(frozen=True, eq=False)
class ManifoldFit:
    """What was learned.

    Attributes
    ----------
    kept_epoch : whose weights these are.
    held_out : particles not trained on.
    held_out_log_likelihood, linear_log_likelihood : of these, of networks and of the linear subspace.
    finished : False where `should_stop` ended training.
    verdict : in words.
    """

    networks: Networks
    linear: LinearModel
    kept_epoch: int
    held_out: Int[Tensor, " h"]
    held_out_log_likelihood: float
    linear_log_likelihood: float
    finished: bool
    verdict: str
    reports: list[EpochReport] = field(repr=False)


class Trainer:
    """State of training on one set of evidence; `epoch` is one pass."""

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
        self.networks = new_networks(config, evidence.zdim, self.linear.features)
        self.averaged = copy.deepcopy(self.networks)
        self.steps_an_epoch = max(1, len(self.trained) // self.batch)
        parameters = [*self.networks.encoder.parameters(), *self.networks.decoder.parameters()]
        self.optimiser = torch.optim.Adam(parameters, lr=config.learning_rate)
        total = self.n_epochs * self.steps_an_epoch
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, config.learning_rate, total_steps=total + 1, pct_start=0.1
        )
        self.total_steps, self.step_number = total, 0
        self.noise = torch.randn(
            config.samples, n_held_out, config.zdim, generator=self.generator, device=self.device
        )

    def epoch(self, number: int) -> EpochReport:
        """One pass over the particles that are trained on."""
        start, total, kl = time.perf_counter(), 0.0, 0.0
        order = self.trained[torch.randperm(len(self.trained), generator=self.generator, device=self.device)]
        for rows in torch.split(order[: self.steps_an_epoch * self.batch], self.batch):
            found = self._step(rows)
            total, kl = total + found[0], kl + found[1]
        seen = self.evaluate()
        return EpochReport(
            epoch=number,
            training_bound=total / self.steps_an_epoch,
            held_out_bound=float(seen.bound.mean()),
            held_out_log_likelihood=float(seen.log_likelihood.mean()),
            kl=kl / self.steps_an_epoch,
            prior_weight=self.prior_weight,
            learning_rate=float(self.schedule.get_last_lr()[0]),
            seconds=time.perf_counter() - start,
        )

    @property
    def prior_weight(self) -> float:
        """Weight of the prior in the next step."""
        warm = self.step_number / max(1.0, self.config.kl_share * self.total_steps)
        return min(1.0, self.config.kl_start + (1 - self.config.kl_start) * warm)

    def _step(self, rows: Tensor) -> tuple[float, float]:
        """One step; the bound, and the divergence from the prior."""
        shape = (self.config.draws, len(rows), self.config.zdim)
        noise = torch.randn(shape, generator=self.generator, device=self.device)
        proposal = self.networks.encoder(self.linear.features[rows])
        own = moments(self.evidence.of(rows))
        bound = weighted_bound(own, self.networks.decoder, proposal, noise, self.prior_weight).mean()
        self.optimiser.zero_grad()
        (-bound).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.optimiser.param_groups[0]["params"], _LARGEST_GRADIENT)
        self.optimiser.step()
        self.schedule.step()
        self.step_number += 1
        self._average()
        return float(bound.detach()), float(proposal.kl().mean().detach())

    @torch.no_grad()
    def _average(self) -> None:
        share = 1 / min(self.step_number, _AVERAGE_STEPS)
        for name in ("encoder", "decoder"):
            mine, average = getattr(self.networks, name), getattr(self.averaged, name)
            for own, kept in zip(mine.parameters(), average.parameters(), strict=True):
                kept.lerp_(own, share)

    def evaluate(self) -> Sampled:
        """Held-out particles under the averaged weights, always with the same draws."""
        with torch.no_grad():
            proposal = self.averaged.encoder(self.linear.features[self.held_out])
        return sample(moments(self.evidence.of(self.held_out)), self.averaged.decoder, proposal, self.noise)


def new_networks(config: ManifoldConfig, n_bases: int, features: Float[Tensor, "n f"]) -> Networks:
    """Encoder and decoder as they start: the linear subspace, seeded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = Encoder(config.zdim, n_bases, config.width, features)
        decoder = Decoder(config.zdim, n_bases, config.width)
    return Networks(encoder.to(features.device), decoder.to(features.device))


def fit_manifold(
    evidence: Evidence,
    config: ManifoldConfig,
    report: Callable[[EpochReport], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ManifoldFit:
    """Train until the epochs are done or held-out likelihood has not risen for long, and keep the best."""
    trainer = Trainer(evidence, config)
    reports: list[EpochReport] = []
    best, kept, finished = -float("inf"), 0, True
    weights = copy.deepcopy(trainer.averaged)
    for number in range(trainer.n_epochs):
        done = trainer.epoch(number)
        reports.append(done)
        report(done)
        if done.held_out_log_likelihood > best:
            best, kept, weights = done.held_out_log_likelihood, number, copy.deepcopy(trainer.averaged)
        if should_stop():
            finished = False
            break
        if number - kept >= config.patience:
            break
    return ManifoldFit(
        networks=weights,
        linear=trainer.linear,
        kept_epoch=kept,
        held_out=trainer.held_out,
        held_out_log_likelihood=best,
        linear_log_likelihood=float(trainer.linear.log_likelihood[trainer.held_out].mean()),
        finished=finished,
        verdict=verdict(reports, kept),
        reports=reports,
    )


def verdict(reports: list[EpochReport], kept: int) -> str:
    """Whether training was long enough, in words, from the held-out likelihood of each epoch."""
    values = [one.held_out_log_likelihood for one in reports]
    last = len(values) - 1
    if values[kept] - values[last] > _TELLING:
        return (
            f"overfitting: held-out likelihood fell by {values[kept] - values[last]:.2f} nats an image after "
            f"epoch {kept}, whose weights are kept"
        )
    before = values[max(0, last - max(1, round(_LAST_SHARE * len(values))))]
    if values[kept] - before > _TELLING * 2:
        return (
            f"still improving: the last epochs gained {values[kept] - before:.2f} nats an image; more epochs "
            f"(-n above {len(values)}) may gain more; epoch {kept} is kept"
        )
    return f"converged: held-out likelihood has settled; epoch {kept} is kept"


@torch.no_grad()
def place(
    evidence: Evidence, features: Float[Tensor, "n f"], networks: Networks, samples: int, seed: int
) -> tuple[Gaussians, Sampled]:
    """Posterior of u of every particle by the encoder, and what draws from it say.

    Parameters
    ----------
    features
        Of the same evidence, see `likelihood.LinearModel`.
    """
    device = evidence.image.device
    generator = torch.Generator(device).manual_seed(seed)
    own, seen = [], []
    for rows in torch.split(torch.arange(evidence.n, device=device), max(1, _BLOCK_DRAWS // samples)):
        proposal = networks.encoder(features[rows])
        shape = (samples, len(rows), networks.encoder.zdim)
        noise = torch.randn(shape, generator=generator, device=device)
        seen.append(sample(moments(evidence.of(rows)), networks.decoder, proposal, noise))
        own.append(proposal)
    joined = (torch.cat([getattr(part, one.name) for part in seen]) for one in fields(Sampled))
    posterior = Gaussians(torch.cat([part.mean for part in own]), torch.cat([part.scale for part in own]))
    return posterior, Sampled(*joined)
