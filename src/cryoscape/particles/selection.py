"""Selections: rows of the original input, with a record of how they were chosen."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

import cryoscape
from cryoscape.errors import InputError
from cryoscape.io.atomic import write_text
from cryoscape.io.legacy_pickle import load_pickles, read_rows, write_array_pickle
from cryoscape.typing import Rows

Operation = Literal["and", "or", "minus"]


@dataclass(frozen=True, eq=False)
class Selection:
    """Particles by their rows in the original input.

    Attributes
    ----------
    rows : (n,) int64, ascending and distinct, from 0.
    n_original : rows that the original input has; None where that is not known.
    provenance : how the rows were chosen, as plain values that JSON can hold.
    """

    rows: Rows
    n_original: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the rows; refuse what are no rows of the input."""
        rows = np.unique(np.asarray(self.rows, dtype=np.int64))
        if len(rows) != len(self.rows):
            raise InputError(f"a selection names {len(self.rows) - len(rows)} rows more than once")
        if len(rows) and rows[0] < 0:
            raise InputError(f"a selection holds a negative row ({rows[0]}); rows count from 0")
        if self.n_original is not None and len(rows) and rows[-1] >= self.n_original:
            raise InputError(
                f"a selection holds row {rows[-1]}, but its input has {self.n_original} rows, from 0: "
                "it belongs to another input"
            )
        object.__setattr__(self, "rows", rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __and__(self, other: "Selection") -> "Selection":
        """Rows in both."""
        return self._combined("and", other, np.intersect1d(self.rows, other.rows, assume_unique=True))

    def __or__(self, other: "Selection") -> "Selection":
        """Rows in either."""
        return self._combined("or", other, np.union1d(self.rows, other.rows))

    def __sub__(self, other: "Selection") -> "Selection":
        """Rows of this one that are not in the other."""
        return self._combined("minus", other, np.setdiff1d(self.rows, other.rows, assume_unique=True))

    def holds(self, rows: Rows) -> np.ndarray:
        """Whether each of some original rows is selected, (n,) bool."""
        return np.isin(rows, self.rows)

    def _combined(self, operation: Operation, other: "Selection", rows: Rows) -> "Selection":
        known = [n for n in (self.n_original, other.n_original) if n is not None]
        if len(set(known)) > 1:
            raise InputError(
                f"selections of inputs of {known[0]} and of {known[1]} rows cannot be combined: "
                "rows mean the same particles only within one input"
            )
        provenance = {"operation": operation, "of": [dict(self.provenance), dict(other.provenance)]}
        return Selection(rows, known[0] if known else None, provenance)


def read_selection(path: Path) -> Selection:
    """A selection from a pickle of rows or of a boolean mask, with the record beside it where it fits.

    The record is left aside where it is not of these rows, as after another program replaced the pickle.

    Raises
    ------
    InputError
        Where the file holds no selection, see `io.legacy_pickle.read_rows`.
    """
    rows = read_rows(path)
    mask = np.asarray(load_pickles(path)[0])
    n_original = mask.size if mask.dtype == bool else None
    found: Mapping[str, Any] = {"file": path.name}
    record = _read_record(provenance_path(path))
    if record.get("rows_sha256") == rows_digest(np.sort(rows)):
        n_original = record.get("n_original") if n_original is None else n_original
        found = {**found, **record.get("provenance", {})}
    return Selection(rows, n_original, found)


def write_selection(path: Path, selection: Selection) -> None:
    """Write the rows as cryoDRGN reads them (a pickled int64 array), and the record beside it."""
    record = {
        "cryoscape": cryoscape.__version__,
        "n_selected": len(selection),
        "n_original": selection.n_original,
        "rows_sha256": rows_digest(selection.rows),
        "provenance": dict(selection.provenance),
    }
    write_array_pickle(path, selection.rows)
    write_text(provenance_path(path), json.dumps(record, indent=2) + "\n")


def provenance_path(path: Path) -> Path:
    """Where the record of a selection lies: beside it, with the ending .json."""
    return path.with_suffix(".json")


def rows_digest(rows: Rows) -> str:
    """SHA-256 of ascending rows, int64 little-endian."""
    return hashlib.sha256(np.ascontiguousarray(rows, dtype="<i8").tobytes()).hexdigest()


def _read_record(path: Path) -> dict[str, Any]:
    """The record, or nothing where there is none that can be read: the rows stand without it."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
