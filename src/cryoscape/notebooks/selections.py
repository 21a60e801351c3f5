"""Selections made in a notebook, as files that training and export take."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryoscape.errors import InputError
from cryoscape.particles.selection import Selection, read_selection, write_selection
from cryoscape.typing import PathLikeStr
from cryoscape.workflows.filter_columns import RunColumns


@dataclass(frozen=True)
class SavedSelection:
    """Files of a selection, and of the particles that are not in it; None where nothing is."""

    keep: Path
    bad: Path | None
    n_kept: int
    n_dropped: int

    def _repr_markdown_(self) -> str:
        total = self.n_kept + self.n_dropped
        lines = [f"- **{self.n_kept:,}** of {total:,} particles kept: `{self.keep}`"]
        if self.bad is not None:
            lines.append(f"- {self.n_dropped:,} dropped: `{self.bad}`")
        lines.append(f"\nTrain on them with `--ind {self.keep}`.")
        return "\n".join(lines)


def save_selection(
    run: RunColumns,
    ind: Sequence[int] | np.ndarray | pd.Index,
    folder: PathLikeStr | None = None,
    note: str = "",
) -> SavedSelection:
    """Write ind_keep.N_particles.pkl and ind_bad.M_particles.pkl, as rows of the original input.

    Parameters
    ----------
    ind
        Rows of z to keep (the index of the table).
    folder
        Where to; by default the run folder.
    note
        A remark for the record beside the files.

    Raises
    ------
    InputError
        If nothing is selected, a row is not of this run, or a file is there already with other rows.
    """
    rows = np.unique(np.asarray(ind, dtype=np.int64))
    n = len(run.z)
    if not len(rows):
        raise InputError("nothing is selected: give rows of z to keep")
    if rows[0] < 0 or rows[-1] >= n:
        raise InputError(f"row {rows[-1]} is selected, but there are {n} particles, numbered from 0")
    mask = np.zeros(n, dtype=bool)
    mask[rows] = True
    where = (run.folder.path if folder is None else Path(folder)).resolve()
    record: dict[str, Any] = {
        "made_by": "notebook",
        "run": str(run.folder.path.resolve()),
        "epoch": run.epoch,
        "note": note,
    }
    kept = Selection(run.rows[mask], None, {"holds": "kept", **record})
    dropped = Selection(run.rows[~mask], None, {"holds": "dropped", **record})
    keep = where / f"ind_keep.{len(kept)}_particles.pkl"
    bad = where / f"ind_bad.{len(dropped)}_particles.pkl" if len(dropped) else None
    files = [(keep, kept)] + ([] if bad is None else [(bad, dropped)])
    for path, selection in files:
        if path.exists() and not np.array_equal(read_selection(path).rows, selection.rows):
            raise InputError(f"{path}: is there already with other particles; move it or give another folder")
    for path, selection in files:
        write_selection(path, selection)
    return SavedSelection(keep, bad, len(kept), len(dropped))
