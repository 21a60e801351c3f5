"""Expectation maximisation for states as points of the subspace."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.states.evidence import Evidence, Likelihoods, likelihoods

_LEAST_SHARE = 1e-6
"""Of the images: bounds the logarithm of the share of a state that has lost all."""
_RIDGE = 1e-6
"""Of the average precision, added where a state's images do not determine its place."""


@dataclass(frozen=True)
class Mixture:
    """States.

    Attributes
    ----------
    centres : (K, q) places in the subspace.
    shares : (K,) of the images, adding up to 1.
    """

    centres: Float[Tensor, "k q"]
    shares: Float[Tensor, " k"]

    @property
    def k(self) -> int:
        """Number of states."""
        return len(self.centres)


def joint(found: Likelihoods, shares: Float[Tensor, " k"]) -> Float[Tensor, "n k"]:
    """Log of share times likelihood."""
    return found.log + shares.clamp(min=_LEAST_SHARE).log()


def log_likelihoods(evidence: Evidence, mixture: Mixture) -> Float[Tensor, " n"]:
    """Log-likelihood of each image under the mixture."""
    return torch.logsumexp(joint(likelihoods(evidence, mixture.centres), mixture.shares), dim=1)


def centres_of(evidence: Evidence, weight: Float[Tensor, "n k"], found: Likelihoods) -> Float[Tensor, "k q"]:
    """Most likely places given how much each image belongs to each state, and its contrast there."""
    squares = weight * (found.contrast**2 + found.contrast_variance)
    m = evidence.image.shape[1]
    i, j = evidence.pairs
    halved = evidence.gram * torch.where(i == j, 1.0, 0.5).to(evidence.gram)
    gram = torch.empty(weight.shape[1], m, m, dtype=torch.float64, device=weight.device)
    gram[:, i, j] = (squares.T @ halved).double()
    gram[:, j, i] = gram[:, i, j]
    right = ((weight * found.contrast).T @ evidence.image).double()[:, 1:] - gram[:, 1:, 0]
    left = gram[:, 1:, 1:]
    ridge = _RIDGE * torch.diagonal(left, dim1=1, dim2=2).mean(1).clamp(min=1e-9)
    left = left + ridge[:, None, None] * torch.eye(m - 1, dtype=left.dtype, device=left.device)
    solved: Tensor = torch.linalg.solve(left, right)
    return solved.float()


def fit(
    evidence: Evidence, start: Mixture, iterations: int, temperature: float = 1.0, tolerance: float = 1e-4
) -> tuple[Mixture, float]:
    """Improve a mixture until its mean log-likelihood gains less than the tolerance an iteration.

    Parameters
    ----------
    temperature
        Divides log-likelihoods; falls geometrically to 1 over the first half of the iterations.

    Returns
    -------
    The mixture, and the mean log-likelihood an image of the one before it.
    """
    mixture, before = start, -float("inf")
    warm = max(1, iterations // 2) if temperature > 1 else 0
    for step in range(iterations):
        heat = temperature ** max(0.0, 1 - step / warm) if warm else 1.0
        found = likelihoods(evidence, mixture.centres)
        total = joint(found, mixture.shares)
        value = float(torch.logsumexp(total, dim=1).double().mean())
        weight = torch.softmax(total / heat, dim=1)
        mixture = Mixture(centres_of(evidence, weight, found), weight.mean(0))
        if heat == 1 and value - before < tolerance:
            break
        before = value
    return mixture, value


def responsibilities(
    evidence: Evidence, mixture: Mixture
) -> tuple[Float[Tensor, "n k"], Likelihoods, Float[Tensor, " n"]]:
    """Probability of each state for each image, the likelihoods behind it, and that of the mixture."""
    found = likelihoods(evidence, mixture.centres)
    total = joint(found, mixture.shares)
    return torch.softmax(total, dim=1), found, torch.logsumexp(total, dim=1)
