"""Pickles of arrays, read without executing anything and never replaced by accident."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles, write_array_pickle
from cryoscape.typing import PathLikeStr


def save_pkl(data: Any, path: PathLikeStr, force: bool = False) -> None:
    """Write an array, an index, a column or a list of numbers as a pickled array.

    Raises
    ------
    InputError
        If the file is there already with other content and ``force`` is not given, or the data are no array.
    """
    path = Path(path)
    array = data.to_numpy() if isinstance(data, (pd.Index, pd.Series)) else np.asarray(data)
    if array.dtype == object:
        raise InputError(f"{path}: expected numbers, found {type(data).__name__} of mixed or other values")
    if path.exists() and not force and not _same(path, array):
        raise InputError(f"{path}: is there already with other content; give another name, or force=True")
    write_array_pickle(path, array)


def load_pkl(path: PathLikeStr) -> Any:
    """Read what `save_pkl` or upstream wrote: arrays and plain values only.

    Raises
    ------
    InputError
        If the file cannot be read or asks for anything else.
    """
    return load_pickles(path)[0]


def _same(path: Path, array: np.ndarray) -> bool:
    try:
        there = np.asarray(load_pickles(path)[0])
    except InputError:
        return False
    return there.dtype == array.dtype and np.array_equal(there, array)
