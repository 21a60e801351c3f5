"""Maps of a run at the centres of many clusters of its particles, made in memory as they are needed."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from cryoscape.analysis.clustering import Clusters, cluster_kmeans
from cryoscape.analysis.embedding import check_latents
from cryoscape.analysis.maps import MapOptions, finish_map
from cryoscape.engines.run_folder import LoadedRun, load_run
from cryoscape.engines.volume_source import ScalableVolumeSource, VolumeSource
from cryoscape.errors import InputError
from cryoscape.io.atomic import write_text
from cryoscape.io.legacy_pickle import read_labels, write_array_pickle
from cryoscape.io.mrc import write_volume
from cryoscape.occupancy.model import MapGrid
from cryoscape.typing import Latents, Volumes
from cryoscape.workflows.occupancy_files import SAMPLED_FOLDER

logger = logging.getLogger("cryoscape")

_USUAL_BOX = 64


@dataclass(frozen=True)
class SamplingRequest:
    """Which maps of which run.

    Attributes
    ----------
    epoch : None for the latest.
    n_maps : k-means clusters; a map is made at the on-data centre of each.
    box_size : of the maps; 64, or that of the run where it is smaller.
    pixel_size_angstrom : of the run's images; None for what the run knows.
    """

    run: Path
    epoch: int | None = None
    n_maps: int = 500
    box_size: int | None = None
    flip: bool = False
    invert: bool = False
    pixel_size_angstrom: float | None = None
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True, eq=False)
class SampledRun:
    """Maps at the centres of clusters; map i is that of cluster i.

    Attributes
    ----------
    clusters : labels of all particles, rows and latents of the centres.
    source : maps at any latents, in the box of the grid.
    """

    loaded: LoadedRun
    clusters: Clusters
    source: VolumeSource
    grid: MapGrid
    options: MapOptions

    def __len__(self) -> int:
        return self.clusters.k

    @property
    def numbers(self) -> Int[np.ndarray, " n"]:
        """Of the maps: those of the clusters."""
        return np.arange(self.clusters.k)

    def volumes(self, first: int, last: int) -> Volumes:
        """Maps first to last - 1, (n, D, D, D) float32."""
        return self.volumes_at(np.asarray(self.clusters.centers[first:last], dtype=np.float32))

    def volumes_at(self, z: Latents) -> Volumes:
        """Maps at latents z (n, zdim), (n, D, D, D) float32."""
        return self.finished(self.source.volumes(z))

    def finished(self, maps: Volumes) -> Volumes:
        """Maps of the source (n, D, D, D) in the hand and sign asked for."""
        return np.stack([finish_map(one, self.grid.voxel_angstrom, self.options).volume for one in maps])


def sample_run(request: SamplingRequest, clusters: Clusters | None = None) -> SampledRun:
    """Load a run and cluster its particles, as `analyze --ksample` does, unless clusters are given.

    Raises
    ------
    InputError
        For a run, an epoch or a box that cannot be used, or a pixel size that is not known.
    """
    if request.n_maps < 2:
        raise InputError(f"--ksample {request.n_maps}: expected 2 or more maps")
    loaded = load_run(request.run, request.epoch, request.device)
    check_latents(loaded.z, str(loaded.folder.latents(loaded.epoch)))
    pixel_size = request.pixel_size_angstrom
    if pixel_size is None:
        if not loaded.pixel_size_known:
            raise InputError(f"{request.run}: the run does not know its pixel size; give it with --Apix")
        pixel_size = loaded.pixel_size_angstrom
    if not pixel_size > 0:
        raise InputError(f"--Apix {pixel_size:g}: expected a pixel size in A, above 0")
    native, source = loaded.source.box_size, loaded.source
    box = min(_USUAL_BOX, native) if request.box_size is None else request.box_size
    if not 2 <= box <= native or box % 2:
        raise InputError(f"-d {box}: expected an even box of at most {native} px, that of the run")
    if box != native and isinstance(source, ScalableVolumeSource):
        source = source.downsampled(box)
    if clusters is None:
        clusters = cluster_kmeans(loaded.z, request.n_maps, seed=request.seed)
    options = MapOptions(flip=request.flip, invert=request.invert)
    grid = MapGrid((source.box_size,) * 3, pixel_size * native / source.box_size)
    logger.info(
        "%d maps of %d voxels of %.4g A at the centres of clusters of %d particles",
        clusters.k, source.box_size, grid.voxel_angstrom, len(loaded.z),
    )  # fmt: skip
    return SampledRun(loaded, clusters, source, grid, options)


def write_sampling(folder: Path, sampled: SampledRun) -> None:
    """Write the clusters as analyze does: kmeans/labels.pkl, centers.txt and centers_ind.txt."""
    place = folder / SAMPLED_FOLDER
    write_array_pickle(place / "labels.pkl", sampled.clusters.labels)
    rows = [" ".join(f"{value:.9g}" for value in center) for center in sampled.clusters.centers]
    write_text(place / "centers.txt", "\n".join(rows) + "\n")
    write_text(place / "centers_ind.txt", "\n".join(map(str, sampled.clusters.center_rows)) + "\n")


def sample_again(folder: Path, record: dict[str, Any]) -> SampledRun:
    """The maps of an analysis once more: its settings, and the clusters that `write_sampling` left there.

    Raises
    ------
    InputError
        For a run or clusters that are gone or have changed.
    """
    place = folder / SAMPLED_FOLDER
    try:
        request = SamplingRequest(**{**record, "run": Path(record["run"])})
        labels = read_labels(place / "labels.pkl").astype(np.int64)
        centers = np.loadtxt(place / "centers.txt", dtype=np.float32, ndmin=2)
        rows = np.loadtxt(place / "centers_ind.txt", dtype=np.int64, ndmin=1)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{place}: not the clusters of a run ({error})") from error
    sampled = sample_run(request, Clusters(labels, centers, rows, np.bincount(labels), request.n_maps))
    z = sampled.loaded.z
    if len(labels) != len(z) or centers.shape[1] != z.shape[1] or not np.allclose(z[rows], centers, 1e-4):
        raise InputError(f"{place}: clusters of other latents than {request.run} has now")
    return sampled


def write_maps_of(folder: Path, sampled: SampledRun, numbers: list[int]) -> dict[int, Path]:
    """Write some of the maps as kmeans/vol_NUMBER.mrc; answers their files by number."""
    place = folder / SAMPLED_FOLDER
    found = {}
    for number in numbers:
        found[number] = place / f"vol_{number:03d}.mrc"
        volume = sampled.volumes(number, number + 1)[0]
        write_volume(found[number], volume, sampled.grid.voxel_angstrom, sampled.grid.origin_angstrom)
    return found
