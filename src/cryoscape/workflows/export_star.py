"""A selection of the particles of a STAR file: rows, other tables and comments as they are."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.star import read_star
from cryoscape.io.star_rows import ImageName, StarLines, read_star_lines, write_star_rows
from cryoscape.particles.export import PathEdit, edited_paths, keys_of_star, select_keys
from cryoscape.particles.from_star import image_addresses
from cryoscape.particles.keys import KeyList, write_key_list
from cryoscape.particles.star_columns import StarColumns
from cryoscape.workflows.export_request import ExportRequest, ExportResult, check_targets, kept_places

logger = logging.getLogger("cryoscape")

SUFFIX = ".star"
_SLOW_MEGABYTES = 100.0


@dataclass(frozen=True)
class _Source:
    """A star file in both forms, text and columns, and who its rows are."""

    lines: StarLines
    columns: StarColumns
    keys: KeyList

    @classmethod
    def read(cls, path: Path) -> "_Source":
        megabytes = path.stat().st_size / 1e6
        if megabytes > _SLOW_MEGABYTES:
            logger.info("reading %s (%.0f MB, about a minute for 1000 MB)", path, megabytes)
        columns = StarColumns(read_star(path))
        return cls(read_star_lines(path), columns, keys_of_star(columns))

    def tell_of_copies(self) -> None:
        """Warn where images are not those that the key list names, as of a set that was downsampled."""
        images = image_addresses(self.columns, None, locate=False)
        own = set() if images is None else {file.name for file in images.files}
        first = {Path(file).name for file in self.keys.files}
        if own and first and own.isdisjoint(first):
            logger.warning(
                "images of %s were made from %s: export the star file of these for full resolution, with the "
                "same selection",
                self.lines.path,
                self.keys.files[0],
            )

    def text(self, column: str) -> np.ndarray:
        """A column of text.

        Raises
        ------
        InputError
            If it is not there.
        """
        found = self.columns.text(column)
        if found is None:
            raise InputError(f"{self.lines.path}: no column _{column}")
        return found


def export_star(request: ExportRequest) -> ExportResult:
    """Write the selected rows to one star file, with its key list.

    Raises
    ------
    InputError
        As `cryoscape.workflows.export.export`.
    """
    output = _output(request)
    source = _Source.read(request.particles)
    kept = _kept(request, source)
    check_targets([output], [request.particles], request.force, keyed=[output])
    new_names = _new_names(source, kept, request.paths)
    source.tell_of_copies()
    _write(output, source, kept, new_names)
    return ExportResult((output,), len(kept), len(source.keys))


def export_micrographs(request: ExportRequest) -> ExportResult:
    """Write a star file for each micrograph of the selected rows, into the folder `request.output`.

    Files are called as the micrograph without its suffix; where two in different folders have one name, the
    folders are part of it.

    Raises
    ------
    InputError
        As `export_star`; also without a column of micrographs.
    """
    source = _Source.read(request.particles)
    kept = _kept(request, source)
    micrographs = source.text("rlnMicrographName")[kept]
    if request.output.suffix.lower() == SUFFIX or request.output.is_file():
        raise InputError(f"{request.output}: expected a folder for the star files of the micrographs")
    targets = {
        name: request.output / f"{stem}{SUFFIX}" for name, stem in _stems(np.unique(micrographs)).items()
    }
    files = list(targets.values())
    check_targets(files, [request.particles], request.force, keyed=files)
    new_names = _new_names(source, kept, request.paths)
    source.tell_of_copies()
    for name, target in targets.items():
        _write(target, source, kept[micrographs == name], new_names)
    return ExportResult(tuple(targets.values()), len(kept), len(source.keys))


def _stems(names: Iterable[str]) -> dict[str, str]:
    short = {str(name): Path(str(name)).stem for name in names}
    taken = list(short.values())
    return {
        name: stem if taken.count(stem) == 1 else str(Path(name).with_suffix("")).strip("/").replace("/", "_")
        for name, stem in short.items()
    }


def _output(request: ExportRequest) -> Path:
    output = request.output
    if output.suffix.lower() == SUFFIX:
        return output
    if output.suffix and not output.is_dir():
        raise InputError(f"{output}: the particles of a star file go to a .star file, or give a folder")
    return output / request.particles.name


def _kept(request: ExportRequest, source: _Source) -> np.ndarray:
    series = source.text("rlnGroupName") if request.by_tilt_series else None
    return kept_places(request, source.keys, series)


def _write(output: Path, source: _Source, kept: np.ndarray, new_names: ImageName | None) -> None:
    write_star_rows(output, source.lines, kept, _used_optics(source, kept), new_names)
    write_key_list(output, select_keys(source.keys, kept))


def _used_optics(source: _Source, kept: np.ndarray) -> np.ndarray | None:
    """Places of the optics groups with particles, None for all; RELION's selections drop the others too."""
    optics, group = source.lines.optics, source.columns.group
    if optics is None or group is None:
        return None
    used = np.unique(group[kept])
    if len(used) < len(optics):
        logger.info("%d of %d optics groups have no particles left", len(optics) - len(used), len(optics))
    return used


def _new_names(source: _Source, kept: np.ndarray, paths: PathEdit) -> ImageName | None:
    """Answers ``number@file`` with another file; None where names stay as they are."""
    if paths.mode == "keep":
        return None
    files = {name.rpartition("@")[2] for name in source.text("rlnImageName")[kept].tolist()}
    renamed = edited_paths(files, source.lines.path, paths)

    def new_name(old: str) -> str:
        number, at, file = old.rpartition("@")
        return number + at + renamed[file]

    return new_name
