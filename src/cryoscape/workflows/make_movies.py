"""Render movies of maps: along a path, over the clusters or states, from one viewpoint and at one level."""

import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from cryoscape.analysis.maps import MapOptions
from cryoscape.engines.run_folder import RunFolder
from cryoscape.errors import InputError
from cryoscape.io.movie import best_suffix, check_movie_name, write_movie
from cryoscape.plotting.montage import nice_scale_bar
from cryoscape.plotting.movie import Strip, draw_frame, strip_height
from cryoscape.plotting.surface import Camera, contour_level, principal_camera, refined, render_surface
from cryoscape.workflows.movie_maps import MapSeries, numbered_maps, series_of_folder, series_of_run
from cryoscape.workflows.movie_options import (
    MovieOptions,
    camera_axes,
    check_options,
    frame_positions,
    frames_a_second,
)
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

MovieKind = Literal["latent", "volume"]
"""Of an analysis of latents (clusters, components), or of an analysis of maps (states, components)."""
ROOM_FOR_SCALE_BAR = 0.36
"""Share of the width of a picture; the bar fills up to 0.6 of it."""
MAX_MAPS_OF_FOLDER = 100
"""Folders of an analysis with more maps are left out: a movie of 500 clusters could not be followed."""


@dataclass(frozen=True)
class MoviesRequest:
    """Which maps to show.

    Attributes
    ----------
    source : a folder of numbered maps, or a run folder.
    epoch : of a run (None: its latest).
    kind : which analysis of a run, where no zfile is given.
    zfile : latents of a path: of a run, the maps there are made; of a folder, its table of support is read.
    output : of one movie; None: NAME in the folder of the maps, or beside the zfile.
    map_options, pixel_size_angstrom : of maps that are made.
    """

    source: Path
    epoch: int | None = None
    kind: MovieKind = "latent"
    zfile: Path | None = None
    output: Path | None = None
    name: str = "movie"
    prefix: str | None = None
    analysis_folder: Path | None = None
    options: MovieOptions = field(default_factory=MovieOptions)
    map_options: MapOptions = field(default_factory=MapOptions)
    pixel_size_angstrom: float | None = None
    device: str = "auto"
    force: bool = False


def make_movies(request: MoviesRequest) -> tuple[Path, ...]:
    """Write the movies; answers their files.

    Raises
    ------
    InputError
        For maps, latents or options that cannot be used, or movies that would be overwritten.
    """
    check_options(request.options)
    is_run = any((request.source / name).is_file() for name in ("config.yaml", "config.pkl"))
    if not request.source.is_dir():
        raise InputError(f"{request.source}: no such folder; give a folder of maps or of a training run.")
    if is_run and request.zfile is not None:
        file = request.output or request.zfile.with_suffix(best_suffix())
        _check_file(file, request.force)
        opened = series_of_run(
            request.source,
            request.zfile,
            request.map_options,
            request.pixel_size_angstrom,
            request.epoch,
            request.device,
        )
        with opened as series:
            _write(series, file, request.options)
        return (file,)
    folders = _folders_of_run(request) if is_run else (request.source,)
    if request.output is not None and len(folders) > 1:
        raise InputError(
            f"-o: one file, but there are {len(folders)} movies; leave it out, or give one folder."
        )
    files = [request.output or folder / f"{request.name}{best_suffix()}" for folder in folders]
    for file in files:
        _check_file(file, request.force)
    all_series = [series_of_folder(folder, request.zfile, request.prefix) for folder in folders]
    for series, file in zip(all_series, files, strict=True):
        _write(series, file, request.options)
    return tuple(files)


def _check_file(file: Path, force: bool) -> None:
    check_movie_name(file)
    if file.is_dir():
        raise InputError(f"{file}: is a folder; give the name of a file with -o.")
    if file.exists() and not force:
        raise InputError(f"{file}: exists; give another name with -o, or --force to replace.")


def _folders_of_run(request: MoviesRequest) -> tuple[Path, ...]:
    """Folders of maps that an analysis of the run has left; the run itself where it has maps of states."""
    run = RunFolder(request.source)
    epoch = run.latest_epoch() if request.epoch is None else request.epoch
    stem = "analyze" if request.kind == "latent" else "landscape"
    place = request.analysis_folder or run.path / (stem if epoch is None else f"{stem}.{epoch}")
    patterns = ("kmeans*", "pc*") if request.kind == "latent" else ("vol_pcs/pc*", "sketch_clustering_*")
    folders = [f for pattern in patterns for f in sorted(place.glob(pattern)) if any(f.glob("*.mrc"))]
    if request.kind == "latent" and any(run.path.glob("state_[0-9]*.mrc")):
        folders.insert(0, run.path)
    kept = [f for f in folders if len(numbered_maps(f, request.prefix)) <= MAX_MAPS_OF_FOLDER]
    for left_out in folders:
        if left_out not in kept:
            logger.info("%s: over %d maps, no movie; give this folder for one", left_out, MAX_MAPS_OF_FOLDER)
    if not kept:
        command = "analyze" if request.kind == "latent" else "analyze_landscape"
        raise InputError(
            f"{place}: no folders of maps; run `cryoscape {command} {run.path}` first, or give --zfile."
        )
    return tuple(kept)


def _write(series: MapSeries, file: Path, options: MovieOptions) -> None:
    """One movie of one series."""
    level, camera = _level_and_camera(series, options)
    pixel_size = series.pixel_size_angstrom or 1.0
    share, length = nice_scale_bar(ROOM_FOR_SCALE_BAR * 2 * camera.half_width * pixel_size)
    strip = Strip(
        names=series.names,
        counts=None if series.counts is None else series.counts.values,
        counted="" if series.counts is None else series.counts.words,
        scale_bar=(share * ROOM_FOR_SCALE_BAR, length) if series.pixel_size_angstrom > 0 else None,
    )
    positions = frame_positions(len(series), options, series.is_path)
    fps = frames_a_second(positions, options)
    write_movie(file, _frames(series, strip, positions, level, camera, options), fps)
    logger.info(
        "%s: %d maps at level %.3g, %d frames, %.1f s",
        file,
        len(series),
        level,
        len(positions),
        len(positions) / fps,
    )


def _level_and_camera(series: MapSeries, options: MovieOptions) -> tuple[float, Camera]:
    """A level for all the maps, and a view on their mean that is wide enough for each."""
    mean = np.zeros(series.read(0).shape, dtype=np.float32)
    envelope = np.full(mean.shape, -np.inf, dtype=np.float32)
    levels = []
    for i in range(len(series)):
        volume = series.read(i)
        levels.append(contour_level([volume]))
        mean += volume / np.float32(len(series))
        np.maximum(envelope, volume, out=envelope)
    level = float(np.median(levels)) if options.level is None else options.level
    if not (envelope > level).any():
        raise InputError(f"--level {level:g}: no map has density above it, the most is {envelope.max():.3g}.")
    axes = None if options.camera is None else camera_axes(options.camera)
    return level, principal_camera(mean, level, envelope=envelope, axes=axes)


def _frames(
    series: MapSeries,
    strip: Strip,
    positions: np.ndarray,
    level: float,
    camera: Camera,
    options: MovieOptions,
) -> Iterator[np.ndarray]:
    """The frames one by one; those that come again (back and forth, repeated maps) are kept compressed."""
    known: dict[tuple[float, float], bytes] = {}
    maps = _FineMaps(series)
    angles = options.turn_degrees * np.arange(len(positions)) / len(positions)
    shape = (options.size_px + strip_height(options.size_px) * options.labels, options.size_px, 3)
    with progress(len(positions), "frames") as update:
        for done, (position, angle) in enumerate(zip(positions.tolist(), angles.tolist(), strict=True), 1):
            if (position, angle) not in known:
                volume, scale = maps.at(position)
                view = camera.scaled(scale).turned(angle)
                picture = render_surface(volume, level, view, size_px=options.size_px, refine=False)
                frame = draw_frame(picture, strip, position)[: shape[0]]
                known[position, angle] = zlib.compress(frame.tobytes(), 1)
            yield np.frombuffer(zlib.decompress(known[position, angle]), dtype=np.uint8).reshape(shape)
            update(done)


class _FineMaps:
    """Maps of a series and between them, fine enough to be rendered; the two used last are kept."""

    def __init__(self, series: MapSeries) -> None:
        self._read = lru_cache(maxsize=2)(lambda i: refined(series.read(i)))

    def at(self, position: float) -> tuple[np.ndarray, float]:
        """The map at a place of the series, blended of its neighbours, and voxels to one of theirs."""
        before = int(position)
        share = np.float32(position - before)
        volume, scale = self._read(before)
        if share > 0:
            volume = np.asarray((1 - share) * volume + share * self._read(before + 1)[0], dtype=np.float32)
        return volume, scale
