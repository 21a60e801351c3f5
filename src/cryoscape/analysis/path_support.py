"""How far particles support the points of a path through latent space."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from scipy.stats import chi2

from cryoscape.analysis.neighbours import support, typical_radius
from cryoscape.typing import Latents

PROBABILITY = 0.95
"""Of the posterior region of a particle that a point must lie in to be supported by it."""
_BLOCK = 50_000  # particles whose covariances are inverted at once


@dataclass(frozen=True)
class PathSupport:
    """Particles behind each point of a path.

    Attributes
    ----------
    particles : how many support the point.
    nearest_row : row of the particle nearest to the point (Euclidean).
    nearest_distance : its distance in latent units.
    measure : what "support" means here, in words that continue "particles ...".
    """

    particles: Int[np.ndarray, " p"]
    nearest_row: Int[np.ndarray, " p"]
    nearest_distance: Float[np.ndarray, " p"]
    measure: str


def path_support(
    z: Latents, points: Float[np.ndarray, "p zdim"], covariance: Float[np.ndarray, "n q q"] | None = None
) -> PathSupport:
    """Count the particles that support each point, on the scale of the run itself.

    With posterior covariances: particles whose own 95 % region holds the point. Without: particles within
    the radius that holds 1 % of all particles around a typical one.

    Parameters
    ----------
    z : array (n, zdim)
        Latent coordinates (posterior means).
    points : array (p, zdim)
    covariance : array (n, zdim, zdim), optional
        Posterior covariances.
    """
    distance, row = cKDTree(z).query(points, workers=-1)
    if covariance is None:
        radius = typical_radius(z)
        counts = support(z, points, radius)
        measure = f"within {radius:.3g} (holds 1 % of all around a typical one)"
    else:
        counts = particles_compatible(z, covariance, points)
        measure = f"whose {100 * PROBABILITY:.0f} % posterior region holds the point"
    return PathSupport(
        np.asarray(counts, dtype=np.int64),
        np.asarray(row, dtype=np.int64),
        np.asarray(distance, dtype=np.float64),
        measure,
    )


def particles_compatible(
    z: Latents,
    covariance: Float[np.ndarray, "n q q"],
    points: Float[np.ndarray, "p zdim"],
    probability: float = PROBABILITY,
) -> Int[np.ndarray, " p"]:
    """Number of particles with (x - z)' C^-1 (x - z) at most the chi-square quantile, for each point x."""
    zdim = z.shape[1]
    limit = float(chi2.ppf(probability, zdim))
    counts = np.zeros(len(points), dtype=np.int64)
    for start in range(0, len(z), _BLOCK):
        block = slice(start, start + _BLOCK)
        mean, wide = np.asarray(z[block], np.float64), np.asarray(covariance[block], np.float64)
        # a coordinate that is known exactly would leave nothing to invert
        scale = np.trace(wide, axis1=1, axis2=2) / zdim
        factor = np.linalg.inv(
            np.linalg.cholesky(wide + (1e-6 * scale + 1e-30)[:, None, None] * np.eye(zdim))
        )
        for i, point in enumerate(points):
            white = np.einsum("nij,nj->ni", factor, point - mean)
            counts[i] += int((np.square(white).sum(axis=1) <= limit).sum())
    return counts
