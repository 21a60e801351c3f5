"""A selection of cryoSPARC's particles: records, fields and uids as they are, passthrough files too."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.cryosparc_set import (
    CryosparcSet,
    read_cryosparc_set,
    with_image_paths,
    write_cs_table,
    write_group_file,
)
from cryoscape.particles.export import PathEdit, edited_paths, keys_of_file, select_keys
from cryoscape.particles.keys import write_key_list
from cryoscape.workflows.export_request import ExportRequest, ExportResult, check_targets, kept_places

SUFFIXES = (".cs", ".csg")


@dataclass(frozen=True)
class _Targets:
    """A .cs file to write for each file of the set, and the group file that names them."""

    tables: tuple[Path, ...]
    group: Path


def export_cryosparc(request: ExportRequest) -> ExportResult:
    """Write the selected particles of each file of a set, and the group that cryoSPARC imports.

    All files hold the particles in one and the same order, that of the selection.

    Raises
    ------
    InputError
        As `cryoscape.workflows.export.export`.
    """
    if request.by_tilt_series:
        raise InputError(f"{request.particles}: tilt series are selected in star files only")
    read = read_cryosparc_set(request.particles)
    targets = _targets(read, request.output)
    keys = keys_of_file(read.source)
    kept = kept_places(request, keys)
    keyed = (targets.tables[0], targets.group)
    check_targets([*targets.tables, targets.group], [read.source, *read.files], request.force, keyed)
    tables = [table[kept] for table in read.tables]
    new_path = _new_paths(read, tables, request.paths)
    for path, table in zip(targets.tables, tables, strict=True):
        write_cs_table(path, table if new_path is None else with_image_paths(table, new_path))
    write_group_file(targets.group, read, targets.tables, len(kept))
    for path in keyed:
        write_key_list(path, select_keys(keys, kept))
    named = targets.group if request.output.suffix.lower() == ".csg" else targets.tables[0]
    written = [path for path in (*targets.tables, targets.group) if path != named]
    return ExportResult((named, *written), len(kept), len(keys))


def _targets(read: CryosparcSet, output: Path) -> _Targets:
    """Names of the files to write.

    NAME.cs goes with NAME_passthrough.cs and NAME_particles.csg; NAME.csg with NAME_particles.cs and
    NAME_passthrough_particles.cs. In a folder files keep their names. No two names differ in the suffix
    only, as each has its list of rows beside it.
    """
    n_others = len(read.files) - 1
    numbers = [""] if n_others == 1 else [f"_{number}" for number in range(n_others)]
    suffix, base = output.suffix.lower(), output.with_suffix("")
    if suffix == ".cs":
        others = [Path(f"{base}_passthrough{number}.cs") for number in numbers[:n_others]]
        return _Targets((output, *others), Path(f"{base}_particles.csg"))
    if suffix == ".csg":
        others = [Path(f"{base}_passthrough{number}_particles.cs") for number in numbers[:n_others]]
        return _Targets((Path(f"{base}_particles.cs"), *others), output)
    if suffix and not output.is_dir():
        raise InputError(f"{output}: particles of cryoSPARC go to a .cs or .csg file, or give a folder")
    names = [file.name for file in read.files]
    if len(set(names)) < len(names):
        raise InputError(f"{read.source}: files of one name in several folders; give -o NAME.csg")
    own = read.source.name if read.group is not None else f"{read.files[0].stem}.csg"
    if Path(own).stem in {Path(name).stem for name in names}:
        own = f"{Path(own).stem}_group.csg"
    return _Targets(tuple(output / name for name in names), output / own)


def _new_paths(read: CryosparcSet, tables: list[np.ndarray], paths: PathEdit) -> Callable[[str], str] | None:
    """Answers a new ``blob/path`` for the old one; None where paths stay as they are."""
    if paths.mode == "keep":
        return None
    named: set[str] = set()
    for table in tables:
        if "blob/path" in (table.dtype.names or ()):
            named |= {
                file.decode() if isinstance(file, bytes) else str(file)
                for file in np.unique(table["blob/path"]).tolist()
            }
    if not named:
        raise InputError(f"{read.source}: no field blob/path, so there are no image paths to change")
    return edited_paths(named, read.source, paths).__getitem__
