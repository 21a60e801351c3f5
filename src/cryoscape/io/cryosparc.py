"""Particle data sets of cryoSPARC: .cs tables, their passthrough files, .csg groups and job folders.

A .cs file is a numpy array with named fields (``uid``, ``blob/path``, ``alignments3D/pose``, ...). What a job
did not change lies in a second file, ``*_passthrough_particles.cs``, whose rows may be in another order.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cryoscape.errors import InputError
from cryoscape.typing import PathLikeStr

_KINDS = {"uid": ("iu", "integers"), "blob/path": ("SU", "text"), "blob/idx": ("iu", "integers")}
_SHAPES = {"blob/shape": (2,), "pose": (3,), "shift": (2,)}
_MAX_HEADER_BYTES = 1024**2
"""A table with the alignments of 100 classes passes numpy's limit of 10,000 bytes."""
_FIELDS_WANTED = ("blob/path", "ctf/df1_A", "alignments")
"""Beginnings of one field each of the three groups that a particle needs."""


def read_cryosparc(path: PathLikeStr) -> np.ndarray:
    """Read particles of cryoSPARC as one structured array (N,), rows in the order of the named file.

    Parameters
    ----------
    path
        A ``.cs`` file (where it lacks images, CTF or alignments, the passthrough files beside it are joined
        on ``uid``), a ``.csg`` group (the files it names are joined), or a job folder (its group of
        particles, else its last particles).

    Raises
    ------
    InputError
        If a file is missing or is no .cs table, if ``uid`` is missing or repeated, if fields have the wrong
        type, or if a file to join lacks some of the particles.
    """
    path = Path(path)
    if path.is_dir():
        path = particles_of_job(path)
    if path.suffix == ".csg":
        return _read_group(path)
    table = read_cs_table(path)
    return _with_siblings(table, path) if _lacking(table) else table


def _lacking(table: np.ndarray) -> list[str]:
    names = table.dtype.names or ()
    return [field for field in _FIELDS_WANTED if not any(name.startswith(field) for name in names)]


def read_cs_table(path: Path) -> np.ndarray:
    """Read one .cs file as it stands, without those it belongs to; checked.

    Raises
    ------
    InputError
        As `read_cryosparc`, of one file.
    """
    try:
        table = np.load(path, allow_pickle=False, max_header_size=_MAX_HEADER_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (ValueError, EOFError) as error:
        raise InputError(
            f"{path} is not a .cs file of cryoSPARC ({error}); export the particles again"
        ) from error
    if not isinstance(table, np.ndarray) or table.dtype.names is None or table.ndim != 1:
        raise InputError(f"{path} is not a .cs file of cryoSPARC: expected a table with named fields")
    _check_fields(table, path)
    return table


def _check_fields(table: np.ndarray, path: Path) -> None:
    fields = {name: table.dtype[name] for name in table.dtype.names or ()}
    if "uid" not in fields:
        raise InputError(f"{path} has no field uid, so it is not a particle table of cryoSPARC")
    for name, (kinds, expected) in _KINDS.items():
        if name in fields and fields[name].kind not in kinds:
            raise InputError(f"{path}: field {name} is {fields[name]}, expected {expected}")
    for name, field in fields.items():
        shape = _SHAPES.get(name, _SHAPES.get(name.rpartition("/")[2]) if name.startswith("align") else None)
        if shape is not None and (field.shape != shape or field.base.kind not in "iuf"):
            raise InputError(f"{path}: field {name} is {field}, expected numbers of shape {shape}")
    unique, counts = np.unique(table["uid"], return_counts=True)
    if len(unique) != len(table):
        raise InputError(
            f"{path}: {len(table) - len(unique)} particles repeat a uid (first {unique[counts > 1][0]}); "
            "remove duplicates in cryoSPARC"
        )


def _with_siblings(table: np.ndarray, path: Path) -> np.ndarray:
    """Join the passthrough files that hold all particles; a file that holds only some of them is an error."""
    partial: list[str] = []
    for other_path in passthrough_files(path):
        other = read_cs_table(other_path)
        if not set(other.dtype.names or ()) - set(table.dtype.names or ()):
            continue
        found = int(np.isin(table["uid"], other["uid"]).sum())
        if found == len(table):
            table = _join(table, other, other_path, None)
        elif found:
            partial.append(f"{other_path.name} holds {found} of {len(table)}")
    lacking = _lacking(table)
    if lacking and partial:
        groups = ", ".join(field.split("/")[0] for field in lacking)
        raise InputError(
            f"{path} has no {groups} fields and no passthrough file holds all its particles "
            f"({'; '.join(partial)}); use the particles of one job output"
        )
    return table


def rows_by_uid(table: np.ndarray, other: np.ndarray, other_path: Path) -> np.ndarray:
    """Row (N,) of `other` that is the same particle, for each row of `table`.

    Raises
    ------
    InputError
        If `other` lacks some of the particles.
    """
    order = np.argsort(other["uid"], kind="stable")
    at = np.searchsorted(other["uid"], table["uid"], sorter=order)
    row = order[np.minimum(at, len(other) - 1)] if len(other) else np.zeros(0, np.int64)
    missing = len(table) if len(other) == 0 else int((other["uid"][row] != table["uid"]).sum())
    if missing:
        raise InputError(f"{other_path} lacks {missing} of {len(table)} particles (matched on uid)")
    return row


def passthrough_files(path: Path) -> list[Path]:
    """The files of passed through fields that lie beside a .cs file, in natural order."""
    found = sorted(path.parent.glob("*passthrough*.cs"), key=_natural_order)
    return [file for file in found if file.name != path.name]


def _join(table: np.ndarray, other: np.ndarray, other_path: Path, groups: Iterable[str] | None) -> np.ndarray:
    """Add to `table` the fields of `other` it lacks (of the named groups), matched on uid."""
    row = rows_by_uid(table, other, other_path)
    present = table.dtype.names or ()
    wanted = None if groups is None else tuple(groups)
    added = [
        name
        for name in other.dtype.names or ()
        if name not in present and (wanted is None or name.split("/")[0] in wanted)
    ]
    joined = np.empty(
        len(table), dtype=[*((n, table.dtype[n]) for n in present), *((n, other.dtype[n]) for n in added)]
    )
    for name in present:
        joined[name] = table[name]
    for name in added:
        joined[name] = other[name][row]
    return joined


def _read_group(path: Path) -> np.ndarray:
    """The table of a .csg group: of each file it names, the groups of fields that it is named for."""
    _, groups = read_group_file(path)
    first, *others = groups
    table = read_cs_table(first)
    for file in others:
        table = _join(table, read_cs_table(file), file, groups[file])
    return table


def read_group_file(path: Path) -> tuple[dict[str, Any], dict[Path, list[str]]]:
    """Read a .csg file: YAML with, for each group of fields, the .cs file that holds it.

    Returns
    -------
    content
        What the file holds.
    groups
        Groups of fields of each .cs file; the first is the job's own, which gives the rows.

    Raises
    ------
    InputError
        If the file cannot be read, or names no .cs file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a .csg file of cryoSPARC: it is not YAML") from error
    results = content.get("results") if isinstance(content, dict) else None
    groups: dict[Path, list[str]] = {}
    for name, result in (results if isinstance(results, dict) else {}).items():
        if isinstance(result, dict) and isinstance(result.get("metafile"), str):
            file = path.parent / result["metafile"].removeprefix(">")
            groups.setdefault(file, []).append(str(name))
    if not groups:
        raise InputError(
            f"{path} names no .cs file: expected results with a metafile; export the group again"
        )
    # the rows are those of the job's own file, wherever the group names it
    return content, {file: groups[file] for file in sorted(groups, key=lambda f: "passthrough" in f.name)}


def particles_of_job(folder: Path) -> Path:
    """The file of a job folder to read: its group of particles, else the particles of its last iteration."""
    groups = sorted(folder.glob("*particles*.csg"), key=_natural_order)
    if len(groups) == 1:
        return groups[0]
    tables = sorted(folder.glob("*particles*.cs"), key=_natural_order)
    own = [file for file in tables if "passthrough" not in file.name] or tables
    kinds = {re.sub(r"_\d+(?=_particles)", "", file.name) for file in own}
    if len(groups) > 1 or len(kinds) > 1:
        listed = ", ".join(file.name for file in (groups or own)[:6])
        raise InputError(f"{folder} holds several sets of particles: name one of {listed}")
    if not own:
        raise InputError(
            f"{folder} holds no particles: expected *particles.csg or *particles.cs in a job folder"
        )
    return own[-1]


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key with numbers in order of size: iteration 10 comes after 9."""
    return [
        (part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", path.name)
    ]
