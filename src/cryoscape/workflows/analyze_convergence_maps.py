"""Maps of the followed particle sets at each compared epoch, and how well successive ones agree."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from cryoscape.analysis.convergence_maps import (
    MaskOptions,
    high_frequency_noise,
    map_correlation,
    map_fsc,
    mask_about_density,
    solvent_noise,
)
from cryoscape.analysis.convergence_verdict import MapCurves
from cryoscape.analysis.maps import FinishedMap, MapOptions, finish_map
from cryoscape.engines.run_folder import LoadedRun
from cryoscape.engines.volume_source import ScalableVolumeSource, VolumeSource, open_volume_source
from cryoscape.errors import InputError
from cryoscape.io.chimerax import write_open_script
from cryoscape.io.mrc import read_volume, write_volume
from cryoscape.plotting.surface import contour_level
from cryoscape.typing import Volume
from cryoscape.workflows.analyze_convergence_latents import LatentHistory
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True, eq=False)
class MapComparison:
    """Maps that were written and how they compare.

    Attributes
    ----------
    fsc : (maps, epochs - 1, D // 2) of masked maps of successive used epochs, shells 1 to D // 2.
    frequency : (D // 2,) of the shells, cycles per pixel.
    paths : map files by epoch, in the order of the labels.
    level : common contour level, of the maps of the last epoch.
    pixel_size_angstrom : of the maps as written.
    """

    curves: MapCurves
    fsc: Float[np.ndarray, "m p s"]
    frequency: Float[np.ndarray, " s"]
    paths: dict[int, tuple[Path, ...]]
    level: float
    pixel_size_angstrom: float


@dataclass(frozen=True)
class MapSettings:
    """How maps are made, masked and written."""

    maps: MapOptions
    mask: MaskOptions
    native_pixel_size_angstrom: float
    device: str
    make: bool
    """False: read those of an earlier analysis."""


def compare_maps(
    folder: Path,
    run: LoadedRun,
    history: LatentHistory,
    medians: Int[np.ndarray, "k e"],
    settings: MapSettings,
) -> MapComparison | None:
    """Make (or read) vols.E/vol_000.mrc... and compare each with that of the used epoch before.

    Parameters
    ----------
    medians : row of the subset that stands for each particle set at each used epoch.

    Returns
    -------
    None where fewer than two epochs have maps.
    """
    n_maps = len(medians)
    epochs: list[int] = []
    paths: dict[int, tuple[Path, ...]] = {}
    found: list[list[_ComparedMap]] = []
    with progress(n_maps * len(history.used), "maps of epochs") as update:
        for column, epoch in enumerate(history.used):
            place = folder / f"vols.{epoch}"
            draw = _maps_of_epoch(run, place, epoch, history.z[epoch][medians[:, column]], settings)
            if draw is None:
                continue
            paths[epoch] = tuple(place / f"vol_{i:03d}.mrc" for i in range(n_maps))
            row = []
            for i, path in enumerate(paths[epoch]):
                previous = paths[epochs[-1]][i].with_suffix(".masked.mrc") if epochs else None
                row.append(_one_map(path, draw(i), previous, settings))
                update(column * n_maps + i + 1)
            found.append(row)
            epochs.append(epoch)
            for stale in set(place.glob("vol_*.mrc")) - _with_masked(paths[epoch]):
                stale.unlink()  # of an earlier analysis with more maxima
    return _comparison(epochs, paths, found) if len(epochs) > 1 else None


def _comparison(
    epochs: list[int], paths: dict[int, tuple[Path, ...]], found: list[list["_ComparedMap"]]
) -> MapComparison:
    final = [read_volume(path) for path in paths[epochs[-1]]]
    level = float(np.median([contour_level([m.data]) for m in final]))
    for epoch in epochs:
        write_open_script(paths[epoch][0].with_name("open_maps.cxc"), list(paths[epoch]), level)
    fsc = np.array([[m.fsc for m in row] for row in found[1:]]).transpose(1, 0, 2)
    box = len(final[0].data)
    return MapComparison(
        curves=MapCurves(
            epoch=np.array(epochs, dtype=np.int64),
            correlation=np.array([[m.correlation for m in row] for row in found[1:]]).T,
            fsc_nyquist=np.ascontiguousarray(fsc[:, :, -1]),
            high_frequency_noise=np.array([[m.high_frequency_noise for m in row] for row in found[1:]]).T,
            solvent_noise=np.array([[m.solvent_noise for m in row] for row in found]).T,
        ),
        fsc=fsc,
        frequency=np.arange(1, box // 2 + 1) / box,
        paths=paths,
        level=level,
        pixel_size_angstrom=final[0].pixel_size_angstrom,
    )


def _maps_of_epoch(
    run: LoadedRun, place: Path, epoch: int, z: np.ndarray, settings: MapSettings
) -> Callable[[int], FinishedMap | None] | None:
    """What answers the map of a particle set, or None where it is on disk; None if the epoch has no maps."""
    if not settings.make:
        there = all((place / f"vol_{i:03d}.mrc").is_file() for i in range(len(z)))
        if not there:
            logger.info("epoch %d: no maps of an earlier analysis in %s", epoch, place)
        return (lambda _: None) if there else None
    pixel_size, options = settings.native_pixel_size_angstrom, settings.maps
    try:
        source: VolumeSource = _source(run, epoch, settings)
    except InputError as error:
        logger.warning("epoch %d has no maps: %s", epoch, error)
        return None
    if options.downsample is not None and isinstance(source, ScalableVolumeSource):
        # evaluating fewer frequencies gives the same maps as cropping them afterwards, in less time
        pixel_size *= source.box_size / options.downsample
        source, options = source.downsampled(options.downsample), replace(options, downsample=None)
    place.mkdir(parents=True, exist_ok=True)

    def draw(i: int) -> FinishedMap:
        return finish_map(np.asarray(source.volumes(z[i : i + 1])[0], np.float32), pixel_size, options)

    return draw


def _source(run: LoadedRun, epoch: int, settings: MapSettings) -> VolumeSource:
    if epoch == run.epoch:
        return run.source
    weights = run.folder.weights(epoch)
    return open_volume_source(weights, run.config, settings.native_pixel_size_angstrom, settings.device)


@dataclass(frozen=True, eq=False)
class _ComparedMap:
    """Noise of a map, and how it compares with that of the epoch before (NaN and empty for the first)."""

    solvent_noise: float
    correlation: float
    high_frequency_noise: float
    fsc: np.ndarray


def _one_map(
    path: Path, made: FinishedMap | None, previous: Path | None, settings: MapSettings
) -> _ComparedMap:
    """Write a map and its masked copy, and compare that with the masked map before."""
    if made is None:
        stored = read_volume(path)
        made = FinishedMap(stored.data, stored.pixel_size_angstrom, stored.origin_angstrom)
    else:
        write_volume(path, made.volume, made.pixel_size_angstrom, made.origin_angstrom)
    mask = mask_about_density(made.volume, settings.mask)
    masked: Volume = made.volume * mask
    write_volume(path.with_suffix(".masked.mrc"), masked, made.pixel_size_angstrom, made.origin_angstrom)
    outside = solvent_noise(made.volume, mask)
    if previous is None:
        return _ComparedMap(outside, float("nan"), float("nan"), np.empty(0))
    before = read_volume(previous).data
    fsc = map_fsc(before, masked)
    return _ComparedMap(outside, map_correlation(before, masked), high_frequency_noise(masked, fsc), fsc)


def _with_masked(paths: Sequence[Path]) -> set[Path]:
    return {*paths, *(path.with_suffix(".masked.mrc") for path in paths)}
