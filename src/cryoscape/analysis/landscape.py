"""Maps as points: principal components of many maps within a mask, exactly and in bounded memory.

The maps of all particles are too many to compare, so a few hundred points of the latent space, spread like
the particles, stand for them. Their maps within a mask are vectors of voxels; components, distances and
trees of maps need only the products of these vectors with each other, never a matrix of voxels by voxels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from cryoscape.analysis.clustering import Clusters, clusters_from_labels
from cryoscape.errors import InputError
from cryoscape.typing import Latents

_NEGLIGIBLE = 1e-9
"""Components below this share of the largest variance are rounding of single precision."""
_CHUNK_BYTES = 1 << 26


@dataclass(frozen=True, eq=False)
class MapComponents:
    """Principal components of maps within a mask.

    Attributes
    ----------
    center : (v,) mean of the maps, weighted by the mask.
    axes : (c, v) orthonormal patterns of voxels; the largest entry of each is positive.
    coordinates : (k, r) of the maps along all r >= c components, by falling variance. Distances between
        rows are those between the maps, root of the sum of squares over the mask.
    explained : (r,) share of the variance of the maps.
    """

    center: Float[np.ndarray, " v"]
    axes: Float[np.ndarray, "c v"]
    coordinates: Float[np.ndarray, "k r"]
    explained: Float[np.ndarray, " r"]

    def project(self, voxels: Float[np.ndarray, "n v"]) -> Float[np.ndarray, "n c"]:
        """Coordinates of other maps, given within the same mask, along the axes."""
        return np.asarray((voxels - self.center) @ self.axes.T, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class LinearCoordinates:
    """Coordinates of maps that are linear in their latents: (z - origin) @ matrix, without any map.

    Attributes
    ----------
    origin : (zdim,) latent of the mean map.
    matrix : (zdim, c).
    """

    origin: Float[np.ndarray, " zdim"]
    matrix: Float[np.ndarray, "zdim c"]

    def at(self, z: Latents) -> Float[np.ndarray, "n c"]:
        """Coordinates of the maps at latents z."""
        return np.asarray((np.asarray(z, np.float64) - self.origin) @ self.matrix)


def sketch_latents(z: Latents, k: int, *, seed: int = 0, max_fitted: int = 60_000) -> Clusters:
    """K-means cells of the particles, whose centres stand for them; above `max_fitted` learned on a sample.

    Raises
    ------
    InputError
        If fewer than 3 centres are asked for, or there are fewer than 3 distinct particles.
    """
    from sklearn.cluster import KMeans

    if k < 3:
        raise InputError(f"-N: a landscape needs maps at 3 or more points, found {k}.")
    points = np.ascontiguousarray(z, dtype=np.float32)
    distinct = np.unique(points, axis=0) if len(points) <= 10 * k else points
    if len(distinct) < 3:
        raise InputError(f"latents: a landscape needs 3 or more distinct particles, found {len(distinct)}.")
    if len(distinct) <= k:
        centers = distinct
    else:
        chosen = points
        if len(points) > max_fitted:
            rows = np.random.default_rng(seed).choice(len(points), size=max_fitted, replace=False)
            chosen = points[np.sort(rows)]
        # cells need not be settled to the last particle
        centers = KMeans(k, random_state=seed, n_init=1, max_iter=50).fit(chosen).cluster_centers_
    from scipy.spatial import cKDTree

    labels = np.asarray(cKDTree(centers).query(points, workers=-1)[1], dtype=np.int64)
    return clusters_from_labels(points, labels, requested=k)


def components_of_maps(voxels: Float[np.ndarray, "k v"], n_axes: int) -> MapComponents:
    """Principal components of k maps given as vectors, through the k x k matrix of their products.

    Parameters
    ----------
    voxels : array (k, v)
        Maps within a mask, may be memory-mapped: read in chunks of columns, twice.
    n_axes : int
        Axes kept, clamped to the number of components.
    """
    k, v = voxels.shape
    center = np.empty(v, dtype=np.float32)
    products = np.zeros((k, k))
    for columns, chunk in _chunks(voxels):
        center[columns] = chunk.mean(axis=0)
        chunk -= center[columns]
        products += chunk @ chunk.T
    variance, vectors = np.linalg.eigh(products)
    used = np.flatnonzero(variance > _NEGLIGIBLE * max(float(variance[-1]), np.finfo(float).tiny))[::-1]
    length = np.sqrt(variance[used])
    coordinates = vectors[:, used] * length
    weights = (vectors[:, used] / length)[:, :n_axes]
    axes = np.empty((weights.shape[1], v), dtype=np.float32)
    for columns, chunk in _chunks(voxels):
        axes[:, columns] = weights.T @ (chunk - center[columns])
    sign = _signs(axes)
    axes *= sign[:, None].astype(np.float32)
    coordinates[:, : len(sign)] *= sign
    return MapComponents(center, axes, coordinates, _shares(variance[used]))


def components_of_linear_maps(
    z: Latents, mean: Float[np.ndarray, " v"], bases: Float[np.ndarray, "q v"], n_axes: int
) -> tuple[MapComponents, LinearCoordinates]:
    """As `components_of_maps` for maps mean + z @ bases, from the q x q products of the bases.

    Parameters
    ----------
    z : array (k, q)
        Latents of the maps.
    mean, bases : arrays (v,), (q, v)
        Within the mask.
    """
    products = np.zeros((len(bases), len(bases)))
    for _, chunk in _chunks(bases):
        products += chunk @ chunk.T
    square, turn = np.linalg.eigh(products)
    kept = square > _NEGLIGIBLE * max(float(square.max(initial=0.0)), np.finfo(float).tiny)
    length = np.sqrt(square[kept])
    origin = np.asarray(z, np.float64).mean(axis=0)
    isometric = (np.asarray(z, np.float64) - origin) @ (turn[:, kept] * length)
    variance, rotation = np.linalg.eigh(isometric.T @ isometric)
    used = np.flatnonzero(variance > _NEGLIGIBLE * max(variance.max(initial=0.0), np.finfo(float).tiny))[::-1]
    rotation = rotation[:, used]
    back = (rotation.T / length) @ turn[:, kept].T
    axes = np.asarray(back[:n_axes] @ bases, dtype=np.float32)
    sign = _signs(axes)
    rotation[:, : len(sign)] *= sign
    axes *= sign[:, None].astype(np.float32)
    center = np.asarray(mean + origin @ bases, dtype=np.float32)
    components = MapComponents(center, axes, isometric @ rotation, _shares(variance[used]))
    return components, LinearCoordinates(origin, ((turn[:, kept] * length) @ rotation)[:, :n_axes])


def _shares(variance: np.ndarray) -> np.ndarray:
    total = variance.sum()
    return np.asarray(variance / total) if total > 0 else np.zeros_like(variance)


def _signs(axes: np.ndarray) -> Float[np.ndarray, " c"]:
    """Signs that make the largest entry of each row positive: runs and routes then agree."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(largest < 0, -1.0, 1.0)


def _chunks(matrix: np.ndarray) -> Iterator[tuple[slice, Float[np.ndarray, "n c"]]]:
    """Copies in double precision of successive blocks of columns."""
    width = max(1, _CHUNK_BYTES // (8 * max(len(matrix), 1)))
    for start in range(0, matrix.shape[1], width):
        columns = slice(start, start + width)
        yield columns, np.array(matrix[:, columns], dtype=np.float64)
