"""From many states to as many as can be told apart: the pair that least deserves to be two becomes one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.engines.states.config import StatesConfig
from cryoscape.engines.states.evidence import Evidence, Likelihoods, likelihoods
from cryoscape.engines.states.mixture import Mixture, centres_of, fit, joint, log_likelihoods

_NEIGHBOURS = 4
"""States nearest to each that it may be merged with."""
_SAMPLE = 20_000
"""Images that a choice of pair looks at."""
_NATS_A_NUMBER = 2.0
"""A state must add so much for each of its coordinates: four times what fitting them to noise does."""


@dataclass(frozen=True)
class Merger:
    """The mixture with two states as one.

    Attributes
    ----------
    nats_a_particle : log-likelihood lost, divided by the particles of the smaller state.
    merit : how much the pair deserves to be two; below 1 for states that cannot be told apart.
    """

    mixture: Mixture
    nats_a_particle: float
    merit: float


def merge_states(
    evidence: Evidence,
    start: Mixture,
    k: int | None,
    iterations: int,
    least_nats_a_particle: float,
    report: Callable[[Merger], None] = lambda _: None,
) -> Mixture:
    """Merge pairs of states until ``k`` are left, or (None) all that are left can be told apart."""
    mixture, _ = fit(evidence, start, iterations)
    while mixture.k > (k or 1):
        merger = best_merger(evidence, mixture, least_nats_a_particle)
        if k is None and merger.merit >= 1:
            break
        report(merger)
        mixture, _ = fit(evidence, merger.mixture, iterations)
    return mixture


def settle(
    evidence: Evidence,
    start: Mixture,
    config: StatesConfig,
    report: Callable[[Merger], None] = lambda _: None,
    ease: float = 1.0,
) -> Mixture:
    """Merge states as configured, improve what is left to the end, and sort it, largest state first.

    ``ease`` multiplies what a state must be worth.
    """
    least = ease * config.least_nats_a_particle
    mixture = merge_states(evidence, start, config.k, config.iterations, least, report)
    mixture, _ = fit(evidence, mixture, config.final_iterations)
    order = mixture.shares.argsort(descending=True)
    return Mixture(mixture.centres[order], mixture.shares[order])


def held_out_likelihood(evidence: Evidence, mixture: Mixture, iterations: int) -> float:
    """Mean log-likelihood an image of each half set under the places fitted to the other.

    Also the maps of the halves differ: what one owes to errors of its maps the other does not confirm.
    """
    halves = [
        evidence.of(torch.arange(first, evidence.n, 2, device=evidence.image.device)) for first in (0, 1)
    ]
    total = 0.0
    for own, other in (halves, halves[::-1]):
        fitted, _ = fit(own, mixture, iterations)
        total += float(log_likelihoods(other, fitted).double().sum())
    return total / evidence.n


def best_merger(evidence: Evidence, mixture: Mixture, least_nats_a_particle: float) -> Merger:
    """The pair of states with the least merit, as one."""
    stride = max(1, evidence.n // _SAMPLE)
    rows = torch.arange(0, evidence.n, stride, device=evidence.image.device)
    part = evidence if stride == 1 else evidence.of(rows)
    found = likelihoods(part, mixture.centres)
    total = joint(found, mixture.shares)
    value = torch.logsumexp(total, dim=1).double()
    weight = torch.softmax(total, dim=1)
    pairs = _near_pairs(part, mixture)
    merged = _merged(part, weight, found, mixture, pairs)
    one = joint(likelihoods(part, merged.centres), merged.shares)
    lost = torch.stack([(value - _value_with(total, one[:, p], pair)).sum() for p, pair in enumerate(pairs)])
    lost = lost * evidence.n / part.n
    smaller = mixture.shares[pairs].min(1).values.double() * evidence.n
    each = lost / smaller.clamp(min=1)
    merit = torch.minimum(each / least_nats_a_particle, lost / (_NATS_A_NUMBER * (evidence.zdim + 1)))
    best = int(merit.argmin())
    kept = [k for k in range(mixture.k) if k not in pairs[best].tolist()]
    return Merger(
        Mixture(
            torch.cat([mixture.centres[kept], merged.centres[best : best + 1]]),
            torch.cat([mixture.shares[kept], merged.shares[best : best + 1]]),
        ),
        float(each[best]),
        float(merit[best]),
    )


def _near_pairs(evidence: Evidence, mixture: Mixture) -> Int[Tensor, "p 2"]:
    """Pairs of states that are neighbours, by the likelihood ratio of an average image."""
    m = evidence.zdim + 1
    i, j = evidence.pairs
    mean = evidence.gram.mean(0) * torch.where(i == j, 1.0, 0.5).to(evidence.gram)
    gram = mean.new_zeros(m, m)
    gram[i, j] = mean
    gram[j, i] = mean
    difference = mixture.centres[:, None] - mixture.centres
    distance = torch.einsum("abi,ij,abj->ab", difference, gram[1:, 1:], difference)
    distance.fill_diagonal_(float("inf"))
    near = distance.argsort(dim=1)[:, : min(_NEIGHBOURS, mixture.k - 1)]
    own = torch.arange(mixture.k, device=near.device)[:, None].expand_as(near)
    both = torch.stack([torch.minimum(own, near), torch.maximum(own, near)], dim=-1)
    pairs: Tensor = torch.unique(both.reshape(-1, 2), dim=0)
    return pairs


def _merged(
    evidence: Evidence, weight: Tensor, found: Likelihoods, mixture: Mixture, pairs: Int[Tensor, "p 2"]
) -> Mixture:
    """Each pair of states as one."""
    a, b = pairs.unbind(1)
    both = weight[:, a] + weight[:, b]
    share = weight[:, a] / both.clamp(min=1e-30)

    def mixed(values: Tensor) -> Tensor:
        return share * values[:, a] + (1 - share) * values[:, b]

    average = Likelihoods(both, mixed(found.contrast), mixed(found.contrast_variance))
    return Mixture(centres_of(evidence, both, average), mixture.shares[a] + mixture.shares[b])


def _value_with(
    total: Float[Tensor, "n k"], column: Float[Tensor, " n"], pair: Int[Tensor, " 2"]
) -> Float[Tensor, " n"]:
    """Log-likelihood of each image where one state stands for a pair."""
    changed = total.clone()
    changed[:, pair[0]] = column
    changed[:, pair[1]] = -float("inf")
    return torch.logsumexp(changed, dim=1).double()
