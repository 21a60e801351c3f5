"""Training from the first epoch to the last, with a verdict in words; and placing particles."""

from collections.abc import Callable
from dataclasses import fields

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.distributed import of_first
from cryoscape.engines.manifold.bound import Sampled, sample
from cryoscape.engines.manifold.likelihood import moments
from cryoscape.engines.manifold.networks import Encoder, Gaussians, Networks
from cryoscape.engines.manifold.trainer import TELLING, EpochReport, Trainer
from cryoscape.engines.states.evidence import Evidence

_BLOCK_DRAWS = 200_000
_BLOCK = 4096
_LAST_SHARE = 0.2


def fit_manifold(
    trainer: Trainer,
    renew: Callable[[Networks], Evidence],
    report: Callable[[EpochReport], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train until the epochs are done or, where their number was not given, nothing is gained for long.

    Parameters
    ----------
    renew
        What images say of maps that are made again with given networks; called once, see
        `ManifoldConfig.renewal_share`.
    report
        Told of each epoch.
    should_stop
        Asked after each epoch.

    Returns
    -------
    False where `should_stop` ended training.
    """
    first_renewed = trainer.config.renewed_before(trainer.n_epochs)
    while trainer.number < trainer.n_epochs:
        if trainer.round == 0 and trainer.number >= first_renewed:
            trainer.renew(renew(trainer.kept))
        report(trainer.epoch())
        if should_stop():
            return False
        if trainer.round and trainer.config.epochs is None:
            idle = trainer.number - 1 - trainer.kept_epoch
            if of_first(int(idle >= trainer.config.patience)):
                break
    return True


def epoch_to_use(values: list[float]) -> int:
    """The last epoch, or the best where held-out likelihood has fallen since; the first given is 0."""
    best = max(range(len(values)), key=values.__getitem__)
    return best if values[best] - values[-1] > TELLING else len(values) - 1


def verdict(values: list[float], first: int, all_kept: bool) -> str:
    """Whether training was long enough, in words.

    Parameters
    ----------
    values
        Held-out log-likelihood of epochs with the same maps.
    first
        Number of the first of them.
    all_kept
        Whether weights of all epochs stay, rather than those up to the best alone.
    """
    top, last = max(values), len(values) - 1
    epoch = first + epoch_to_use(values)
    use = f"use epoch {epoch}" if all_kept else f"epoch {epoch} is kept"
    if top - values[last] > TELLING:
        return (
            f"overfitting: held-out likelihood fell by {top - values[last]:.2f} nats an image after "
            f"epoch {epoch}; {use}"
        )
    before = values[max(0, last - max(1, round(_LAST_SHARE * (first + len(values)))))]
    if top - before > TELLING * 2:
        return (
            f"still improving: the last epochs gained {top - before:.2f} nats an image; more epochs "
            f"(-n above {first + len(values)}) may gain more; {use}"
        )
    return f"converged: held-out likelihood has settled; {use}"


@torch.no_grad()
def encode(features: Float[Tensor, "n f"], encoder: Encoder) -> Gaussians:
    """Posterior of u of every particle."""
    parts = [encoder(block) for block in torch.split(features, _BLOCK)]
    return Gaussians(torch.cat([part.mean for part in parts]), torch.cat([part.scale for part in parts]))


@torch.no_grad()
def weigh(evidence: Evidence, posterior: Gaussians, networks: Networks, samples: int, seed: int) -> Sampled:
    """What draws from the posteriors of particles say, weighted by prior and likelihood."""
    device = evidence.image.device
    generator = torch.Generator(device).manual_seed(seed)
    seen = []
    for rows in torch.split(torch.arange(evidence.n, device=device), max(1, _BLOCK_DRAWS // samples)):
        proposal = Gaussians(posterior.mean[rows], posterior.scale[rows])
        shape = (samples, len(rows), networks.encoder.zdim)
        noise = torch.randn(shape, generator=generator, device=device)
        seen.append(sample(moments(evidence.of(rows)), networks.decoder, proposal, noise))
    return Sampled(*(torch.cat([getattr(part, one.name) for part in seen]) for one in fields(Sampled)))
