"""Clusters and particles of latents, under the names of published notebooks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from cryoscape.analysis import clustering, mixture
from cryoscape.analysis.selection import beyond_z_score, in_clusters, in_polygon, magnitude_z_score
from cryoscape.errors import InputError
from cryoscape.typing import Latents

__all__ = [
    "center_ind",
    "cluster_gmm",
    "cluster_kmeans",
    "cluster_table",
    "get_ind_for_cluster",
    "get_nearest_point",
    "in_polygon",
    "ind_beyond_zscore",
    "ind_where",
]

Labels = Int[np.ndarray, " n"]
Rows = Int[np.ndarray, " m"]


def cluster_kmeans(z: Latents, K: int, seed: int = 0) -> tuple[Labels, Float[np.ndarray, "k zdim"]]:
    """Cluster of each particle (0 to K - 1, similar ones next to each other), and on-data centres.

    The same as of `analyze` with the same seed.
    """
    found = clustering.cluster_kmeans(np.asarray(z, dtype=np.float32), K, seed=seed)
    return found.labels, found.centers


def cluster_gmm(z: Latents, G: int, seed: int = 0) -> tuple[Labels, Float[np.ndarray, "k zdim"]]:
    """Cluster of each particle by a mixture of G Gaussians, and on-data centres."""
    found = mixture.cluster_gmm(np.asarray(z, dtype=np.float32), G, seed=seed).clusters
    return found.labels, found.centers


def center_ind(z: Latents, labels: Labels) -> Int[np.ndarray, " k"]:
    """Row of the particle nearest to the mean of each cluster, in the order of their numbers."""
    numbers, compact = np.unique(labels, return_inverse=True)
    return clustering.on_data_centers(z, compact, clustering.cluster_means(z, compact, len(numbers)))


def get_nearest_point(
    data: Float[np.ndarray, "n zdim"], query: Float[np.ndarray, "k zdim"]
) -> tuple[Float[np.ndarray, "k zdim"], Int[np.ndarray, " k"]]:
    """The point of the data nearest to each query, and its row."""
    rows = np.asarray(cKDTree(data).query(query)[1], dtype=np.int64)
    return np.asarray(data[rows]), rows


def get_ind_for_cluster(labels: Labels, selected: Sequence[int]) -> Rows:
    """Rows of the particles of the clusters with these numbers.

    Raises
    ------
    InputError
        If there is no cluster of a number.
    """
    return np.flatnonzero(in_clusters(np.asarray(labels), [int(number) for number in selected]))


def ind_beyond_zscore(z: Latents, threshold: float) -> Rows:
    """Rows of particles whose magnitude lies more than ``threshold`` standard deviations above the mean.

    A negative threshold gives those below it.
    """
    return np.flatnonzero(beyond_z_score(magnitude_z_score(z), threshold))


def ind_where(df: pd.DataFrame, condition: str) -> Rows:
    """Rows where a condition on the columns holds, such as "UMAP1 > 10 and PC2 < 0".

    Raises
    ------
    InputError
        If the condition names a column that is not there, or cannot be read.
    """
    try:
        chosen = df.query(condition)
    except Exception as error:  # whatever is wrong with the text
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{condition!r}: {reason}; columns are {', '.join(df.columns)}") from error
    return chosen.index.to_numpy(dtype=np.int64)


def cluster_table(df: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """One row a cluster: particles, their share, and medians of what tells junk where the run knows it."""
    groups = df.groupby(np.asarray(labels))
    table = pd.DataFrame({"particles": groups.size()})
    table["share (%)"] = (100 * table["particles"] / len(df)).round(1)
    for name in ("znorm", "contrast", "log_likelihood", "junk_score"):
        if name in df:
            table[f"median {name}"] = groups[name].median().round(3)
    return table.rename_axis("cluster")
