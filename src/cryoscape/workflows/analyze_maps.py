"""Maps of an analysis: at the centres of the clusters and along the principal components."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cryoscape.analysis.maps import FinishedMap, MapOptions, finish_map
from cryoscape.engines.regression.fit import RegressedMap
from cryoscape.engines.run_folder import LoadedRun
from cryoscape.engines.volume_source import ScalableVolumeSource, VolumeSource
from cryoscape.io.chimerax import write_open_script
from cryoscape.io.mrc import write_volume
from cryoscape.plotting.surface import contour_level
from cryoscape.typing import Latents, Volume
from cryoscape.workflows.analyze_results import Results
from cryoscape.workflows.analyze_settings import AnalyzeOptions
from cryoscape.workflows.progress import progress
from cryoscape.workflows.reconstruct_files import (
    BESIDE_MAP,
    MAPS_FILE,
    ReconstructedMap,
    write_map,
    write_maps_table,
)
from cryoscape.workflows.regressed_maps import images_of, preprocessing_of, regression_of

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
    resolutions_angstrom : at FSC 0.143 of half maps, of regressed maps; none of others.
    """

    name: str
    paths: tuple[Path, ...]
    level: float
    pixel_size_angstrom: float
    resolutions_angstrom: tuple[float, ...] = ()


def write_map_sets(
    folder: Path, run: LoadedRun, results: Results, options: AnalyzeOptions
) -> tuple[MapSet, ...]:
    """Make and write all maps, with one contour level for all of them and scripts that open them."""
    wanted = [(partition.folder, partition.clusters.centers) for partition in results.partitions]
    wanted += [(f"pc{path.component}", path.z) for path in results.paths]
    points = np.concatenate([np.asarray(z, dtype=np.float32) for _, z in wanted])
    if options.maps_from == "regression":
        maps = _regressed(folder, run, points, results.native_pixel_size_angstrom, options.maps)
    else:
        maps = _decoded(run.source, points, results.native_pixel_size_angstrom, options.maps)
    sets: list[MapSet] = []
    levels: list[float] = []
    with progress(len(points), "maps") as update:
        for name, z in wanted:
            place = folder / name
            place.mkdir(parents=True, exist_ok=True)
            done = []
            for number in range(len(z)):
                done.append(next(maps)(place, f"vol_{options.vol_start_index + number:03d}"))
                update(sum(len(one.paths) for one in sets) + len(done))
            if name == results.kmeans.folder:
                levels = [contour_level([made.map.volume]) for made in done]
            sets.append(_map_set(name, place, done))
            _remove_others(place, done)
    level = float(np.median(levels))
    for one in sets:
        write_open_script(folder / one.name / "open_maps.cxc", list(one.paths), level)
    return tuple(replace(one, level=level) for one in sets)


@dataclass(frozen=True)
class _Made:
    """A map as written; the numbers of a regressed one."""

    map: FinishedMap
    path: Path
    numbers: ReconstructedMap | None = None


_Writer = Callable[[Path, str], _Made]
"""(folder, name) to the map, written there."""


def _remove_others(place: Path, done: list[_Made]) -> None:
    """Files of an earlier analysis with more maps, other numbers or maps made otherwise."""
    kept = {made.path for made in done}
    if done[0].numbers is not None:
        stems = [made.path.stem for made in done]
        kept |= {place / f"{stem}{suffix}" for stem in stems for suffix in BESIDE_MAP}
        kept.add(place / MAPS_FILE)
    for pattern in ("vol_*.mrc", *(f"vol_*{suffix}" for suffix in BESIDE_MAP), MAPS_FILE):
        for stale in set(place.glob(pattern)) - kept:
            stale.unlink()


def _map_set(name: str, place: Path, done: list[_Made]) -> MapSet:
    numbers = [made.numbers for made in done if made.numbers is not None]
    if numbers:
        write_maps_table(place, numbers)
    paths = tuple(made.path for made in done)
    resolutions = tuple(one.resolution_0143_angstrom for one in numbers)
    return MapSet(name, paths, 0.0, done[0].map.pixel_size_angstrom, resolutions)


def _decoded(
    source: VolumeSource, points: Latents, pixel_size_angstrom: float, options: MapOptions
) -> Iterator[_Writer]:
    """Maps of the model one after the other, as many evaluated at a time as memory is set aside for."""
    if options.downsample is not None and isinstance(source, ScalableVolumeSource):
        # evaluating fewer frequencies gives the same maps as cropping them afterwards, in less time
        pixel_size_angstrom *= source.box_size / options.downsample
        source, options = source.downsampled(options.downsample), replace(options, downsample=None)

    def write(place: Path, name: str, volume: Volume) -> _Made:
        made = finish_map(volume, pixel_size_angstrom, options)
        path = place / f"{name}.mrc"
        write_volume(path, made.volume, made.pixel_size_angstrom, made.origin_angstrom)
        return _Made(made, path)

    at_once = max(1, VOXELS_AT_ONCE // source.box_size**3)
    for start in range(0, len(points), at_once):
        for volume in np.asarray(source.volumes(points[start : start + at_once]), dtype=np.float32):
            yield partial(write, volume=volume)


def _regressed(
    folder: Path, run: LoadedRun, points: Latents, native_angstrom: float, options: MapOptions
) -> Iterator[_Writer]:
    """Maps from the particles near each point, with half maps and FSC."""
    made = regression_of(run, images_of(run), preprocessing_of(run), folder, native_angstrom)

    def write(place: Path, name: str, found: RegressedMap) -> _Made:
        numbers = write_map(place, name, found, made.pixel_size_angstrom, options)
        finished = finish_map(found.full.numpy(), made.pixel_size_angstrom, options)
        return _Made(finished, place / numbers.file, numbers)

    for found in made.regression.at_points(torch.from_numpy(points)):
        yield partial(write, found=found)
