"""Lower bounds of the likelihood of images, and moments of coefficients, from draws that are weighted."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.manifold.likelihood import Moments
from cryoscape.engines.manifold.networks import Decoder, Gaussians


@dataclass(frozen=True)
class Sampled:
    """What weighted draws say of some particles; contrast integrated out.

    Attributes
    ----------
    bound : (B,) evidence lower bound, nats over an image of pure noise.
    log_likelihood : (B,) importance-weighted, a tighter bound (Burda, Grosse & Salakhutdinov 2016).
    contrast : (B,) mean.
    once : (B, q + 1) E[a (1, c)], with the contrast a and the coefficients c.
    twice : (B, q + 1, q + 1) E[a^2 (1, c) (1, c)^T].
    """

    bound: Float[Tensor, " b"]
    log_likelihood: Float[Tensor, " b"]
    contrast: Float[Tensor, " b"]
    once: Float[Tensor, "b m"]
    twice: Float[Tensor, "b m m"]


def weighted_bound(
    moments: Moments,
    decoder: Decoder,
    proposal: Gaussians,
    noise: Float[Tensor, "s b d"],
    prior_weight: float,
) -> Float[Tensor, " b"]:
    """Importance-weighted bound of the log-likelihood, as `Sampled.log_likelihood`, for training.

    Parameters
    ----------
    prior_weight
        Of prior over proposal in the weights of draws; 1 for the bound itself.
    """
    u = proposal.at(noise)
    likelihood = moments.fit(decoder(u)).log_likelihood
    log_weight = likelihood + prior_weight * _log_prior_ratio(u, noise, proposal)
    return torch.logsumexp(log_weight, dim=0) - math.log(len(u))


def _log_prior_ratio(
    u: Float[Tensor, "s b d"], noise: Float[Tensor, "s b d"], proposal: Gaussians
) -> Float[Tensor, "s b"]:
    """Logarithm of prior over proposal at draws."""
    return (noise.square() - u.square()).sum(-1) / 2 + proposal.log_determinant


@torch.no_grad()
def sample(moments: Moments, decoder: Decoder, proposal: Gaussians, noise: Float[Tensor, "s b d"]) -> Sampled:
    """Weigh draws from a proposal by prior and likelihood."""
    u = proposal.at(noise)
    coefficients = decoder(u)
    fit = moments.fit(coefficients)
    log_weight = fit.log_likelihood + _log_prior_ratio(u, noise, proposal)
    weight = torch.softmax(log_weight, dim=0)
    v = torch.cat([torch.ones_like(u[..., :1]), coefficients], dim=-1).transpose(0, 1)
    once = (weight * fit.contrast).T
    twice = (weight * (fit.contrast.square() + fit.contrast_variance)).T
    return Sampled(
        bound=log_weight.mean(0),
        log_likelihood=torch.logsumexp(log_weight, dim=0) - math.log(len(u)),
        contrast=once.sum(1),
        once=(once[:, None] @ v)[:, 0],
        twice=(v * twice[..., None]).transpose(1, 2) @ v,
    )
