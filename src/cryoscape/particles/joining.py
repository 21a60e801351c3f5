"""Join poses and CTF of another file to a particle set: by key where there is one, else by row."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_ctf, read_poses
from cryoscape.particles.from_cryosparc import particles_from_cryosparc
from cryoscape.particles.from_star import Need, Overrides, particles_from_star
from cryoscape.particles.keys import KeyList, match_keys, read_key_list
from cryoscape.particles.metadata import CtfTable, Particles, Poses

_STAR_SUFFIXES = (".star",)
_CRYOSPARC_SUFFIXES = (".cs", ".csg")
TABLE_SUFFIXES = (*_STAR_SUFFIXES, *_CRYOSPARC_SUFFIXES)


def read_table(
    path: Path,
    poses: Need = "if_present",
    ctf: Need = "if_present",
    overrides: Overrides | None = None,
    datadir: Path | None = None,
    locate: bool = False,
) -> Particles:
    """Metadata of a .star, .cs or .csg file (its images need not be there)."""
    if path.suffix.lower() in _STAR_SUFFIXES:
        return particles_from_star(path, datadir, overrides, poses, ctf, locate)
    if path.suffix.lower() in _CRYOSPARC_SUFFIXES or path.is_dir():
        return particles_from_cryosparc(path, datadir, overrides, poses, ctf, locate)
    raise InputError(f"{path}: expected a .star, .cs or .csg file, found {path.suffix or 'no suffix'}")


@dataclass(frozen=True)
class Joining:
    """What the rows of a further file may refer to: the particles, their keys, and how they were cut."""

    particles: Particles
    keys: KeyList
    cut_rows: np.ndarray | None


def with_poses(context: Joining, path: Path) -> Particles:
    """The particles with the poses of a pickle, .star or .cs file.

    Raises
    ------
    InputError
        If the file holds no poses, or not those of these particles.
    """
    particles = context.particles
    if path.suffix.lower() == ".pkl":
        rotation, shift = read_poses(path)
        table = Poses(rotation, shift)
        positions, notices = _positions(context, len(table), read_key_list(path), path, "poses")
    else:
        read = read_table(path, poses="need", ctf="skip")
        if read.poses is None:
            raise InputError(f"{path}: no poses: use the Refine3D run_data.star")
        table = read.poses
        positions, notices = _positions(context, len(table), KeyList.of(read), path, "poses")
        notices = [*read.notices, *notices]
    particles = _longer_input(particles, context, positions, len(table))
    return replace(particles, poses=table.select(positions), notices=(*particles.notices, *notices))


def with_ctf(context: Joining, path: Path) -> Particles:
    """The particles with the CTF of a pickle, .star or .cs file.

    Raises
    ------
    InputError
        If the file holds no CTF, or not that of these particles.
    """
    particles = context.particles
    if path.suffix.lower() == ".pkl":
        table = CtfTable.from_legacy(read_ctf(path))
        positions, notices = _positions(context, len(table), read_key_list(path), path, "CTF")
    else:
        read = read_table(path, poses="skip", ctf="need")
        if read.ctf is None:
            raise InputError(f"{path}: no CTF in this file")
        table = read.ctf
        positions, notices = _positions(context, len(table), KeyList.of(read), path, "CTF")
        notices = [*read.notices, *notices]
    particles = _longer_input(particles, context, positions, len(table))
    return replace(particles, ctf=table.select(positions), notices=(*particles.notices, *notices))


def _longer_input(particles: Particles, context: Joining, positions: np.ndarray, n_table: int) -> Particles:
    """A stack cut before has as many original rows as the uncut table beside it."""
    if positions is not context.cut_rows:
        return particles
    return replace(particles, n_original=max(particles.n_original, n_table))


def _positions(
    context: Joining, n_table: int, table_keys: KeyList | None, path: Path, what: str
) -> tuple[np.ndarray, list[str]]:
    """Row of a table for each particle: by key where both have one, else by count and original row."""
    n = len(context.particles)
    match = None if table_keys is None else match_keys(context.keys, table_keys)
    if match is not None and match.n_missing == 0:
        in_order = np.array_equal(match.positions, np.arange(n))
        return match.positions, [] if in_order else [f"{path}: {what} matched to particles by {match.by}"]
    if match is not None and n_table != n:
        first = int(np.flatnonzero(match.positions < 0)[0])
        raise InputError(
            f"{path}: {n_table} {what}, {context.particles.source}: {n} particles; {match.n_missing} of them "
            f"have no {what} (first: row {first}): use files of one and the same job"
        )
    if n_table == n:
        return np.arange(n), []
    if n_table == context.keys.n_original:
        return context.particles.row, []
    if context.cut_rows is not None and n_table > int(context.cut_rows.max()):
        return context.cut_rows, [f"{path}: {what} selected with --ind, as the stack is cut already"]
    raise InputError(
        f"{path}: {n_table} {what}, but {context.particles.source} has {n} particles: use files of one and "
        "the same job, or give the rows with --ind if the stack was cut"
    )
