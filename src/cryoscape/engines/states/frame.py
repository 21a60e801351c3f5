"""Coordinates in which K states are K points of K - 1 dimensions, and what maps in them are made from."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.states.evidence import Likelihoods
from cryoscape.engines.states.mixture import Mixture
from cryoscape.engines.subspace.em import Model

_LEAST_SHARE = 0.1
"""Prior power of a difference between states, of the average of all: the subspace may not hold it yet."""


@dataclass(frozen=True)
class Frame:
    """Coordinates u with mean 0 and covariance I over the images, most telling first.

    Attributes
    ----------
    points : (K, r) of the states; r = K - 1.
    change : (r + 1, q + 1), mean and bases in these coordinates from those of the subspace.
    """

    points: Float[Tensor, "k r"]
    change: Float[Tensor, "m n"]


def frame_of(mixture: Mixture) -> Frame:
    """Coordinates that hold every difference between states, also those their places do not have yet."""
    share = mixture.shares.double().clamp(min=1e-9)
    share = share / share.sum()
    centres = mixture.centres.double()
    mean = share @ centres
    root = share.sqrt()
    scaled = root[:, None] * (centres - mean)
    square = scaled @ scaled.T
    # the direction of the mean, which is none of the differences, comes last of ascending eigenvalues
    _, vectors = torch.linalg.eigh(square + (1 + 2 * square.trace()) * torch.outer(root, root))
    points = vectors[:, :-1].flip(1) / root[:, None]
    q, r = centres.shape[1], mixture.k - 1
    change = torch.zeros(r + 1, q + 1, dtype=torch.float64, device=centres.device)
    change[0, 0] = 1
    change[0, 1:] = mean
    change[1:, 1:] = (share[:, None] * points).T @ (centres - mean)
    return Frame(points.float(), change.float())


def in_frame(model: Model, frame: Frame) -> Model:
    """The model's maps and prior in the coordinates of states."""
    change = frame.change.to(model.maps)
    power = model.power @ (change**2).T
    # the mean keeps its own power: that of bases is small beside it
    power[:, 0] = model.power[:, 0]
    if power.shape[1] > 1:
        pooled = power[:, 1:].mean(1, keepdim=True)
        power[:, 1:] = torch.maximum(power[:, 1:], _LEAST_SHARE * pooled)
    return replace(model, maps=torch.einsum("ij,hjzyx->hizyx", change, model.maps), power=power)


def moments_of_states(
    points: Float[Tensor, "k r"], weight: Float[Tensor, "n k"], found: Likelihoods
) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m m"]]:
    """E[a (1, u)] and E[a^2 (1, u) (1, u)^T] of each image, from its probabilities and contrasts."""
    v = torch.cat([torch.ones(len(points), 1, device=points.device), points], dim=1)
    once = (weight * found.contrast) @ v
    outer = (v[:, :, None] * v[:, None]).flatten(1)
    twice = (weight * (found.contrast**2 + found.contrast_variance)) @ outer
    return once, twice.view(len(weight), v.shape[1], v.shape[1])
