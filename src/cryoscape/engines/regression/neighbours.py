"""Which particles speak for which map: rings of growing distance in the metric of their own posteriors."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

RINGS = (1.0, 2.0, 4.0)
"""Outer edges, in multiples of what the squared distance is on average for a particle truly there."""
_BLOCK = 4096
_LEAST_VARIANCE = 1e-6


def squared_distances(
    z: Float[Tensor, "n q"], covariance: Float[Tensor, "n q q"], points: Float[Tensor, "m q"]
) -> Float[Tensor, "n m"]:
    """(z - point)^T covariance^-1 (z - point) / q: about 1 for a particle that truly lies at the point.

    Multiplied out, so that all points are one product of matrices: solving many small systems side by side
    makes the threads wait for each other.
    """
    q = z.shape[1]
    p = points.double()
    squares = (p[:, :, None] * p[:, None]).flatten(1)
    of_points = torch.cat([squares, p, torch.ones_like(p[:, :1])], dim=1)
    jitter = _LEAST_VARIANCE * torch.eye(q, dtype=torch.float64, device=z.device)
    parts = []
    for own, spread in zip(torch.split(z.double(), _BLOCK), torch.split(covariance, _BLOCK), strict=True):
        precision = torch.cholesky_inverse(torch.linalg.cholesky(spread.double() + jitter))
        pulled = (precision @ own[:, :, None])[:, :, 0]
        length = (pulled * own).sum(1, keepdim=True)
        of_images = torch.cat([precision.flatten(1), -2 * pulled, length], dim=1)
        parts.append((of_images @ of_points.T / q).clamp(min=0).float())
    return torch.cat(parts)


def rings(distances: Float[Tensor, "n m"]) -> Int[Tensor, "n m"]:
    """Number of the ring of each particle about each point; -1 beyond the last."""
    edges = torch.tensor(RINGS, device=distances.device)
    number = torch.bucketize(distances.contiguous(), edges)
    return torch.where(number < len(RINGS), number, -1)
