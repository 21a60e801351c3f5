"""Exact nearest neighbours of particles in latent space, shared by every analysis that needs them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from cryoscape.typing import Latents


@dataclass(frozen=True)
class Neighbours:
    """The k nearest particles of each particle, nearest first, the particle itself in column 0."""

    index: Int[np.ndarray, "n k"]
    distance: Float[np.ndarray, "n k"]


def nearest_neighbours(z: Latents, k: int) -> Neighbours:
    """Exact Euclidean k nearest neighbours (k counts the particle itself; at most n are returned).

    Parameters
    ----------
    z : array (n, zdim)
        Latent coordinates.
    k : int
        Neighbours per particle, the particle itself included.
    """
    k = max(1, min(k, len(z)))
    distance, index = cKDTree(z).query(z, k=np.arange(1, k + 1), workers=-1)
    index = np.asarray(index, dtype=np.int64)
    distance = np.asarray(distance, dtype=np.float64)
    own = np.arange(len(z))
    # among duplicates of a point the tree may list another one first, or leave the point itself out
    for row in np.flatnonzero(index[:, 0] != own):
        place = np.flatnonzero(index[row] == row)
        index[row, place[0] if len(place) else -1] = index[row, 0]
        index[row, 0] = row
    return Neighbours(index, distance)


def support(z: Latents, points: Float[np.ndarray, "p zdim"], radius: float) -> Int[np.ndarray, " p"]:
    """Number of particles within `radius` (latent units) of each point of a path."""
    counts = cKDTree(z).query_ball_point(points, radius, workers=-1, return_length=True)
    return np.asarray(counts, dtype=np.int64)


def typical_radius(z: Latents, fraction: float = 0.01, n_probes: int = 2000, seed: int = 0) -> float:
    """Radius around a particle that holds `fraction` of all particles (at least 10), in the median.

    A scale for `support` that follows the density of the latent space instead of a fixed number.
    """
    k = min(max(10, round(fraction * len(z))), len(z))
    probes = np.random.default_rng(seed).choice(len(z), size=min(n_probes, len(z)), replace=False)
    distance, _ = cKDTree(z).query(z[np.sort(probes)], k=[k], workers=-1)
    return float(np.median(distance))
