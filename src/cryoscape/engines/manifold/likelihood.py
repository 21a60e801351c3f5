"""What evidence says of coefficients: likelihood of any, and the exact posterior of the linear model."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.states.evidence import Evidence
from cryoscape.engines.subspace.posterior import posterior

_BLOCK = 4096
_LEAST_NATS = 0.01


@dataclass(frozen=True)
class Fit:
    """How images fit maps at given coefficients; contrast integrated out.

    Attributes
    ----------
    log_likelihood : natural logarithm, less that of an image of pure noise.
    contrast, contrast_variance : posterior of the contrast.
    """

    log_likelihood: Float[Tensor, "*any b"]
    contrast: Float[Tensor, "*any b"]
    contrast_variance: Float[Tensor, "*any b"]


@dataclass(frozen=True)
class Moments:
    """Products of each image with maps, ready to be evaluated at coefficients of its own.

    Attributes
    ----------
    gram : (B, m, m) of the maps.
    image : (B, m) of the maps with the image.
    """

    gram: Float[Tensor, "b m m"]
    image: Float[Tensor, "b m"]
    contrast_spread: float

    def fit(self, coefficients: Float[Tensor, "s b q"]) -> Fit:
        """How each image fits each of S maps of its own.

        With contrast a ~ N(1, s^2) the integral is closed, see `states.evidence.likelihoods`.
        """
        v = torch.cat([torch.ones_like(coefficients[..., :1]), coefficients], dim=-1).transpose(0, 1)
        product = torch.einsum("bsm,bm->sb", v, self.image)
        power = ((v @ self.gram) * v).sum(-1).T.clamp(min=0)
        if self.contrast_spread <= 0:
            return Fit(product - power / 2, torch.ones_like(power), torch.zeros_like(power))
        prior = self.contrast_spread**-2
        precision = power + prior
        contrast = (product + prior) / precision
        excess = ((product - power) * (1 + contrast) + power) / 2
        return Fit(excess - (precision / prior).log() / 2, contrast, 1 / precision)


def moments(evidence: Evidence) -> Moments:
    """Evidence with its Gram matrices laid out in full."""
    m = evidence.image.shape[1]
    i, j = evidence.pairs
    halved = evidence.gram * torch.where(i == j, 1.0, 0.5).to(evidence.gram)
    gram = torch.empty(evidence.n, m, m, device=halved.device)
    gram[:, i, j] = halved
    gram[:, j, i] = halved
    return Moments(gram, evidence.image, evidence.contrast_spread)


def telling_components(evidence: Evidence) -> int:
    """Number of leading components, at least 1, beyond which none tells anything of the images.

    A component of mean power G_jj gains half of log(1 + G_jj) nats an image. One that tells nothing would
    leave its coefficient free to take any value.
    """
    i, j = evidence.pairs
    information = evidence.gram[:, i == j].mean(0).log1p() / 2
    telling = torch.nonzero(information[1:] > _LEAST_NATS)
    return int(telling.max()) + 1 if len(telling) else 1


def with_components(evidence: Evidence, n: int) -> Evidence:
    """Evidence of the mean map and the first n bases alone."""
    kept = (evidence.pairs <= n).all(0)
    return Evidence(evidence.gram[:, kept], evidence.image[:, : n + 1], evidence.contrast_spread)


@dataclass(frozen=True)
class LinearModel:
    """What the linear subspace says of every particle.

    Attributes
    ----------
    features : (N, 2 q + 1): posterior means, logarithms of variances, mean contrast.
    log_likelihood : (N,), exact, less that of an image of pure noise.
    alone : (N,) the same for the mean map alone.
    """

    features: Float[Tensor, "n f"]
    log_likelihood: Float[Tensor, " n"]
    alone: Float[Tensor, " n"]


def linear_model(evidence: Evidence) -> LinearModel:
    """Exact posteriors and likelihoods with latents z ~ N(0, I) that are the coefficients."""
    features, likelihood, information = [], [], []
    for rows in torch.split(torch.arange(evidence.n, device=evidence.image.device), _BLOCK):
        part = moments(evidence.of(rows))
        m = part.image.shape[1]
        whole = part.gram.new_zeros(len(rows), m + 1, m + 1)
        whole[:, :m, :m] = part.gram
        whole[:, :m, m] = whole[:, m, :m] = part.image
        found = posterior(whole, evidence.contrast_spread)
        variance = torch.diagonal(found.covariance, dim1=1, dim2=2).clamp(min=1e-12)
        features.append(torch.cat([found.mean, variance.log(), found.contrast[:, None]], dim=1))
        likelihood.append(found.log_likelihood)
        information.append(found.information)
    total = torch.cat(likelihood)
    return LinearModel(torch.cat(features), total, total - torch.cat(information))
