"""Clusters of particles in latent space, numbered so that similar clusters have similar numbers."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from cryoscape.errors import InputError
from cryoscape.typing import Latents


@dataclass(frozen=True)
class Clusters:
    """A partition of the particles.

    A cluster has one number everywhere: label, row of `centers`, map file, plot annotation, table row.

    Attributes
    ----------
    labels : array (n,)
        Cluster of each particle, 0-based, each number in 0..k-1 used.
    centers : array (k, zdim)
        On-data centres: the latent coordinate of the member nearest to the mean of each cluster.
    center_rows : array (k,)
        Rows of those members in the table of latents; all different, labels[center_rows] == arange(k).
    counts : array (k,)
        Particles in each cluster.
    requested : int
        Number of clusters asked for; larger than k where there are fewer distinct particles.
    """

    labels: Int[np.ndarray, " n"]
    centers: Float[np.ndarray, "k zdim"]
    center_rows: Int[np.ndarray, " k"]
    counts: Int[np.ndarray, " k"]
    requested: int

    @property
    def k(self) -> int:
        """Number of clusters."""
        return len(self.centers)


def cluster_kmeans(z: Latents, k: int, *, seed: int = 0) -> Clusters:
    """Group particles by k-means, with on-data centres and similar clusters numbered next to each other.

    Parameters
    ----------
    z : array (n, zdim)
        Latent coordinates.
    k : int
        Clusters asked for; clamped to the number of distinct particles.
    seed : int
        Start of the random generator; the same seed gives the same clusters.

    Raises
    ------
    InputError
        If k < 1.
    """
    if k < 1:
        raise InputError(f"--ksample: the number of clusters must be at least 1, found {k}.")
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    points = np.ascontiguousarray(z)
    starts = 4 if k <= 50 else 1
    with warnings.catch_warnings():
        # fewer distinct particles than clusters: handled below by dropping the empty ones
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(min(k, len(points)), random_state=seed, n_init=starts, max_iter=300).fit(points)
    return clusters_from_labels(points, np.asarray(fitted.labels_, dtype=np.int64), requested=k)


def clusters_from_labels(
    z: Latents, labels: Int[np.ndarray, " n"], *, requested: int | None = None
) -> Clusters:
    """Clusters of any labelling, renumbered by similarity; numbers without particles are dropped."""
    numbers, compact = np.unique(labels, return_inverse=True)
    means = cluster_means(z, compact, len(numbers))
    order = similarity_order(means)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    labels = rank[compact]
    rows = on_data_centers(z, labels, means[order])
    counts = np.bincount(labels, minlength=len(order)).astype(np.int64)
    return Clusters(labels, np.asarray(z[rows]), rows, counts, requested or len(order))


def cluster_means(z: Latents, labels: Int[np.ndarray, " n"], k: int) -> Float[np.ndarray, "k zdim"]:
    """Mean latent coordinate of each cluster, in float64."""
    counts = np.bincount(labels, minlength=k).astype(np.float64)
    sums = [np.bincount(labels, weights=column, minlength=k) for column in np.asarray(z, np.float64).T]
    return np.stack(sums, axis=1) / counts[:, None]


def on_data_centers(
    z: Latents, labels: Int[np.ndarray, " n"], means: Float[np.ndarray, "k zdim"]
) -> Int[np.ndarray, " k"]:
    """Row of the member nearest to the mean of each cluster.

    Looking among the members only makes the rows unique and each centre carry its own label, which the
    nearest particle of all need not.
    """
    distance = np.linalg.norm(np.asarray(z, np.float64) - means[labels], axis=1)
    by_label_then_distance = np.lexsort((distance, labels))
    first = np.searchsorted(labels[by_label_then_distance], np.arange(len(means)))
    return np.asarray(by_label_then_distance[first], dtype=np.int64)


def similarity_order(points: Float[np.ndarray, "k d"], max_optimal: int = 1000) -> Int[np.ndarray, " k"]:
    """Order of points along a hierarchical clustering tree (average linkage, optimal leaf order).

    Neighbours in the order are near each other; above `max_optimal` points the plain leaf order is used,
    because the optimal one costs the cube of the number.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    if len(points) < 3:
        return np.arange(len(points))
    tree = linkage(points, method="average", optimal_ordering=len(points) <= max_optimal)
    order = np.asarray(leaves_list(tree), dtype=np.int64)
    return order if points[order[0], 0] <= points[order[-1], 0] else order[::-1].copy()
