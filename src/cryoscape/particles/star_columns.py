"""Columns of a star file as arrays: the values of an optics group spread over its particles."""

import numpy as np
import pandas as pd

from cryoscape.errors import InputError
from cryoscape.io.star import StarFile


class StarColumns:
    """Columns of a star file as arrays (N,), values of the optics groups spread over their particles."""

    def __init__(self, star: StarFile) -> None:
        self.path = star.path
        self.dialect = star.dialect
        self.particles = star.particles
        self.optics = star.optics
        self.group = None if self.optics is None else self._group_of_each_row(self.optics)

    def __len__(self) -> int:
        return len(self.particles)

    def _group_of_each_row(self, optics: pd.DataFrame) -> np.ndarray | None:
        if "rlnOpticsGroup" not in optics or "rlnOpticsGroup" not in self.particles:
            if len(optics) == 1:
                return np.zeros(len(self), np.int64)
            raise InputError(
                f"{self.path}: {len(optics)} optics groups but no column _rlnOpticsGroup to tell them apart"
            )
        known = pd.Index(optics["rlnOpticsGroup"].map(_group_name))
        codes, distinct = pd.factorize(self.particles["rlnOpticsGroup"], use_na_sentinel=False)
        used = [_group_name(value) for value in distinct]
        group = np.asarray(known.get_indexer(pd.Index(used)), dtype=np.int64)[codes]
        if (group < 0).any():
            row = int(np.flatnonzero(group < 0)[0])
            raise InputError(
                f"{self.path}: row {row} is in optics group {used[codes[row]]}, which the optics table lacks "
                f"(it has {', '.join(map(str, known))})"
            )
        return group

    def number(self, *names: str) -> np.ndarray | None:
        """First of the columns that is there, float64 (N,); the optics table is looked in first."""
        for name in names:
            if self.optics is not None and self.group is not None and name in self.optics:
                return self._to_numbers(self.optics[name], name)[self.group]
            if name in self.particles:
                return self._to_numbers(self.particles[name], name)
        return None

    def _to_numbers(self, column: pd.Series, name: str) -> np.ndarray:
        # copied, as pandas may answer with an array that torch must not share
        values = np.array(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
        unread = np.isnan(values) & column.notna().to_numpy()
        if unread.any():
            row = int(np.flatnonzero(unread)[0])
            raise InputError(f"{self.path}: _{name} of row {row} is {column.iloc[row]!r}, expected a number")
        return values

    def text(self, name: str) -> np.ndarray | None:
        """A column of text, or None."""
        return self.particles[name].astype(str).to_numpy() if name in self.particles else None


def _group_name(value: object) -> str:
    text = str(value).strip()
    return text[:-2] if text.endswith(".0") else text
