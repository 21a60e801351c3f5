"""Which rows of a file a selection means, and where the images of exported particles are said to lie."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from cryoscape.errors import InputError
from cryoscape.io.star import read_star
from cryoscape.particles.checks import check_rows
from cryoscape.particles.from_star import image_addresses
from cryoscape.particles.joining import TABLE_SUFFIXES, read_table
from cryoscape.particles.keys import KeyList, match_keys, read_key_list
from cryoscape.particles.locate import locate_files
from cryoscape.particles.metadata import Particles
from cryoscape.particles.readers import load_particles
from cryoscape.particles.star_columns import StarColumns

PathMode = Literal["keep", "absolute", "replace"]


@dataclass(frozen=True)
class PathEdit:
    """What becomes of image paths: kept as they are, made absolute, or their beginning replaced.

    ``datadir`` is where files are looked for to make paths absolute; ``old`` and ``new`` are the beginnings
    that "replace" exchanges.
    """

    mode: PathMode = "keep"
    datadir: Path | None = None
    old: str = ""
    new: str = ""


def path_edit(full_path: bool, datadir: Path | None, replace_path: tuple[str, str] | None) -> PathEdit:
    """The change of image paths that options ask for.

    Raises
    ------
    InputError
        If they ask for two.
    """
    if full_path and replace_path is not None:
        raise InputError(
            "--full-path and --replace-path: expected one of them; the second tells whole paths too"
        )
    if replace_path is not None:
        return PathEdit("replace", old=replace_path[0], new=replace_path[1])
    return PathEdit("absolute", datadir) if full_path else PathEdit()


def edited_paths(names: Iterable[str], source: Path, edit: PathEdit) -> dict[str, str]:
    """Paths of image files as they are to be written, for each as it stands.

    Parameters
    ----------
    names
        Paths in `source`; the ">" with which cryoSPARC marks paths in the project is kept, or dropped where
        the path becomes absolute.
    source
        The star or .cs file that holds them.
    edit
        What to do.

    Raises
    ------
    InputError
        If files are not found (absolute), or a path does not begin as told (replace).
    """
    listed = sorted(set(names))
    bare = [name.lstrip(">") for name in listed]
    if edit.mode == "keep":
        return dict(zip(listed, listed, strict=True))
    if edit.mode == "absolute":
        found = locate_files(bare, source, edit.datadir)
        return {name: os.path.abspath(file) for name, file in zip(listed, found, strict=True)}
    others = [name for name in bare if not name.startswith(edit.old)]
    if others:
        raise InputError(
            f"{source}: {len(others)} of {len(bare)} image paths do not begin with {edit.old} (first: "
            f"{others[0]}); give --replace-path the beginning that all of them have"
        )
    return {
        name: name[: len(name) - len(end)] + edit.new + end[len(edit.old) :]
        for name, end in zip(listed, bare, strict=True)
    }


def keys_of_file(path: Path) -> KeyList:
    """Who the rows of a file are: its key list, else the uids and image addresses it holds itself.

    Parameters
    ----------
    path
        .star, .cs, .csg, stack or list of stacks; or anything with a key list beside it, as poses.pkl.

    Raises
    ------
    InputError
        If the file is not there, or nothing tells who its rows are.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.suffix.lower() == ".star":
        return keys_of_star(StarColumns(read_star(path)))
    listed = read_key_list(path) if path.is_file() else None
    if path.suffix.lower() in TABLE_SUFFIXES:
        own = KeyList.of(read_table(path, poses="skip", ctf="skip"))
        return own if listed is None or len(listed) != len(own) else listed
    if listed is not None:
        return listed
    if path.suffix.lower() in (".mrc", ".mrcs", ".txt"):
        return KeyList.of(load_particles(path))
    raise InputError(
        f"{path}: nothing tells who its rows are; expected .star, .cs, .csg, a stack, or a file with its "
        "list of rows (.rows.parquet)"
    )


def keys_of_star(columns: StarColumns) -> KeyList:
    """Who the rows of a star file (already read) are: its key list, else its image addresses."""
    listed = read_key_list(columns.path)
    if listed is not None and len(listed) == len(columns):
        return listed
    images = image_addresses(columns, None, locate=False)
    return KeyList(
        row=np.arange(len(columns), dtype=np.int64),
        n_original=len(columns),
        files=() if images is None else tuple(map(str, images.files)),
        file_index=None if images is None else images.file_index,
        image_index=None if images is None else images.image_index,
        uid=None,
    )


def keys_of_selected(particles: Particles) -> KeyList:
    """Keys of loaded particles: of a file that was made from another, the addresses that it was made from."""
    listed = read_key_list(particles.source) if particles.source.is_file() else None
    if listed is None:
        return KeyList.of(particles)
    places = np.asarray(pd.Index(listed.row).get_indexer(pd.Index(particles.row)), dtype=np.int64)
    return KeyList.of(particles) if (places < 0).any() else select_keys(listed, places)


def select_keys(keys: KeyList, positions: np.ndarray) -> KeyList:
    """Keys of some rows, in the order of `positions` (n,)."""

    def cut(column: np.ndarray | None) -> np.ndarray | None:
        return None if column is None else column[positions]

    return replace(
        keys,
        row=keys.row[positions],
        file_index=cut(keys.file_index),
        image_index=cut(keys.image_index),
        uid=cut(keys.uid),
    )


def selected_positions(
    keys: KeyList, rows: np.ndarray, selection: str, source: Path, of: Path | None = None
) -> np.ndarray:
    """Places (n,) in a file of the selected particles, in the order of the selection.

    Parameters
    ----------
    keys
        Who the rows of the file are.
    rows
        Selected rows of the ORIGINAL input of the file, or of that of `of`; a boolean mask too.
    selection, source
        Names of the selection and the file, for messages.
    of
        Another file that the selection counts the rows of, whose particles are found by uid or image address.

    Raises
    ------
    InputError
        If the selection is empty, names rows that are not there, or particles that the file does not hold.
    """
    if of is None:
        return _places(keys, check_rows(rows, keys.n_original, selection, source), selection, source)
    theirs = keys_of_file(of)
    wanted = select_keys(
        theirs, _places(theirs, check_rows(rows, theirs.n_original, selection, of), selection, of)
    )
    match = match_keys(wanted, keys)
    if match is None:
        raise InputError(
            f"{source} and {of} share neither uids nor image addresses: nothing tells which of their rows "
            "are the same particles"
        )
    if match.n_missing:
        first = int(wanted.row[match.positions < 0][0])
        raise InputError(
            f"{source}: {match.n_missing} of the {len(wanted)} selected particles are not in it (first: row "
            f"{first} of {of}; matched by {match.by}): give the file they come from"
        )
    return match.positions


def _places(keys: KeyList, rows: np.ndarray, selection: str, source: Path) -> np.ndarray:
    found = np.asarray(pd.Index(keys.row).get_indexer(pd.Index(rows)), dtype=np.int64)
    if (found < 0).any():
        lost = rows[found < 0]
        raise InputError(
            f"{selection}: {len(lost)} of the {len(rows)} selected rows are not in the {len(keys)} particles "
            f"of {source} (first: {lost[0]}; rows are those of the original input): the selection belongs to "
            "another set"
        )
    return found
