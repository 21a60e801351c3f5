"""How particles spread over a plane of the landscape: densities, and their negative logarithm."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage


@dataclass(frozen=True, eq=False)
class PlaneDensity:
    """Smoothed counts of particles on a grid over a plane.

    Attributes
    ----------
    x_edges, y_edges : (b + 1,) limits of the bins.
    particles : (b, b) expected particles in each bin, rows along y.
    """

    x_edges: Float[np.ndarray, " e"]
    y_edges: Float[np.ndarray, " e"]
    particles: Float[np.ndarray, "b b"]

    @property
    def surprise(self) -> Float[np.ndarray, "b b"]:
        """-ln(density / highest density); NaN where less than half a particle a bin is expected.

        Not an energy: the uncertainty of each particle's place, the choice of coordinates and of particles
        shape it as much as the ensemble does.
        """
        seen = np.where(self.particles >= 0.5, self.particles, np.nan)
        return np.asarray(-np.log(seen / np.nanmax(seen))) if np.isfinite(seen).any() else seen


def plane_density(points: Float[np.ndarray, "n 2"], *, smoothing_bins: float = 1.0) -> PlaneDensity:
    """Histogram of points (n, 2) with a Gaussian of `smoothing_bins`, over the middle 99.8 % of each axis.

    Bins are as fine as the number of particles carries, 20 to 80 a side.
    """
    n_bins = int(np.clip(np.sqrt(len(points)) / 2.5, 20, 80))
    edges = []
    for axis in range(2):
        low, high = np.percentile(points[:, axis], [0.1, 99.9])
        margin = 0.08 * (high - low) if high > low else 1.0
        edges.append(np.linspace(low - margin, high + margin, n_bins + 1))
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=[edges[1], edges[0]])
    smooth = ndimage.gaussian_filter(counts, smoothing_bins, mode="constant")
    return PlaneDensity(edges[0], edges[1], np.asarray(smooth, dtype=np.float64))
