"""Pickles of arrays, as cryoDRGN keeps poses, CTF, selections and latents; read without running code."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.typing import PathLikeStr

_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): dict,
}


_ONE = np.ones(1)
_BUILDERS: dict[str, Callable[..., Any]] = {
    "_reconstruct": _ONE.__reduce__()[0],  # type: ignore[dict-item]
    "scalar": _ONE[0].__reduce__()[0],
    "_frombuffer": _ONE.__reduce_ex__(5)[0],  # type: ignore[dict-item]
}
"""What numpy itself names in a pickle; asked of numpy, as its module differs between numpy 1 and 2."""
_BUILDER_MODULES = {
    f"numpy.{core}.{module}" for core in ("core", "_core") for module in ("multiarray", "numeric")
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays and plain containers; anything else is refused before it is called."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module == "_codecs" and name == "encode":
            return _encode_latin
        if module.startswith("numpy.dtypes") and name.endswith("DType"):
            return getattr(np.dtypes, name)
        if module in ("__builtin__", "builtins") and name == "bytes":
            return _empty_bytes
        if module in _BUILDER_MODULES and name in _BUILDERS:
            return _BUILDERS[name]
        raise _UnsafePickleError(f"{module}.{name}")


class _UnsafePickleError(pickle.UnpicklingError):
    """The pickle asks for something other than arrays."""


def _empty_bytes() -> bytes:
    """What old protocols call for b""; with an argument (which could ask for any size) it fails."""
    return b""


def _encode_latin(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


def load_pickles(path: PathLikeStr) -> list[Any]:
    """Read all consecutive pickles of a file; only arrays, numbers, text and plain containers are built.

    Raises
    ------
    InputError
        If the file cannot be read, is not a pickle, or is unsafe.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    stream = io.BytesIO(data)
    found: list[Any] = []
    try:
        while stream.tell() < len(data):
            found.append(_ArrayUnpickler(stream).load())
    except _UnsafePickleError as error:
        if str(error).startswith("torch."):
            raise InputError(
                f"{path} holds torch tensors, expected numpy arrays; save them as such"
            ) from error
        raise InputError(
            f"unsafe pickle {path}: it asks for {error}, expected only arrays; do not use it"
        ) from error
    except Exception as error:  # a broken pickle can raise nearly anything
        raise InputError(f"{path} is not a readable pickle ({type(error).__name__}: {error})") from error
    if not found:
        raise InputError(f"{path} is empty, expected a pickle of arrays")
    return found


def _number_array(value: Any, path: Path, what: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:  # arrays of several shapes, as poses are
        raise InputError(f"{path} does not hold {what}: expected one array, found several") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path} does not hold {what}: expected numbers, found {array.dtype}")
    return array


def read_poses(path: PathLikeStr) -> tuple[np.ndarray, np.ndarray]:
    """Read rotations (N, 3, 3) and shifts (N, 2; fractions of the box), both float64.

    A bare rotation array gives zero shifts; rotations of shape (N, 9) are reshaped.

    Raises
    ------
    InputError
        If the file does not hold poses.
    """
    path = Path(path)
    value = load_pickles(path)[0]
    parts = value if isinstance(value, (tuple, list)) else (value,)
    if len(parts) not in (1, 2):
        raise InputError(
            f"{path} does not hold poses: expected (rotations, shifts), found {len(parts)} parts"
        )
    rotation = _number_array(parts[0], path, "poses").astype(np.float64)
    if rotation.ndim == 2 and rotation.shape[1] == 9:
        rotation = rotation.reshape(-1, 3, 3)
    if rotation.ndim != 3 or rotation.shape[1:] != (3, 3):
        raise InputError(
            f"{path} does not hold poses: expected rotations (N, 3, 3), found {rotation.shape}; "
            "make it with parse_pose_star or parse_pose_csparc"
        )
    shift = np.zeros((len(rotation), 2))
    if len(parts) == 2:
        shift = _number_array(parts[1], path, "poses").astype(np.float64)
    if shift.shape != (len(rotation), 2):
        raise InputError(
            f"{path}: expected shifts ({len(rotation)}, 2), found {shift.shape}; parse poses again"
        )
    return rotation, shift


def read_ctf(path: PathLikeStr) -> np.ndarray:
    """Read CTF parameters (N, 9), float64; the columns are those of `particles.metadata.CtfTable`.

    Raises
    ------
    InputError
        If the file does not hold CTF parameters.
    """
    path = Path(path)
    table = _number_array(load_pickles(path)[0], path, "CTF parameters").astype(np.float64)
    if table.ndim != 2 or table.shape[1] != 9:
        raise InputError(
            f"{path} does not hold CTF parameters: expected shape (N, 9), found {table.shape}; "
            "make it with parse_ctf_star or parse_ctf_csparc"
        )
    return table


def read_rows(path: PathLikeStr) -> np.ndarray:
    """Read a selection as row numbers (int64); a boolean mask becomes the rows that are true.

    Raises
    ------
    InputError
        If the file does not hold whole, distinct, non-negative numbers.
    """
    path = Path(path)
    rows = _number_array(load_pickles(path)[0], path, "a selection").reshape(-1)
    if rows.dtype == bool:
        return np.flatnonzero(rows).astype(np.int64)
    if rows.dtype.kind == "f" and not np.array_equal(rows, np.round(rows)):
        raise InputError(f"{path} does not hold row numbers: expected whole numbers, found fractions")
    rows = rows.astype(np.int64)
    if len(rows) and rows.min() < 0:
        raise InputError(f"{path} holds a negative row number ({rows.min()}); rows count from 0")
    unique, counts = np.unique(rows, return_counts=True)
    if len(unique) != len(rows):
        raise InputError(
            f"{path} names {len(rows) - len(unique)} rows more than once (first {unique[counts > 1][0]}); "
            "a selection holds each row once"
        )
    return rows


def read_labels(path: PathLikeStr) -> np.ndarray:
    """Read labels (N,), int64: the number of the cluster or state of each particle.

    Raises
    ------
    InputError
        If the file does not hold one whole number a particle.
    """
    path = Path(path)
    labels = _number_array(load_pickles(path)[0], path, "labels")
    if labels.ndim != 1 or not len(labels) or not np.array_equal(labels, np.round(labels)):
        raise InputError(f"{path} does not hold labels: expected the number of a cluster for each particle")
    return labels.astype(np.int64)


def read_latents(path: PathLikeStr) -> tuple[np.ndarray, np.ndarray | None]:
    """Read latent means (N, zdim) and, where the file holds a second pickle, log-variances.

    Raises
    ------
    InputError
        If the file does not hold latents.
    """
    path = Path(path)
    values = [_number_array(v, path, "latents").astype(np.float32) for v in load_pickles(path)[:2]]
    mean = values[0][:, None] if values[0].ndim == 1 else values[0]
    if mean.ndim != 2:
        raise InputError(f"{path} does not hold latents: expected shape (N, zdim), found {mean.shape}")
    logvar = values[1] if len(values) == 2 and values[1].shape == mean.shape else None
    return mean, logvar


def read_config_pickle(path: PathLikeStr) -> dict[str, Any]:
    """Read the config.pkl of cryoDRGN before 1.0: a dictionary of dictionaries of plain values.

    Raises
    ------
    InputError
        If the file holds something else.
    """
    value = load_pickles(path)[0]
    if not isinstance(value, dict):
        raise InputError(
            f"{path} is not a configuration: expected a dictionary, found {type(value).__name__}"
        )
    return value


def write_array_pickle(path: PathLikeStr, *values: Any) -> None:
    """Write values as consecutive pickles (protocol 4), whole or not at all."""
    with replace_when_done(path) as temporary, temporary.open("wb") as handle:
        for value in values:
            pickle.dump(value, handle, protocol=4)


def write_poses(path: PathLikeStr, rotation: np.ndarray, shift_fraction: np.ndarray) -> None:
    """Write poses as cryoDRGN reads them: a tuple of float32 rotations (N, 3, 3) and shifts (N, 2)."""
    write_array_pickle(path, (rotation.astype(np.float32), shift_fraction.astype(np.float32)))


def write_ctf(path: PathLikeStr, table: np.ndarray) -> None:
    """Write CTF parameters (N, 9) as cryoDRGN reads them, float32."""
    write_array_pickle(path, table.astype(np.float32))
