"""Rows of pickles: poses, CTF, latents, labels, selections."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles, read_rows, write_array_pickle
from cryoscape.particles.checks import check_rows
from cryoscape.particles.export import select_keys, selected_positions
from cryoscape.particles.keys import KeyList, read_key_list, write_key_list
from cryoscape.workflows.export_request import check_targets

logger = logging.getLogger("cryoscape")


def filter_pickle(
    source: Path, output: Path, ind: Path | None = None, first: int | None = None, force: bool = False
) -> int:
    """Write some rows of every array of a pickle; answers how many.

    Tuples (poses) and files of several pickles (latents) keep their form. A key list beside the pickle is cut
    alike, and `ind` then means rows of the original input.

    Parameters
    ----------
    ind, first
        Selection of rows, or the number of rows from the start; exactly one of them.

    Raises
    ------
    InputError
        If the pickle holds no arrays of equal length, or the selection does not fit.
    """
    if (ind is None) == (first is None):
        raise InputError("expected exactly one of --ind and --first")
    values = _load(source)
    n = _common_length(values, source)
    keys = read_key_list(source)
    if keys is not None and len(keys) != n:
        keys = None
    if first is not None:
        if not 1 <= first <= n:
            raise InputError(f"--first {first}: expected 1 to {n}, the rows of {source}")
        places = np.arange(first)
    elif ind is not None:
        places = _places(keys, read_rows(ind), ind, source, n)
    check_targets([output], [source], force, keyed=[] if keys is None else [output])
    write_array_pickle(output, *(_cut(value, places) for value in values))
    if keys is not None:
        write_key_list(output, select_keys(keys, places))
    logger.info("%d of %d rows of %s written to %s", len(places), n, source, output)
    return len(places)


def _places(keys: KeyList | None, rows: np.ndarray, ind: Path, source: Path, n: int) -> np.ndarray:
    if keys is None:
        return check_rows(rows, n, str(ind), source)
    return selected_positions(keys, rows, str(ind), source)


def _load(path: Path) -> list[Any]:
    """Values of a file; a list of arrays (old poses) becomes the tuple that it stands for."""
    return [
        tuple(value)
        if isinstance(value, list) and all(isinstance(part, np.ndarray) for part in value)
        else value
        for value in load_pickles(path)
    ]


def _arrays(value: Any, path: Path) -> list[np.ndarray]:
    parts = list(value) if isinstance(value, tuple) else [value]
    try:
        arrays = [np.asarray(part) for part in parts if part is not None]
    except ValueError:  # a list of lists of several lengths
        arrays = []
    if not arrays or any(array.ndim == 0 or array.dtype.kind not in "biufSU" for array in arrays):
        raise InputError(f"{path}: expected arrays with a row for each particle, or tuples of them")
    return arrays


def _common_length(values: Sequence[Any], path: Path) -> int:
    lengths = {len(array) for value in values for array in _arrays(value, path)}
    if len(lengths) != 1:
        raise InputError(
            f"{path}: arrays of {', '.join(map(str, sorted(lengths)))} rows, expected one number"
        )
    return lengths.pop()


def _cut(value: Any, places: np.ndarray) -> Any:
    if isinstance(value, tuple):
        return tuple(None if part is None else np.asarray(part)[places] for part in value)
    return np.asarray(value)[places]


def concatenate_pickles(sources: Sequence[Path], output: Path, force: bool = False) -> int:
    """Write the rows of several pickles of one form one after another; answers how many.

    Raises
    ------
    InputError
        If there are fewer than two files, or they differ in form or in the shape of a row.
    """
    if len(sources) < 2:
        raise InputError(f"expected two or more pickles, found {len(sources)}")
    files = [_load(source) for source in sources]
    forms = [
        [_form(value, source) for value in values] for values, source in zip(files, sources, strict=True)
    ]
    for values, source in zip(files, sources, strict=True):
        _common_length(values, source)
    for form, source in zip(forms, sources, strict=True):
        if form != forms[0]:
            raise InputError(
                f"{source}: holds {_told(form)}, but {sources[0]} {_told(forms[0])}: only files of one kind "
                "can be joined"
            )
    check_targets([output], sources, force)
    write_array_pickle(output, *(_joined(values) for values in zip(*files, strict=True)))
    n = sum(_common_length(values, source) for values, source in zip(files, sources, strict=True))
    logger.info("%d rows of %d files written to %s", n, len(sources), output)
    return n


def _form(value: Any, path: Path) -> tuple[bool, tuple[tuple[int, ...], ...]]:
    """Whether a value is a tuple, and the shape of a row of each of its arrays."""
    return isinstance(value, tuple), tuple(array.shape[1:] for array in _arrays(value, path))


def _told(form: Sequence[tuple[bool, tuple[tuple[int, ...], ...]]]) -> str:
    shapes = [str(("N", *shape)).replace("'", "") for _, parts in form for shape in parts]
    return f"{' and '.join(shapes)}{' as a tuple' if form[0][0] else ''}"


def _joined(values: Sequence[Any]) -> Any:
    if not isinstance(values[0], tuple):
        return np.concatenate([np.asarray(value) for value in values])
    return tuple(
        None if parts[0] is None else np.concatenate([np.asarray(part) for part in parts])
        for parts in zip(*values, strict=True)
    )
