"""Tables of particles in Parquet, CSV, tab-separated text or losses of eval_images, as plain arrays."""

from pathlib import Path

import numpy as np
import pandas as pd

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles


def read_table(path: Path) -> pd.DataFrame:
    """A table from .parquet, .csv, tab-separated .txt and .tsv, or a .pkl of losses of eval_images.

    Raises InputError where it cannot be read as such.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a table in Parquet or CSV.")
    suffix = path.suffix.lower()
    if suffix == ".pkl":
        return _read_losses(path)
    if suffix not in (".parquet", ".csv", ".txt", ".tsv"):
        raise InputError(f"{path}: expected .parquet, .csv, .tsv or .txt, found {suffix or 'no suffix'}.")
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, sep="," if suffix == ".csv" else "\t")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: not readable as a table ({reason}).") from error


def _read_losses(path: Path) -> pd.DataFrame:
    """Columns of a pickled dictionary of arrays, as eval_images writes for each particle."""
    found = load_pickles(path)[0]
    if not isinstance(found, dict) or "particle_row" not in found:
        raise InputError(f"{path}: not the losses that eval_images -o writes; give these, Parquet or CSV.")
    columns = {
        str(name): np.asarray(values) for name, values in found.items() if str(name).startswith("particle_")
    }
    if len({values.shape for values in columns.values()}) != 1:
        raise InputError(f"{path}: its arrays are of different lengths; run eval_images again.")
    return pd.DataFrame(columns).rename(columns={"particle_row": "original_row"})


def table_columns(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Columns as numpy arrays: numbers and truth values as such, NaN where one is missing, else objects."""
    found: dict[str, np.ndarray] = {}
    for name in table.columns:
        column = table[name]
        if not isinstance(column, pd.Series):
            raise InputError(f"a table has two columns of the name {name!r}; rename one.")
        if pd.api.types.is_bool_dtype(column.dtype) and not column.hasnans:
            found[str(name)] = column.to_numpy(dtype=bool)
        elif pd.api.types.is_numeric_dtype(column.dtype):
            whole = pd.api.types.is_integer_dtype(column.dtype) and not column.hasnans
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
            found[str(name)] = column.to_numpy(dtype=np.int64) if whole else numbers
        else:
            values = column.astype(object)
            found[str(name)] = values.where(column.notna(), None).to_numpy(dtype=object)
    return found
