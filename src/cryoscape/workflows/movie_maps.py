"""Series of maps for movies: in folders or of a model along a path, with the particles behind each map."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from cryoscape.analysis.maps import MapOptions, check_map_options, finish_map
from cryoscape.analysis.path_support import path_support
from cryoscape.engines.run_folder import LoadedRun, load_run
from cryoscape.errors import InputError
from cryoscape.io.mrc import read_mrc_header, read_volume
from cryoscape.typing import Volume
from cryoscape.workflows.eval_vol import EvalVolRequest, read_requested_latents
from cryoscape.workflows.path_files import support_stem
from cryoscape.workflows.progress import progress

_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>(_mean)?)\.mrc")


@dataclass(frozen=True)
class Counts:
    """Particles behind each map, and what they are: "particles", or "particles near" of a point."""

    values: np.ndarray
    words: str


@dataclass(frozen=True)
class MapSeries:
    """Maps of one box, in order.

    Attributes
    ----------
    maps : arrays or files; `read` gives one as an array.
    names : "Map 3" and the like.
    is_path : neighbours in the series are neighbours in the landscape, so that a movie may pass between them.
    """

    maps: Sequence[Path] | np.ndarray
    names: tuple[str, ...]
    pixel_size_angstrom: float
    counts: Counts | None
    is_path: bool

    def __len__(self) -> int:
        return len(self.names)

    def read(self, i: int) -> Volume:
        """One map (D, D, D) float32."""
        one = self.maps[i]
        return read_volume(one).data if isinstance(one, Path) else np.asarray(one)


def series_of_folder(folder: Path, zfile: Path | None = None, prefix: str | None = None) -> MapSeries:
    """The numbered maps of a folder, with the counts of the table that lies there.

    Parameters
    ----------
    zfile : Path, optional
        Latents that the maps were made at: their table of support tells the counts.
    prefix : str, optional
        Of the names, where the folder holds several series.

    Raises
    ------
    InputError
        Where there are no maps, several series, or maps of several sizes.
    """
    files = numbered_maps(folder, prefix)
    headers = [read_mrc_header(file) for file in files]
    shapes = [(h.n_z, h.n_y, h.n_x) for h in headers]
    for file, shape in zip(files, shapes, strict=True):
        if shape != shapes[0]:
            raise InputError(
                f"{file}: {shape[0]} voxels, {files[0].name} has {shapes[0][0]}; one size is needed."
            )
    counts = _counts_in(folder, len(files)) if zfile is None else _counts_beside(zfile, len(files))
    unordered = (folder / "clusters.parquet").is_file() or (folder / "states.parquet").is_file()
    is_path = not unordered and not (folder / "states.csv").is_file()
    what = "Cluster" if (folder / "clusters.parquet").is_file() else "Map" if is_path else "State"
    names = tuple(f"{what} {_number(file)}" for file in files)
    return MapSeries(files, names, headers[0].pixel_size_angstrom, counts, is_path)


def numbered_maps(folder: Path, prefix: str | None = None) -> tuple[Path, ...]:
    """The one series of numbered maps in a folder, by number; see `series_of_folder`."""
    series: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(folder.glob("*.mrc")):
        found = _NUMBERED.fullmatch(path.name)
        if found and (prefix is None or found["before"] == prefix):
            series.setdefault((found["before"], found["after"]), []).append(path)
    if ("vol_", "") in series:
        series = {("vol_", ""): series["vol_", ""]}
    if not series:
        named = "vol_000.mrc" if prefix is None else f"{prefix}000.mrc"
        raise InputError(
            f"{folder}: no numbered maps ({named} and on); give a folder of eval_vol or analyze."
        )
    if len(series) > 1:
        names = ", ".join(f"{before}*{after}.mrc" for before, after in series)
        raise InputError(f"{folder}: several series of maps ({names}); choose one with --prefix.")
    (files,) = series.values()
    return tuple(sorted(files, key=_number))


def _number(file: Path) -> int:
    found = _NUMBERED.fullmatch(file.name)
    return int(found["number"]) if found else 0


def _counts_in(folder: Path, n: int) -> Counts | None:
    """From the table that the command which made the maps has left beside them."""
    tables = (
        ("clusters.parquet", "particles", "particles"),
        ("states.parquet", "particles", "particles"),
        ("states.csv", "particles", "particles"),
        ("path.parquet", "particles", "particles near"),
        ("maps.csv", "n_near", "particles near"),
    )
    for name, column, words in tables:
        path = folder / name
        if path.is_file():
            table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
            if column in table and len(table) == n:
                return Counts(table[column].to_numpy().astype(np.int64), words)
    return None


def _counts_beside(zfile: Path, n: int) -> Counts | None:
    stem = support_stem(zfile)
    path = stem.with_name(f"{stem.name}.parquet")
    if not path.is_file():
        return None
    table = pd.read_parquet(path)
    if len(table) != n:
        raise InputError(
            f"{path}: {len(table)} points, but there are {n} maps; give the --zfile of these maps."
        )
    return Counts(table["particles"].to_numpy().astype(np.int64), "particles near")


@contextmanager
def series_of_run(
    run: Path,
    zfile: Path,
    options: MapOptions,
    pixel_size_angstrom: float | None,
    epoch: int | None,
    device: str,
) -> Iterator[MapSeries]:
    """Maps of a run at the latents of a file; they are kept on disk for as long as the context lasts.

    Raises
    ------
    InputError
        For a run, latents or options that cannot be used.
    """
    loaded = load_run(run, epoch, device)
    z = read_requested_latents(EvalVolRequest(run, run, zfile=zfile))
    if z.shape[1] != loaded.source.zdim:
        raise InputError(f"{zfile}: {z.shape[1]} values a line, the run has {loaded.source.zdim} dimensions.")
    native = pixel_size_angstrom or loaded.pixel_size_angstrom
    check_map_options(options, loaded.source.box_size, native)
    counts = _counts_beside(zfile, len(z)) or _counted(loaded, z)
    with tempfile.TemporaryFile() as scratch:
        maps, pixel_size = _make_maps(loaded, z, options, native, scratch)
        names = tuple(f"Map {i}" for i in range(len(z)))
        yield MapSeries(maps, names, pixel_size, counts, is_path=True)


def _counted(run: LoadedRun, z: np.ndarray) -> Counts:
    covariance = None if run.latents is None else run.latents.covariance
    return Counts(path_support(run.z, z.astype(np.float64), covariance).particles, "particles near")


def _make_maps(
    run: LoadedRun,
    z: np.ndarray,
    options: MapOptions,
    native: float,
    scratch: IO[bytes],
) -> tuple[np.ndarray, float]:
    maps: np.ndarray | None = None
    pixel_size = native
    with progress(len(z), "maps") as update:
        for i, row in enumerate(z):
            finished = finish_map(np.asarray(run.source.volumes(row[None])[0]), native, options)
            if maps is None:
                shape = (len(z), *finished.volume.shape)
                maps = np.memmap(scratch, dtype=np.float32, mode="w+", shape=shape)
            maps[i] = finished.volume
            pixel_size = finished.pixel_size_angstrom
            update(i + 1)
    if maps is None:
        raise InputError("--zfile: holds no latents")
    return maps, pixel_size
