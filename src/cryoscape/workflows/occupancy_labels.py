"""Labels that particles have from elsewhere, read from an array or a table."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles
from cryoscape.io.star import read_star
from cryoscape.typing import Rows
from cryoscape.workflows.filter_tables import read_table

logger = logging.getLogger("cryoscape")

_COLUMNS = ("label", "class", "state", "rlnClassNumber")
_ROW_COLUMNS = ("original_row", "row")


def read_particle_labels(path: Path, rows: Rows) -> np.ndarray:
    """Label of each particle of a run, (n,) text, None for a particle without one.

    Parameters
    ----------
    path
        .npy or .pkl of an array, or a table (.parquet, .csv, .tsv, .txt) with a column `label`, `class` or
        `state`, or a single column of its own; a .star file with rlnClassNumber.
    rows
        (n,) rows of the original input of the particles. A table may have a column `row` (or `original_row`)
        of such rows; else lines belong to the rows of the original input, or to the particles of the run
        where there are as many.

    Raises
    ------
    InputError
        For a file that cannot be read, has no labels, or too few.
    """
    values, keys = _read(path)
    if keys is not None:
        frame = pd.Series(values, index=keys)
        if not frame.index.is_unique:
            raise InputError(f"{path}: names a row more than once; give one line a particle")
        found = frame.reindex(rows).to_numpy(dtype=object)
    elif len(values) > int(rows.max()):
        found = values[rows]
    elif len(values) == len(rows):
        found = values
    else:
        raise InputError(
            f"{path}: {len(values)} labels; expected one for each row of the original input (more than "
            f"{int(rows.max())}), or for each of the {len(rows)} particles of the run"
        )
    labels = np.array([_text(value) for value in found], dtype=object)
    without = sum(label is None for label in labels)
    if without == len(labels):
        raise InputError(f"{path}: none of the {len(rows)} particles of the run has a label there")
    if without:
        logger.warning("%s: %d of %d particles have no label", path, without, len(labels))
    return labels


def _read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels as objects, and the original row of each where the file tells."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the labels of particles with --labels")
    if path.suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not readable as an array ({error})") from error
        return _flat(array, path), None
    if path.suffix == ".pkl":
        return _flat(np.asarray(load_pickles(path)[0]), path), None
    table = read_star(path).particles if path.suffix == ".star" else read_table(path)
    keys = [name for name in _ROW_COLUMNS if name in table.columns]
    own = [str(name) for name in table.columns if name not in _ROW_COLUMNS]
    named = [name for name in _COLUMNS if name in own] or (own if len(own) == 1 else [])
    if not named:
        raise InputError(f"{path}: expected a column 'label', found {', '.join(own) or 'none'}")
    return table[named[0]].to_numpy(dtype=object), table[keys[0]].to_numpy() if keys else None


def _flat(array: np.ndarray, path: Path) -> np.ndarray:
    if array.ndim != 1 or array.dtype.kind not in "iufUSb":
        raise InputError(f"{path}: expected one label a particle, found an array {array.shape}")
    return array.astype(object)


def _text(value: object) -> str | None:
    if value is None or value == "" or value != value:  # the last is true of NaN only
        return None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
