"""What a star or cryoSPARC file knows of its particles beyond images, poses and CTF, in RELION's columns."""

from pathlib import Path

import numpy as np
import pandas as pd

from cryoscape.io.cryosparc import read_cryosparc
from cryoscape.io.star import read_star
from cryoscape.particles.star_columns import StarColumns

OPTICS_NAME = "rlnOpticsGroupName"
_STAR_COLUMNS = ("rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", "rlnGroupName", "rlnRandomSubset")


def origin_columns(source: Path) -> pd.DataFrame:
    """Micrograph, place on it, half set and optics group of each row of a file, as far as they are there.

    Parameters
    ----------
    source
        .star, .cs or .csg file, or a job's folder.

    Returns
    -------
    Columns by RELION's names, `OPTICS_NAME` among them; without rows where nothing is known, as of a stack.
    """
    if source.suffix.lower() == ".star":
        return _of_star(StarColumns(read_star(source)))
    if source.suffix.lower() in (".cs", ".csg") or source.is_dir():
        return _of_cryosparc(read_cryosparc(source))
    return pd.DataFrame()


def _of_star(columns: StarColumns) -> pd.DataFrame:
    found = {name: columns.particles[name] for name in _STAR_COLUMNS if name in columns.particles}
    table = pd.DataFrame(found, index=pd.RangeIndex(len(columns)))
    if columns.optics is not None and columns.group is not None and OPTICS_NAME in columns.optics:
        table[OPTICS_NAME] = columns.optics[OPTICS_NAME].astype(str).to_numpy()[columns.group]
    return table


def _of_cryosparc(particles: np.ndarray) -> pd.DataFrame:
    """Places are fractions of the micrograph, whose shape is (y, x); half sets and groups are numbers."""
    names = set(particles.dtype.names or ())
    columns: dict[str, np.ndarray] = {}
    if "location/micrograph_path" in names:
        columns["rlnMicrographName"] = np.array(
            [_text(path).lstrip(">") for path in particles["location/micrograph_path"].tolist()], dtype=object
        )
    if {"location/center_x_frac", "location/center_y_frac", "location/micrograph_shape"} <= names:
        shape = particles["location/micrograph_shape"].astype(np.float64)
        columns["rlnCoordinateX"] = (particles["location/center_x_frac"] * shape[:, 1]).round(2)
        columns["rlnCoordinateY"] = (particles["location/center_y_frac"] * shape[:, 0]).round(2)
    if "alignments3D/split" in names:
        columns["rlnRandomSubset"] = particles["alignments3D/split"].astype(np.int64) + 1
    if "ctf/exp_group_id" in names:
        columns[OPTICS_NAME] = np.array(
            [f"exposureGroup{number}" for number in particles["ctf/exp_group_id"].tolist()], dtype=object
        )
    return pd.DataFrame(columns, index=pd.RangeIndex(len(particles)))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", errors="surrogateescape") if isinstance(value, bytes) else value
