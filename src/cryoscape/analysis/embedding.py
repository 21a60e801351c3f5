"""Low-dimensional views of the latent space: principal components and UMAP."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from cryoscape.analysis.neighbours import nearest_neighbours
from cryoscape.errors import InputError
from cryoscape.typing import Latents


@dataclass(frozen=True)
class PrincipalComponents:
    """Principal axes of the latent coordinates.

    Attributes
    ----------
    mean : array (zdim,)
        Mean latent coordinate.
    axes : array (n_components, zdim)
        Orthonormal rows, by falling variance; the entry of largest magnitude in each row is positive.
    variance : array (n_components,)
        Variance along each axis (divisor n - 1).
    explained : array (n_components,)
        Share of the total variance; sums to 1 unless all particles coincide (then zeros).
    scores : array (n, n_components)
        Coordinates of the particles along the axes.
    """

    mean: Float[np.ndarray, " zdim"]
    axes: Float[np.ndarray, "c zdim"]
    variance: Float[np.ndarray, " c"]
    explained: Float[np.ndarray, " c"]
    scores: Float[np.ndarray, "n c"]

    def transform(self, z: Latents) -> Float[np.ndarray, "m c"]:
        """Coordinates of latent points along the axes."""
        return np.asarray((z - self.mean) @ self.axes.T)

    def inverse(self, scores: Float[np.ndarray, "m c"]) -> Float[np.ndarray, "m zdim"]:
        """Latent points of coordinates along the axes."""
        return np.asarray(scores @ self.axes + self.mean)


def check_latents(z: np.ndarray, where: str) -> None:
    """Raise InputError unless z is a finite (n, zdim) table with at least two rows."""
    if z.ndim != 2 or z.shape[1] < 1:
        raise InputError(f"{where}: latent coordinates must be a table (n, zdim), found shape {z.shape}.")
    if len(z) < 2:
        raise InputError(f"{where}: analysis needs at least 2 particles, found {len(z)}.")
    bad = np.flatnonzero(~np.isfinite(z).all(axis=1))
    if len(bad):
        raise InputError(
            f"{where}: {len(bad)} of {len(z)} particles have a latent coordinate that is not finite "
            f"(first rows {bad[:5].tolist()}): training has diverged, analyse an earlier epoch."
        )


def principal_components(z: Latents) -> PrincipalComponents:
    """All principal components of the latent coordinates, in float64, with a fixed sign.

    The sign convention (largest entry of each axis positive) keeps runs comparable: without it an axis may
    point either way from one library version to the next.
    """
    data = np.asarray(z, dtype=np.float64)
    mean = data.mean(axis=0)
    centred = data - mean
    covariance = centred.T @ centred / max(len(data) - 1, 1)
    variance, vectors = np.linalg.eigh(covariance)
    order = np.argsort(variance)[::-1]
    variance = np.clip(variance[order], 0.0, None)
    axes = vectors[:, order].T
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    axes = axes * np.where(largest < 0, -1.0, 1.0)[:, None]
    total = variance.sum()
    explained = variance / total if total > 0 else np.zeros_like(variance)
    return PrincipalComponents(mean, axes, variance, explained, centred @ axes.T)


def umap_epochs(n: int) -> int:
    """Layout epochs for n particles: starting from the principal components, these suffice."""
    if n <= 10_000:
        return 300
    return 200 if n <= 100_000 else 120


MAX_WHOLE_UMAP = 500_000
"""Particles above which a subset is laid out by UMAP and the others are placed beside it."""
_N_FITTED = 200_000
_TOGETHER = 3.0
"""Times the usual distance between neighbours on the layout, up to which they count as one place."""


def umap_seconds(n: int) -> float:
    """Rough time of `umap_embedding` on a core, from 67 s measured for 131,899 x 8 latents."""
    laid_out = n if n <= MAX_WHOLE_UMAP else _N_FITTED
    return 3.3e-6 * laid_out * umap_epochs(laid_out) + 1e-4 * n


def umap_embedding(
    z: Latents,
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    seed: int = 0,
    n_epochs: int | None = None,
    max_whole: int = MAX_WHOLE_UMAP,
    n_fitted: int = _N_FITTED,
) -> Float[np.ndarray, "n 2"]:
    """UMAP (McInnes et al. 2018) of the latent coordinates, reproducible for a seed.

    The neighbour graph is exact and the layout starts from the first two principal components. Above
    `max_whole` particles a random subset of `n_fitted` is laid out and each other particle is put at the
    distance-weighted mean of its three nearest laid-out neighbours.

    Parameters
    ----------
    z : array (n, zdim)
        Latent coordinates, zdim > 2 (for fewer, the coordinates themselves are the picture).
    n_neighbors : int
        Neighbours per particle, clamped to n - 1.
    n_fitted : int
        At most `max_whole`.

    Raises
    ------
    InputError
        If fewer than 5 particles are given: nothing can be laid out.
    """
    if len(z) < 5:
        raise InputError(f"UMAP needs at least 5 particles, found {len(z)}; use --skip-umap.")
    points = np.ascontiguousarray(z, dtype=np.float32)
    if len(points) > max_whole:
        return _umap_by_landmarks(points, n_neighbors, min_dist, seed, n_epochs, min(n_fitted, max_whole))
    return _umap_fit(points, n_neighbors, min_dist, seed, n_epochs or umap_epochs(len(points)))


def _umap_fit(
    points: Float[np.ndarray, "n zdim"], n_neighbors: int, min_dist: float, seed: int, n_epochs: int
) -> Float[np.ndarray, "n 2"]:
    neighbours = nearest_neighbours(points, min(n_neighbors, len(points) - 1))
    # a start of our own: umap's PCA start would add noise from a global generator
    scores = principal_components(points).scores[:, :2]
    spread = np.abs(scores).max()
    jitter = np.random.default_rng(seed).normal(scale=1e-4, size=(len(points), 2))
    start = np.zeros((len(points), 2)) + jitter
    start[:, : scores.shape[1]] += 10.0 * scores / spread if spread > 0 else 0.0
    with warnings.catch_warnings():  # one-thread, transform and deprecation notices are of no use here
        warnings.simplefilter("ignore")
        from umap import UMAP

        model: Any = UMAP(
            n_neighbors=neighbours.index.shape[1],
            min_dist=min_dist,
            precomputed_knn=(neighbours.index.astype(np.int32), neighbours.distance.astype(np.float32)),
            init=start.astype(np.float32),
            n_epochs=n_epochs,
            random_state=seed,
            n_jobs=1,
            force_approximation_algorithm=True,  # else tables under 4096 rows ignore the given graph
        )
        layout = model.fit_transform(points)
    return np.ascontiguousarray(layout, dtype=np.float32)


def _umap_by_landmarks(
    points: Float[np.ndarray, "n zdim"],
    n_neighbors: int,
    min_dist: float,
    seed: int,
    n_epochs: int | None,
    n_fitted: int,
) -> Float[np.ndarray, "n 2"]:
    from scipy.spatial import cKDTree

    chosen = np.sort(np.random.default_rng(seed).choice(len(points), size=n_fitted, replace=False))
    fitted = _umap_fit(points[chosen], n_neighbors, min_dist, seed, n_epochs or umap_epochs(n_fitted))
    distance, index = cKDTree(points[chosen]).query(points, k=range(1, min(3, n_fitted) + 1), workers=-1)
    layout = _place(np.asarray(distance), np.asarray(index), fitted)
    layout[chosen] = fitted
    return np.asarray(layout)


def _place(
    distance: Float[np.ndarray, "n k"], index: Int[np.ndarray, "n k"], fitted: Float[np.ndarray, "m 2"]
) -> Float[np.ndarray, "n 2"]:
    """Weighted mean of the neighbours that lie together; one that UMAP put elsewhere is left out.

    A mean over islands of the layout would lie between them, where no particle is.
    """
    nearest = fitted[index[:, 0]]
    apart = np.linalg.norm(fitted[index] - nearest[:, None], axis=2)
    together = apart <= _TOGETHER * np.median(apart[:, 1:] if apart.shape[1] > 1 else apart)
    weight = together / np.maximum(distance, 1e-12)
    weight[:, 0] = 1.0 / np.maximum(distance[:, 0], 1e-12)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("nk,nkd->nd", weight, fitted[index]), dtype=np.float32)
