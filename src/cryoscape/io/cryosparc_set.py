"""The files of one set of cryoSPARC particles, kept apart, and a selection of them written as such files.

A set is the table of a job with its passthrough tables, matched on ``uid``, and the ``.csg`` group that names
them, which cryoSPARC's "Import Result Group" reads.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cryoscape.io.atomic import replace_when_done, write_text
from cryoscape.io.cryosparc import (
    particles_of_job,
    passthrough_files,
    read_cs_table,
    read_group_file,
    rows_by_uid,
)
from cryoscape.typing import PathLikeStr

_GROUP_VERSION = "v4.0.0"
"""Version of cryoSPARC whose group files those written here follow."""


@dataclass(frozen=True)
class CryosparcSet:
    """Tables of one set of particles, row i of each the same particle.

    ``source`` is the .cs or .csg file; ``files`` and ``tables`` go together, the job's own first; ``group``
    holds the contents of the .csg file, None where the source is a .cs file.
    """

    source: Path
    files: tuple[Path, ...]
    tables: tuple[np.ndarray, ...]
    group: dict[str, Any] | None

    def __len__(self) -> int:
        return len(self.tables[0])


def read_cryosparc_set(path: PathLikeStr) -> CryosparcSet:
    """Read the tables of a set: of a .cs file with its passthrough files, a .csg group, or a job's folder.

    Of a .cs file, those passthrough files beside it belong to the set that hold all its particles and a field
    that no other table has.

    Raises
    ------
    InputError
        As `cryoscape.io.cryosparc.read_cryosparc`.
    """
    path = Path(path)
    source = particles_of_job(path) if path.is_dir() else path
    group: dict[str, Any] | None = None
    if source.suffix.lower() == ".csg":
        group, groups = read_group_file(source)
        first, *others = groups
    else:
        first, others = source, passthrough_files(source)
    files, tables = [first], [read_cs_table(first)]
    known = set(tables[0].dtype.names or ())
    for file in others:
        other = read_cs_table(file)
        fields = set(other.dtype.names or ())
        is_part = fields - known and np.isin(tables[0]["uid"], other["uid"]).all()
        if group is None and not is_part:
            continue
        files.append(file)
        tables.append(other[rows_by_uid(tables[0], other, file)])
        known |= fields
    return CryosparcSet(source, tuple(files), tuple(tables), group)


def write_cs_table(path: PathLikeStr, table: np.ndarray) -> None:
    """Write one .cs file, whole or not at all; records keep their bytes."""
    with replace_when_done(path) as temporary, temporary.open("wb") as handle:
        try:
            np.lib.format.write_array(handle, table, version=(1, 0), allow_pickle=False)
        except ValueError:  # the header of a table with many fields is too long for the first version
            np.lib.format.write_array(handle, table, version=(2, 0), allow_pickle=False)


def with_image_paths(table: np.ndarray, new_name: Callable[[str], str]) -> np.ndarray:
    """A table whose ``blob/path`` is changed, its field widened where needed; others are as they were.

    Parameters
    ----------
    table
        Named fields (N,); without ``blob/path`` it is answered as it is.
    new_name
        Answers the new path for the old one.
    """
    names = table.dtype.names or ()
    if "blob/path" not in names:
        return table
    files, number = np.unique(table["blob/path"], return_inverse=True)
    as_text = [file.decode() if isinstance(file, bytes) else str(file) for file in files]
    renamed = [new_name(file) for file in as_text]
    kind = table.dtype["blob/path"].kind
    paths = np.array([name.encode() for name in renamed] if kind == "S" else renamed)[number]
    if paths.dtype.itemsize <= table.dtype["blob/path"].itemsize:
        changed = table.copy()
    else:
        fields = [(name, paths.dtype if name == "blob/path" else table.dtype[name]) for name in names]
        changed = np.empty(len(table), dtype=fields)
        for name in names:
            if name != "blob/path":
                changed[name] = table[name]
    changed["blob/path"] = paths
    return changed


def write_group_file(path: Path, read: CryosparcSet, written: Sequence[Path], n_particles: int) -> None:
    """Write the .csg group of a selection: that of the original with new files, or a new one.

    Parameters
    ----------
    path
        File to write, in the folder of the .cs files.
    read
        The set the selection is of.
    written
        The .cs file written for each file of the set.
    n_particles
        Particles in each of them.
    """
    if read.group is None:
        content = _new_group(read, written, n_particles)
    else:
        content = copy.deepcopy(read.group)
        place = {file.name: new for file, new in zip(read.files, written, strict=True)}
        for result in content["results"].values():
            if isinstance(result, dict) and isinstance(result.get("metafile"), str):
                old = Path(result["metafile"].removeprefix(">")).name
                result |= _reference(place[old], n_particles)
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _new_group(read: CryosparcSet, written: Sequence[Path], n_particles: int) -> dict[str, Any]:
    results: dict[str, Mapping[str, Any]] = {}
    for table, file in zip(read.tables, written, strict=True):
        for name in table.dtype.names or ():
            slot = name.partition("/")[0]
            if slot != "uid" and slot not in results:
                kind = "alignments3D" if slot.startswith("alignments_class") else slot
                results[slot] = {**_reference(file, n_particles), "type": f"particle.{kind}"}
    modified = datetime.fromtimestamp(read.source.stat().st_mtime, UTC)
    return {
        "created": modified.replace(tzinfo=None),
        "group": {
            "description": f"{n_particles} particles of {read.source.name}",
            "name": "particles",
            "title": "Particles",
            "type": "particle",
        },
        "results": results,
        "version": _GROUP_VERSION,
    }


def _reference(file: Path, n_particles: int) -> dict[str, Any]:
    """A file in the folder of the group, marked by the ">" that cryoSPARC puts before such names."""
    return {"metafile": f">{file.name}", "num_items": n_particles}
