"""Numbers of an analysis and the files they are kept in."""

import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryoscape.analysis.clustering import Clusters
from cryoscape.analysis.embedding import PrincipalComponents
from cryoscape.analysis.leakage import Foretold
from cryoscape.analysis.mixture import Mixture
from cryoscape.analysis.path_support import PathSupport
from cryoscape.engines.latent_table import LatentTable
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import load_pickles, write_array_pickle
from cryoscape.typing import Latents, Rows
from cryoscape.workflows.analyze_imaging import Imaging

SETTINGS_FILE = "analysis.json"

_QUALITY = ("log_likelihood", "contrast", "junk_score")


@dataclass(frozen=True)
class Path1D:
    """Points along a principal component (1-based) and the particles that support each."""

    component: int
    z: Latents
    support: PathSupport


@dataclass(frozen=True)
class Partition:
    """Clusters of one method.

    Attributes
    ----------
    folder : name of its folder, "kmeans20" or "gmm5", after the number asked for.
    method : as it is called on plots.
    probabilities : (n, k) probability of each cluster; None where the method has none.
    """

    folder: str
    method: str
    clusters: Clusters
    probabilities: np.ndarray | None = None


@dataclass(frozen=True)
class Results:
    """All numbers of an analysis but UMAP.

    Attributes
    ----------
    original_rows : row of the original input of each row of z.
    native_pixel_size_angstrom : of the model's box, before any downsampling of the maps.
    latents : what the engine says of each particle beside z; None where it says nothing.
    mixture : clusters by a Gaussian mixture; None where not asked for.
    imaging : poses and CTF of the particles, where the run's files are there.
    leaks : what the latents tell of these.
    """

    z: Latents
    logvar: Latents | None
    original_rows: Rows
    components: PrincipalComponents
    clusters: Clusters
    paths: tuple[Path1D, ...]
    native_pixel_size_angstrom: float
    latents: LatentTable | None = None
    mixture: Mixture | None = None
    imaging: Imaging = field(default_factory=Imaging)
    leaks: tuple[Foretold, ...] = ()

    @property
    def kmeans(self) -> Partition:
        """The clusters of k-means."""
        return Partition(f"kmeans{self.clusters.requested}", "k-means", self.clusters)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Clusters of every method asked for, k-means first."""
        if self.mixture is None:
            return (self.kmeans,)
        clusters = self.mixture.clusters
        gmm = Partition(f"gmm{clusters.requested}", "Gaussian mixture", clusters, self.mixture.probabilities)
        return (self.kmeans, gmm)


def cluster_table(results: Results, clusters: Clusters) -> pd.DataFrame:
    """One row a cluster: number, particles, share, the particle at its centre, medians of quality."""
    scores = results.components.scores[clusters.center_rows]
    table: dict[str, Any] = {
        "cluster": np.arange(clusters.k),
        "particles": clusters.counts,
        "share": clusters.counts / len(results.z),
        "center_row": clusters.center_rows,
        "center_original_row": results.original_rows[clusters.center_rows],
    }
    table |= {f"pc{i + 1}": scores[:, i] for i in range(min(3, scores.shape[1]))}
    if results.latents is not None:
        for name in _QUALITY:
            by_cluster = pd.Series(getattr(results.latents, name)).groupby(clusters.labels).median()
            table[f"median_{name}"] = by_cluster.to_numpy()
    return pd.DataFrame(table)


def particle_table(results: Results, layout: np.ndarray | None) -> pd.DataFrame:
    """One row a particle: row of z and of the original input, latents, PCs, UMAP, cluster, quality of fit."""
    z, scores = results.z, results.components.scores
    table: dict[str, Any] = {
        "row": np.arange(len(z)),
        "original_row": results.original_rows,
        "cluster": results.clusters.labels.astype(np.int32),
    }
    table |= {f"z{i}": z[:, i] for i in range(z.shape[1])}
    if results.mixture is not None:
        table["gmm"] = results.mixture.clusters.labels.astype(np.int32)
        table["gmm_probability"] = results.mixture.probabilities.max(axis=1)
    if results.logvar is not None:
        table |= {f"z{i}_std": np.exp(0.5 * results.logvar[:, i]) for i in range(z.shape[1])}
    table |= {f"pc{i + 1}": scores[:, i].astype(np.float32) for i in range(scores.shape[1])}
    if layout is not None:
        table |= {"umap1": layout[:, 0], "umap2": layout[:, 1]}
    known = results.latents
    if known is not None:
        table |= {name: getattr(known, name).astype(np.float32) for name in _QUALITY}
        if known.state is not None:
            table["state"] = known.state.astype(np.int32)
    table |= results.imaging.columns()
    return pd.DataFrame(table)


def write_numbers(folder: Path, results: Results) -> None:
    """Labels, centres and paths, in the files and numbering that other tools expect."""
    for partition in results.partitions:
        _write_partition(folder / partition.folder, results, partition)
    if results.leaks:
        write_table(folder / "leakage", pd.DataFrame([asdict(leak) for leak in results.leaks]))
    for path_1d in results.paths:
        place = folder / f"pc{path_1d.component}"
        place.mkdir(exist_ok=True)
        write_rows(place / "z_values.txt", path_1d.z)
        table = pd.DataFrame(
            {
                "point": np.arange(len(path_1d.z)),
                f"pc{path_1d.component}": results.components.transform(path_1d.z)[:, path_1d.component - 1],
                "particles": path_1d.support.particles,
            }
        )
        write_table(place / "path", table)
    components = results.components
    pca = pd.DataFrame(components.axes, columns=[f"z{i}" for i in range(components.axes.shape[1])])
    pca.insert(0, "component", np.arange(1, len(pca) + 1))
    pca.insert(1, "variance", components.variance)
    pca.insert(2, "explained", components.explained)
    write_table(folder / "pca", pca)


def _write_partition(place: Path, results: Results, partition: Partition) -> None:
    clusters = partition.clusters
    place.mkdir(exist_ok=True)
    write_array_pickle(place / "labels.pkl", clusters.labels)
    write_rows(place / "centers.txt", clusters.centers)
    write_rows(place / "z_values.txt", clusters.centers)
    write_rows(place / "centers_ind.txt", clusters.center_rows)
    write_table(place / "clusters", cluster_table(results, clusters))
    if partition.probabilities is not None:
        with replace_when_done(place / "probabilities.npy") as path, path.open("wb") as stream:
            np.save(stream, partition.probabilities)


def write_particles(folder: Path, results: Results, layout: np.ndarray | None) -> None:
    """The table of particles, as Parquet and as text."""
    write_table(folder / "particles", particle_table(results, layout))


def write_umap(folder: Path, layout: np.ndarray) -> None:
    """UMAP coordinates (n, 2) float32 in umap.pkl."""
    write_array_pickle(folder / "umap.pkl", layout)


def read_umap(folder: Path, n: int) -> np.ndarray | None:
    """UMAP coordinates of an earlier analysis; None where there are none of n particles."""
    path = folder / "umap.pkl"
    if not path.is_file():
        return None
    try:
        layout = np.asarray(load_pickles(path)[0])
    except (InputError, IndexError):
        return None
    return layout if layout.shape == (n, 2) else None


def write_rows(path: Path, array: np.ndarray) -> None:
    """Numbers as text, one row a line; whole numbers are written as such."""
    whole = np.issubdtype(array.dtype, np.integer)
    with replace_when_done(path) as temporary:
        np.savetxt(temporary, array, fmt="%d" if whole else "%.8g")


def write_table(stem: Path, table: pd.DataFrame) -> None:
    """A table as stem.parquet and, tab-separated with a header, as stem.txt."""
    with replace_when_done(stem.with_name(stem.name + ".parquet")) as path:
        table.to_parquet(path, index=False)
    with replace_when_done(stem.with_name(stem.name + ".txt")) as path:
        text = io.StringIO()
        table.to_csv(text, sep="\t", index=False, float_format="%.7g", lineterminator="\n")
        path.write_text(text.getvalue(), encoding="utf-8")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """A dictionary as readable JSON."""
    with replace_when_done(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
