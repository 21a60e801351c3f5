"""A run as notebooks see it, and one table of all that is known of its particles."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from cryoscape.errors import InputError
from cryoscape.typing import PathLikeStr
from cryoscape.workflows.filter_columns import RunColumns

logger = logging.getLogger("cryoscape")

_NAMES = {
    "umap1": "UMAP1",
    "umap2": "UMAP2",
    "rot_degrees": "phi",
    "tilt_degrees": "theta",
    "psi_degrees": "psi",
    "shift_x_angstrom": "tx",
    "shift_y_angstrom": "ty",
    "defocus_u_angstrom": "df1",
    "defocus_v_angstrom": "df2",
    "defocus_angle_degrees": "dfang",
    "phase_shift_degrees": "phase",
    "zscore": "znorm",
    "log_likelihood": "log_likelihood",
    "contrast": "contrast",
    "junk_score": "junk_score",
    "state": "state",
    "original_row": "original_row",
}
"""Columns of a run by their names in the table, those of published notebooks where these have one."""


def load_run(
    workdir: PathLikeStr,
    epoch: int | None = None,
    *,
    analysis: PathLikeStr | None = None,
    datadir: PathLikeStr | None = None,
) -> RunColumns:
    """Open one epoch of a run: ``z`` (N, zdim), ``rows`` of the original input, and columns by name.

    Parameters
    ----------
    workdir
        The run folder.
    epoch
        As in the file names; None for the latest, or for a run without epochs.
    analysis
        Folder of the analysis; by default analyze.EPOCH in the run folder.
    datadir
        Folder of the image files, where they are no longer where the run found them.

    Raises
    ------
    InputError
        For a run or an epoch that is not there.
    """
    return RunColumns(
        Path(workdir),
        epoch,
        analysis=None if analysis is None else Path(analysis),
        datadir=None if datadir is None else Path(datadir),
    )


def dataframe(run: RunColumns, k: int | None = None) -> pd.DataFrame:
    """One row a particle, in the order of z: the index is the row of z.

    Columns: UMAP1, UMAP2, PC1..., z0...; labels (cluster of k-means); phi, theta, psi (RELION's rot, tilt,
    psi, degrees); tx, ty (angstrom); df1, df2 (angstrom), dfang, phase (degrees); znorm (standard deviations
    by which the magnitude of z lies above the mean); what the engine says (contrast, log_likelihood,
    junk_score, state); original_row. Those that the run does not know are left out.

    Parameters
    ----------
    k
        Number of k-means clusters behind ``labels``; None for no such column.
    """
    zdim = run.z.shape[1]
    names = {f"pc{i + 1}": f"PC{i + 1}" for i in range(zdim)} | {f"z{i}": f"z{i}" for i in range(zdim)}
    names = {key: value for key, value in _NAMES.items() if key.startswith("umap")} | names | _NAMES
    table: dict[str, np.ndarray] = {}
    there = set(run)  # asking a mapping whether it holds a column would read it
    for column, name in names.items():
        if column not in there:
            continue
        try:
            table[name] = run[column]
        except (InputError, OSError) as error:
            logger.debug("no column %s: %s", name, error)
    if k is not None:
        table["labels"] = run.labels("kmeans", k)
    absent = [name for name in ("theta", "tx", "df1") if name not in table]
    if absent:
        logger.warning(
            "poses or CTF of the particles are not where the run found them: no %s", ", ".join(absent)
        )
    return pd.DataFrame(table)
