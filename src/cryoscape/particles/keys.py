"""Key lists: small tables beside a file that say which particle each of its rows is.

A stack cut or resampled from another, or a pickle of poses, is a bare array: row i of one belongs to row i
of the other only by good luck. A key list ``<stem>.rows.parquet`` keeps the original row, the original image
address and cryoSPARC's uid of every row, so that files are joined by identity and never by position.
"""

import glob
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.particles.metadata import ImageAddresses, Particles

SUFFIX = ".rows.parquet"
_METADATA_KEY = b"cryoscape"
_EDGE_BYTES = 1024**2
_SECTION_BITS = 40


@dataclass(frozen=True)
class KeyList:
    """Who the rows of a file are; arrays (N,), ``files`` the names that ``file_index`` points at.

    ``cropped_from_box`` is the odd box that the images were cropped from by one pixel, if they were.
    """

    row: np.ndarray
    n_original: int
    files: tuple[str, ...]
    file_index: np.ndarray | None
    image_index: np.ndarray | None
    uid: np.ndarray | None
    cropped_from_box: int | None = None

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def of(cls, particles: Particles, cropped_from_box: int | None = None) -> "KeyList":
        """Keys of a particle set."""
        images = particles.images
        return cls(
            row=particles.row,
            n_original=particles.n_original,
            files=() if images is None else tuple(str(file) for file in images.files),
            file_index=None if images is None else images.file_index,
            image_index=None if images is None else images.image_index,
            uid=particles.uid,
            cropped_from_box=cropped_from_box,
        )


def key_list_path(path: Path) -> Path:
    """Where the key list of a file lies: beside it, ``<stem>.rows.parquet``."""
    return path.with_name(path.stem + SUFFIX)


def write_key_list(path: Path, keys: KeyList) -> Path:
    """Write the key list of ``path`` (which must be complete by then, as its fingerprint is kept)."""
    columns: dict[str, Any] = {"row": keys.row}
    if keys.file_index is not None and keys.image_index is not None:
        codes = pa.array(keys.file_index.astype(np.int32))
        columns["file"] = pa.DictionaryArray.from_arrays(codes, pa.array(list(keys.files), pa.string()))
        columns["image_index"] = keys.image_index
    if keys.uid is not None:
        columns["uid"] = keys.uid
    facts = {
        "n_original": keys.n_original,
        "cropped_from_box": keys.cropped_from_box,
        "fingerprint": _fingerprint(path),
    }
    table = pa.table(columns).replace_schema_metadata({_METADATA_KEY: json.dumps(facts).encode()})
    target = key_list_path(path)
    with replace_when_done(target) as temporary:
        pq.write_table(table, temporary)
    return target


def read_key_list(path: Path) -> KeyList | None:
    """Key list of ``path``, or None where there is none or the file has changed since it was written."""
    target = key_list_path(path)
    if not target.is_file():
        return None
    try:
        table = pq.read_table(target)
        facts = json.loads((table.schema.metadata or {})[_METADATA_KEY])
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return None
    if facts["fingerprint"] != _fingerprint(path):
        return None
    columns = {name: table.column(name) for name in table.column_names}
    file_index = files = None
    if "file" in columns:
        named = columns["file"].combine_chunks()
        named = named.chunk(0) if isinstance(named, pa.ChunkedArray) else named
        file_index, files = named.indices.to_numpy().astype(np.int32), named.dictionary.to_pylist()
    return KeyList(
        row=columns["row"].to_numpy(),
        n_original=facts["n_original"],
        files=tuple(files or ()),
        file_index=file_index,
        image_index=columns["image_index"].to_numpy() if "image_index" in columns else None,
        uid=columns["uid"].to_numpy() if "uid" in columns else None,
        cropped_from_box=facts["cropped_from_box"],
    )


def check_key_list_is_free(path: Path) -> None:
    """Refuse a name whose key list is that of another file: `kept.star` and `kept.cs` would share one.

    Raises
    ------
    InputError
        Naming the file that would lose its list, and with it who its rows are.
    """
    target = key_list_path(path)
    if not target.is_file():
        return
    for other in sorted(path.parent.glob(f"{glob.escape(path.stem)}.*")):
        is_other = other.is_file() and other.stem == path.stem and other.name != path.name
        if is_other and other != target and read_key_list(other) is not None:
            raise InputError(
                f"{path}: its list of rows {target.name} would replace that of {other.name}; give an output "
                "whose name differs before the suffix"
            )


def _fingerprint(path: Path) -> list[int]:
    """Size and checksum of both ends: cheap for a stack of any size, and changes with every rewrite."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        checksum = zlib.crc32(handle.read(_EDGE_BYTES))
        if size > _EDGE_BYTES:
            handle.seek(max(_EDGE_BYTES, size - _EDGE_BYTES))
            checksum = zlib.crc32(handle.read(), checksum)
    return [size, checksum]


def addresses_of(keys: KeyList) -> ImageAddresses | None:
    """The original image addresses that a key list holds."""
    if keys.file_index is None or keys.image_index is None:
        return None
    return ImageAddresses(tuple(map(Path, keys.files)), keys.file_index, keys.image_index)


@dataclass(frozen=True)
class Match:
    """Positions (N,) in a table of the particles wanted, -1 where absent; ``by`` says what was compared."""

    positions: np.ndarray
    by: str

    @property
    def n_missing(self) -> int:
        """How many particles the table does not have."""
        return int((self.positions < 0).sum())


def match_keys(wanted: KeyList, table: KeyList) -> Match | None:
    """Find particles in a table by uid, else by image address; None where the two share no key at all.

    File names are compared whole first, then by their last two parts, then by their last part, then
    without the number that cryoSPARC puts before the name of an imported file: the first that tells the
    table's rows apart and finds something is used.
    """
    if wanted.uid is not None and table.uid is not None:
        found = _positions(wanted.uid, table.uid)
        if found is not None and (found >= 0).any():
            return Match(found, "uid")
    best: Match | None = None
    for level in (_whole, _two_parts, _last_part, _without_import_number):
        codes = _address_codes(wanted, table, level)
        if codes is None:
            return None
        found = _positions(*codes)
        if found is None or not (found >= 0).any():
            continue
        match = Match(found, "image address")
        if match.n_missing == 0:
            return match
        best = match if best is None or match.n_missing < best.n_missing else best
    return best


def _positions(wanted: np.ndarray, table: np.ndarray) -> np.ndarray | None:
    index = pd.Index(table)
    if not index.is_unique:
        return None
    return np.asarray(index.get_indexer(pd.Index(wanted)), dtype=np.int64)


def _whole(name: str) -> str:
    return name


def _two_parts(name: str) -> str:
    return "/".join(Path(name).parts[-2:])


def _last_part(name: str) -> str:
    return Path(name).name


def _without_import_number(name: str) -> str:
    return re.sub(r"^\d{6,}_", "", Path(name).name)


def _address_codes(
    wanted: KeyList, table: KeyList, level: Callable[[str], str]
) -> tuple[np.ndarray, np.ndarray] | None:
    """One int64 for (file, image) of each row of both lists, equal where the addresses are."""
    if wanted.file_index is None or table.file_index is None:
        return None
    if wanted.image_index is None or table.image_index is None:
        return None
    names = [level(name) for name in (*wanted.files, *table.files)]
    codes = pd.factorize(np.array(names, dtype=object))[0].astype(np.int64)
    in_wanted, in_table = codes[: len(wanted.files)], codes[len(wanted.files) :]
    shift = np.int64(1) << _SECTION_BITS
    return (
        in_wanted[wanted.file_index] * shift + wanted.image_index,
        in_table[table.file_index] * shift + table.image_index,
    )
