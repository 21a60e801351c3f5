"""What an export is asked for and what it answers; which rows it keeps, and that it spoils no file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_rows
from cryoscape.particles.export import PathEdit, selected_positions
from cryoscape.particles.keys import KeyList, check_key_list_is_free, key_list_path


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes
    ----------
    particles : .star, .cs or .csg file, or a cryoSPARC job's folder.
    output : file to write, or a folder in which the files keep their names.
    ind : pickled selection, rows of the original input; None for all particles.
    rows_of : file whose rows the selection counts, where that is another than `particles`.
    paths : what becomes of image paths.
    by_tilt_series : the selection counts tilt series (_rlnGroupName), in the order in which they appear.
    force : replace what is there.
    """

    particles: Path
    output: Path
    ind: Path | None = None
    rows_of: Path | None = None
    paths: PathEdit = field(default_factory=PathEdit)
    by_tilt_series: bool = False
    force: bool = False


@dataclass(frozen=True)
class ExportResult:
    """Files written, the first named by the user, and how many of how many particles are in them."""

    files: tuple[Path, ...]
    n_kept: int
    n_particles: int


def kept_places(request: ExportRequest, keys: KeyList, series: np.ndarray | None = None) -> np.ndarray:
    """Places (n,) of the particles to keep, in the order of the selection.

    Parameters
    ----------
    keys
        Who the rows of the file are.
    series
        Name of the tilt series of each row, where the selection counts these.

    Raises
    ------
    InputError
        If the selection does not fit the file.
    """
    if request.ind is None:
        return np.arange(len(keys))
    rows, label = read_rows(request.ind), str(request.ind)
    if series is None:
        return selected_positions(keys, rows, label, request.particles, request.rows_of)
    _, first, number = np.unique(series, return_index=True, return_inverse=True)
    in_order = np.argsort(np.argsort(first))[number]
    beyond = rows[rows >= len(first)]
    if len(beyond) or not len(rows):
        problem = f"names tilt series {beyond[0]}" if len(beyond) else "is empty"
        raise InputError(
            f"{label}: the selection {problem}; {request.particles} holds {len(first)} tilt series "
            f"(0 to {len(first) - 1})"
        )
    return np.flatnonzero(np.isin(in_order, rows))


def check_targets(
    targets: Sequence[Path], inputs: Sequence[Path], force: bool, keyed: Sequence[Path] = ()
) -> None:
    """Refuse to write over an input, or without `force` over anything.

    Lists of rows of `keyed` files are targets too; that of another file stays even with `force`.

    Raises
    ------
    InputError
        Naming the first file in the way.
    """
    originals = {path.resolve() for path in inputs}
    for path in keyed:
        check_key_list_is_free(path)
    for target in (*targets, *map(key_list_path, keyed)):
        if target.resolve() in originals:
            raise InputError(f"{target}: is the input; give another -o, so that the original stays")
        if target.is_dir():
            raise InputError(f"{target}: is a folder; give the name of a file with -o")
        if target.exists() and not force:
            raise InputError(f"{target}: exists; give another -o, or --force to replace it")
