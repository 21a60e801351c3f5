"""Files of an occupancy analysis: maps of the ensemble, maps and masks of elements, the table."""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done, write_text
from cryoscape.io.mrc import check_kind, read_mrc_header, read_volume
from cryoscape.occupancy.elements import header_of, name_of
from cryoscape.occupancy.model import MapGrid
from cryoscape.typing import Volumes

logger = logging.getLogger("cryoscape")

MAPS_FOLDER, MASKS_FOLDER = "01_PDB_mrc", "02_mask"
MASK_PREFIX = "Mask_"
TABLE_FILE = "occupancies.csv"
ELEMENTS_FILE = "elements.json"
"""Beside the maps of elements: what they are made of, and how the model was placed."""

RUN_FILE = "occupancy.json"
"""Settings of `occupancy run`; marks a folder as its own, and is written first, so that --force finds it."""

SAMPLED_FOLDER = "kmeans"
"""Clusters of a run's particles at whose centres maps were made, and the maps that were written."""

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class MapFiles:
    """Maps of an ensemble in a folder.

    Attributes
    ----------
    paths : in the order of their numbers.
    numbers : (n,) the last part of each name, ``vol_018.mrc`` is 18; 0, 1... where names have no numbers.
    grid : common to all.
    """

    paths: tuple[Path, ...]
    numbers: Int[np.ndarray, " n"]
    grid: MapGrid

    def __len__(self) -> int:
        return len(self.paths)

    def volumes(self, first: int, last: int) -> Volumes:
        """Maps first to last - 1, (n, z, y, x) float32."""
        return np.stack([read_volume(path).data for path in self.paths[first:last]])


def find_maps(place: Path) -> MapFiles:
    """Maps in a folder (or one file), by their headers; half maps and the like are passed over.

    Raises
    ------
    InputError
        For no maps, two of one number, maps of different boxes, or no pixel size.
    """
    paths = [place] if place.is_file() else sorted(place.glob("*.mrc"), key=natural)
    if not paths:
        what = "no .mrc files in it" if place.is_dir() else "no such folder"
        raise InputError(f"{place}: {what}; give the folder of the maps, such as kmeans500")
    numbered = [path for path in paths if _NUMBER.fullmatch(path.stem.split("_")[-1])]
    if numbered:
        paths = sorted(numbered, key=lambda path: int(path.stem.split("_")[-1]))
    numbers = np.array([int(path.stem.split("_")[-1]) if numbered else i for i, path in enumerate(paths)])
    same = np.flatnonzero(np.diff(numbers) == 0)
    if len(same):
        first, second = paths[same[0]].name, paths[same[0] + 1].name
        raise InputError(
            f"{place}: {first} and {second} have one number; keep one kind of maps in the folder"
        )
    grids = [grid_of(path) for path in paths]
    for path, grid in zip(paths, grids, strict=True):
        check_same_grid(grid, path, grids[0], paths[0])
    return MapFiles(tuple(paths), numbers.astype(np.int64), grids[0])


def natural(path: Path) -> list[tuple[int, str]]:
    """Sorts names with numbers as people do: H2 before H10."""
    parts = re.split(r"(\d+)", path.stem.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def grid_of(path: Path) -> MapGrid:
    """Box, voxel and origin of a map, from its header.

    Raises
    ------
    InputError
        For a file that is no map or tells no pixel size.
    """
    header = read_mrc_header(path)
    check_kind(header, "volume")
    if not header.pixel_size_angstrom > 0:
        raise InputError(f"{path}: its header tells no pixel size; write the maps with --Apix")
    return MapGrid((header.n_z, header.n_y, header.n_x), header.pixel_size_angstrom, header.origin_angstrom)


def check_same_grid(grid: MapGrid, path: Path, other: MapGrid, other_path: Path) -> None:
    """InputError for another box; a warning for another voxel or origin, which some programs do not keep."""
    if grid.shape != other.shape:
        raise InputError(
            f"{path}: {_box(grid)} voxels, {other_path} has {_box(other)}; make maps and masks in one box"
        )
    away = np.abs(np.subtract(grid.origin_angstrom, other.origin_angstrom)).max()
    if abs(grid.voxel_angstrom - other.voxel_angstrom) > 0.005 * other.voxel_angstrom:
        logger.warning(
            "%s has %.4g A a voxel, %s has %.4g; voxels are taken to lie at the same places",
            path, grid.voxel_angstrom, other_path, other.voxel_angstrom,
        )  # fmt: skip
    elif away > 0.1 * other.voxel_angstrom:
        raise InputError(
            f"{path}: origin {_origin(grid)} A, {other_path} has {_origin(other)}; were they cropped alike?"
        )


def _box(grid: MapGrid) -> str:
    return " x ".join(map(str, grid.shape))


def _origin(grid: MapGrid) -> str:
    return " ".join(f"{value:g}" for value in grid.origin_angstrom)


def refuse_existing(paths: Sequence[Path], force: bool) -> None:
    """InputError if any of the files is there and is not to be replaced, or its folder is a file."""
    for path in paths:
        for folder in path.parents:
            if folder.is_file():
                raise InputError(f"{folder}: is a file; give a folder with -o")
        if path.is_dir() or (path.exists() and not force):
            raise InputError(f"{path}: is there already; give another -o, or --force to replace it")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write settings, whole."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read settings written by `write_json`; InputError where they are not readable."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable ({error}); make it again, or remove it") from error
    return content


@dataclass(frozen=True)
class OccupancyTable:
    """Occupancies of maps (rows) and elements (columns).

    Attributes
    ----------
    numbers : (n,) of the maps.
    names : of the elements.
    values : (n, e)
    """

    numbers: Int[np.ndarray, " n"]
    names: tuple[str, ...]
    values: Float[np.ndarray, "n e"]

    def frame(self) -> pd.DataFrame:
        """As a table with two header rows, PDB and Chain, as published."""
        columns = pd.MultiIndex.from_tuples([header_of(name) for name in self.names], names=["PDB", "Chain"])
        return pd.DataFrame(self.values, index=self.numbers, columns=columns)


def write_table(path: Path, table: OccupancyTable, separator: str = ",") -> None:
    """Write with two header rows, the numbers of the maps first in each line."""
    with replace_when_done(path) as temporary:
        table.frame().to_csv(temporary, sep=separator)


def read_table(path: Path) -> OccupancyTable:
    """Read occupancies.csv, of ours or as the published script writes it (absent chains as empty columns).

    Raises
    ------
    InputError
        If it is not such a table.
    """
    if path.is_dir():
        path = path / TABLE_FILE
    if not path.is_file():
        raise InputError(f"{path}: no such file; make it with occupancy measure")
    try:
        frame = pd.read_csv(path, header=[0, 1], index_col=0).dropna(axis=1, how="all")
        values = frame.to_numpy(dtype=np.float64)
        numbers = frame.index.to_numpy().astype(np.int64)
    except (ValueError, IndexError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a table of occupancies with two header rows ({reason})") from error
    if not values.size:
        raise InputError(f"{path}: holds no occupancies; make it with occupancy measure")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        header = frame.columns[column]
        raise InputError(
            f"{path}: map {numbers[row]}, {header[0]} {header[1]} is not a number; measure again"
        )
    order = np.argsort(numbers, kind="stable")
    if (np.diff(numbers[order]) == 0).any():
        raise InputError(f"{path}: a map is in it twice; measure again")
    names = tuple(name_of((str(header[0]), str(header[1]))) for header in frame.columns)
    return OccupancyTable(numbers[order], names, values[order])
