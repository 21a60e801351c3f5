"""Maps of an analysis: at the centres of the clusters and along the principal components."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryoscape.analysis.maps import MapOptions, finish_map
from cryoscape.engines.volume_source import ScalableVolumeSource, VolumeSource
from cryoscape.io.chimerax import write_open_script
from cryoscape.io.mrc import write_volume
from cryoscape.plotting.surface import contour_level
from cryoscape.typing import Latents, Volume
from cryoscape.workflows.analyze_results import Results
from cryoscape.workflows.progress import progress

VOXELS_AT_ONCE = 2**25
"""Voxels of the maps that are evaluated together: 128 MB."""


@dataclass(frozen=True)
class MapSet:
    """Maps of one folder, all to be looked at with one level.

    Attributes
    ----------
    name : folder below the analysis, "kmeans20" or "pc1".
    paths : map files, by number.
    level : common contour level.
    pixel_size_angstrom : of the maps as written.
    """

    name: str
    paths: tuple[Path, ...]
    level: float
    pixel_size_angstrom: float


def write_map_sets(
    folder: Path, source: VolumeSource, results: Results, options: MapOptions, first_number: int
) -> tuple[MapSet, ...]:
    """Make and write all maps, with one contour level for all of them and scripts that open them."""
    wanted = [(partition.folder, partition.clusters.centers) for partition in results.partitions]
    wanted += [(f"pc{path.component}", path.z) for path in results.paths]
    source_pixel_size = results.native_pixel_size_angstrom
    if options.downsample is not None and isinstance(source, ScalableVolumeSource):
        # evaluating fewer frequencies gives the same maps as cropping them afterwards, in less time
        source_pixel_size *= source.box_size / options.downsample
        source, options = source.downsampled(options.downsample), replace(options, downsample=None)
    pixel_size = source_pixel_size
    sets: list[tuple[str, tuple[Path, ...]]] = []
    levels: list[float] = []
    done = 0
    with progress(sum(len(z) for _, z in wanted), "maps") as update:
        for name, z in wanted:
            paths: list[Path] = []
            place = folder / name
            place.mkdir(parents=True, exist_ok=True)
            for volume in _volumes(source, np.asarray(z, dtype=np.float32)):
                finished = finish_map(volume, source_pixel_size, options)
                pixel_size = finished.pixel_size_angstrom
                paths.append(place / f"vol_{first_number + len(paths):03d}.mrc")
                write_volume(paths[-1], finished.volume, pixel_size, finished.origin_angstrom)
                if name == results.kmeans.folder:
                    levels.append(contour_level([finished.volume]))
                done += 1
                update(done)
            # of an analysis with more maps or other numbers
            for stale in set(place.glob("vol_*.mrc")) - set(paths):
                stale.unlink()
            sets.append((name, tuple(paths)))
    level = float(np.median(levels))
    for name, paths_of_set in sets:
        write_open_script(folder / name / "open_maps.cxc", list(paths_of_set), level)
    return tuple(MapSet(name, paths, level, pixel_size) for name, paths in sets)


def _volumes(source: VolumeSource, z: Latents) -> Iterator[Volume]:
    """Maps one after the other, evaluated as many at a time as memory is set aside for."""
    at_once = max(1, VOXELS_AT_ONCE // source.box_size**3)
    for start in range(0, len(z), at_once):
        yield from np.asarray(source.volumes(z[start : start + at_once]), dtype=np.float32)
