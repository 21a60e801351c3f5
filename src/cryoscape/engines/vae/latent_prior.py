"""A prior of latents that need not be Gaussian: points in the subspace, fitted to the images' moments.

Image = a C P (mean + sum z_j basis_j) + noise with contrast a ~ N(1, s^2) and z one of K points. All that an
image says of a point is in its matrix G (`subspace.moments`), so a step costs one product of matrices.
Learned by expectation maximisation (nonparametric maximum likelihood of the mixing distribution, Laird 1978).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST_SPREAD = 0.01
_LEAST_COUNT = 0.1


@dataclass(frozen=True)
class LatentPrior:
    """Points (K, q) and the share (K,) of the images at each."""

    points: Float[Tensor, "k q"]
    shares: Float[Tensor, " k"]


@dataclass(frozen=True)
class PriorPosterior:
    """Probability (N, K) of each point, contrast (N, K) there, mean latent (N, q), log-likelihood (N,).

    The log-likelihood is less that of an image of pure noise, as in `subspace.posterior`.
    """

    weight: Float[Tensor, "n k"]
    contrast: Float[Tensor, "n k"]
    mean: Float[Tensor, "n q"]
    log_likelihood: Float[Tensor, " n"]


def place(moments: Float[Tensor, "n m m"], prior: LatentPrior, contrast_spread: float) -> PriorPosterior:
    """Posterior over the points, the contrast integrated out in closed form."""
    precision = max(contrast_spread, _LEAST_SPREAD) ** -2
    known = torch.cat([torch.ones_like(prior.points[:, :1]), prior.points], dim=1)
    n = known.shape[1]
    squares = (known[:, :, None] * known[:, None]).flatten(1)
    image = moments[:, :n, n] @ known.T
    power = moments[:, :n, :n].flatten(1) @ squares.T
    contrast = (image + precision) / (power + precision)
    gain = ((image + precision) * contrast - precision - torch.log1p(power / precision)) / 2
    joint = gain + prior.shares.log()
    total = torch.logsumexp(joint, dim=1)
    weight = (joint - total[:, None]).exp()
    return PriorPosterior(weight, contrast, weight @ prior.points, total)


def improve(moments: Float[Tensor, "n m m"], prior: LatentPrior, contrast_spread: float) -> LatentPrior:
    """One step: shares from the posteriors, points by least squares with a standard normal prior."""
    found = place(moments, prior, contrast_spread)
    n = prior.points.shape[1] + 1
    shares = found.weight.sum(0) + _LEAST_COUNT
    left = (found.weight * found.contrast**2).T @ moments[:, :n, :n].flatten(1)
    right = (found.weight * found.contrast).T @ moments[:, :n, n]
    left = left.view(-1, n, n)
    ridge = torch.eye(n - 1, dtype=left.dtype, device=left.device)
    points = torch.linalg.solve(left[:, 1:, 1:] + ridge, (right - left[:, :, 0])[:, 1:])
    return LatentPrior(points, shares / shares.sum())
