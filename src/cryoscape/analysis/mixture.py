"""Gaussian mixture of particles in latent space: clusters of unequal size and shape, and probabilities."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from cryoscape.analysis.clustering import Clusters, clusters_from_labels
from cryoscape.errors import InputError
from cryoscape.typing import Latents

_ROWS_A_BLOCK = 100_000


@dataclass(frozen=True)
class Mixture:
    """Particles by the component of a Gaussian mixture that most likely made them.

    Attributes
    ----------
    clusters : labels, on-data centres and counts, numbered by similarity as those of k-means.
    probabilities : array (n, k)
        Probability of each cluster for each particle; rows sum to 1, the largest is that of the label.
    """

    clusters: Clusters
    probabilities: Float[np.ndarray, "n k"]


def cluster_gmm(z: Latents, k: int, *, seed: int = 0, n_starts: int = 5, max_fitted: int = 50_000) -> Mixture:
    """Group particles by a mixture of Gaussians with full covariances.

    The best of several starts by likelihood is taken, so that a result does not hang on one. Above
    `max_fitted` particles the mixture is fitted to a random subset and every particle is assigned.

    Parameters
    ----------
    z : array (n, zdim)
        Latent coordinates.
    k : int
        Gaussians asked for; clamped to the number of distinct particles. Those that end without a particle
        are dropped, and their probability is shared out among the others.
    seed : int
        Start of the random generator; the same seed gives the same clusters.

    Raises
    ------
    InputError
        If k < 1.
    """
    if k < 1:
        raise InputError(f"--gmm: the number of clusters must be at least 1, found {k}.")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    points = np.asarray(z, dtype=np.float64)
    # one scale for all: the bound on the variances below is then a share of the spread of the particles
    scale = points.std()
    points = (points - points.mean(axis=0)) / (scale if scale > 0 else 1.0)
    fitted = _subset(points, max_fitted, seed)
    n_distinct = len(np.unique(fitted, axis=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct particles than clusters
        model = GaussianMixture(
            min(k, n_distinct), n_init=n_starts, reg_covar=1e-5, max_iter=200, random_state=seed
        ).fit(fitted)
    probabilities = np.empty((len(points), model.n_components), dtype=np.float32)
    for start in range(0, len(points), _ROWS_A_BLOCK):
        block = slice(start, start + _ROWS_A_BLOCK)
        probabilities[block] = model.predict_proba(points[block])
    return _numbered(z, probabilities, k)


def _subset(points: np.ndarray, n: int, seed: int) -> np.ndarray:
    if len(points) <= n:
        return points
    rows = np.random.default_rng(seed).choice(len(points), size=n, replace=False)
    return points[np.sort(rows)]


def _numbered(z: Latents, probabilities: np.ndarray, requested: int) -> Mixture:
    """Labels and columns in the order of similarity, components without a particle dropped."""
    component = probabilities.argmax(axis=1)
    clusters = clusters_from_labels(np.ascontiguousarray(z), component, requested=requested)
    # the component behind each number is that of the particle at its centre
    kept = probabilities[:, component[clusters.center_rows]]
    return Mixture(clusters, kept / kept.sum(axis=1, keepdims=True))
