"""Particle tables in STAR files, as RELION 3.0 to 5 write them.

RELION 3.0 keeps one table (``data_`` or ``data_images``); from 3.1 on the particles (``data_particles``)
refer to optics groups (``data_optics``). Which one a file follows is seen from its blocks; other blocks are
ignored. Column names are kept without their leading underscore.
"""

import re
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.star_text import StarBlock, split_blocks, table_text
from cryoscape.typing import PathLikeStr

_PARTICLE_BLOCKS = ("particles", "images", "")
_TEXT_COLUMN = re.compile(r"(Name|File|Label)$")
"""Columns RELION defines as text: a micrograph called 0001 must not become the number 1."""
_MISSING = ["", "nan", "NaN", "<NA>"]
_SURPLUS = "\0surplus"


@dataclass(frozen=True)
class StarFile:
    """The particle table of a star file, with its optics groups where there are any.

    Columns are numbers where all values are (float64 or int64), else text; names have no underscore.
    """

    path: Path
    optics: pd.DataFrame | None
    particles: pd.DataFrame
    dialect: Literal["relion30", "relion31"]


def read_star(path: PathLikeStr) -> StarFile:
    """Read the particles of a star file of RELION 3.0 or later.

    Raises
    ------
    InputError
        If the file is missing, is not a star file, is one of cisTEM, holds no particles, or has a row with
        too few or too many columns (its line is named).
    """
    path = Path(path)
    blocks = split_blocks(star_contents(path), path)
    table = particle_block(blocks, path)
    optics = next((block for block in blocks if block.name == "optics"), None)
    particles = _parse(table, path)
    if particles.empty:
        raise InputError(f"{path} holds no particles: the table data_{table.name} has no rows")
    return StarFile(
        path=path,
        optics=None if optics is None else _parse(optics, path),
        particles=particles,
        dialect="relion30" if optics is None else "relion31",
    )


def star_contents(path: Path) -> bytes:
    r"""Read the text of a star file, its lines ended by ``\n`` whatever they end with in the file.

    Raises
    ------
    InputError
        If the file is missing or is binary.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data[:4096]:
        raise InputError(f"{path} is not a star file: it is binary, expected text")
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def particle_block(blocks: list[StarBlock], path: Path) -> StarBlock:
    """Find the table of particles among the blocks of a file.

    Raises
    ------
    InputError
        If there is none, or the file is cisTEM's.
    """
    tables = [block for block in blocks if block.columns and block.name != "optics"]
    if any(column.startswith("cisTEM") for block in tables for column in block.columns):
        raise InputError(
            f"{path} is a star file of cisTEM, expected RELION's; export it for RELION in cisTEM"
        )
    for name in _PARTICLE_BLOCKS:
        for block in tables:
            if block.name == name:
                return block
    for block in tables:
        if "rlnImageName" in block.columns:
            return block
    found = ", ".join(f"data_{block.name}" for block in blocks) or "none"
    raise InputError(
        f"{path} holds no particles: expected a table data_particles, data_images or data_ (blocks: {found})"
    )


def _parse(block: StarBlock, path: Path) -> pd.DataFrame:
    columns = list(block.columns)
    if len(set(columns)) != len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise InputError(f"{path}: table data_{block.name} has two columns _{twice}")
    text = table_text(block, path)
    if not text.strip():
        return pd.DataFrame({name: [] for name in columns})
    is_text = {name: bool(_TEXT_COLUMN.search(name)) for name in columns}
    try:
        # The C parser fills short rows and needs a spare column to show long ones; both are looked for below.
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                BytesIO(text),
                sep=r"\s+",
                header=None,
                names=[*columns, _SURPLUS],
                index_col=False,
                dtype={name: "str" for name in columns if is_text[name]},
                keep_default_na=False,
                na_values={name: [""] if is_text[name] else _MISSING for name in columns} | {_SURPLUS: [""]},
                low_memory=False,
            )
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 ({error.reason}); convert it") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        block.check_rows(path)
        raise InputError(f"{path}: table data_{block.name} cannot be read ({error})") from error
    if table[_SURPLUS].notna().any() or table[columns[-1]].isna().any():
        block.check_rows(path)
    table = table.drop(columns=_SURPLUS)
    for name in columns:
        if is_text[name]:
            table[name] = table[name].fillna("")
    return table


def write_star(path: PathLikeStr, particles: pd.DataFrame, optics: pd.DataFrame | None = None) -> None:
    """Write particles as RELION 3.0 does, or with `optics` as RELION 3.1 and later do.

    Numbers are written with the digits that give the same float64 back. Leading underscores of column names
    are optional.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    with replace_when_done(path) as temporary, temporary.open("wb") as handle:
        if optics is not None:
            handle.write(b"\n# version 30001\n\n")
            _write_table(handle, "optics", optics)
            handle.write(b"\n# version 30001\n\n")
        _write_table(handle, "" if optics is None else "particles", particles)


def _write_table(handle: BinaryIO, name: str, table: pd.DataFrame) -> None:
    header = [f"data_{name}", "", "loop_"]
    header += [f"_{str(column).lstrip('_')} #{number}" for number, column in enumerate(table.columns, 1)]
    handle.write(("\n".join(header) + "\n").encode())
    columns = [_arrow_column(table[column]) for column in table.columns]
    if any(pa.types.is_large_string(column.type) and _needs_quotes(column) for column in columns):
        # Arrow quotes all text or none, so rare values with blanks take the slow way.
        lines = zip(*([_quoted(value) for value in column.to_pylist()] for column in columns), strict=True)
        handle.write("".join(" ".join(line) + "\n" for line in lines).encode())
    else:
        options = pyarrow.csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")
        names = [str(number) for number in range(len(columns))]
        pyarrow.csv.write_csv(pa.Table.from_arrays(columns, names=names), handle, options)
    handle.write(b"\n")


def _arrow_column(column: pd.Series) -> pa.Array:
    """Numbers as they are (NaN stays NaN, not an empty field), anything else as text."""
    if column.dtype.kind in "iuf":
        return pa.array(column.to_numpy(), from_pandas=False)
    return pa.array(column.astype(str).tolist(), type=pa.large_string())


_AMBIGUOUS = r"""^$|[\s"',]|^(?:#|_|data_|loop_)"""


def _needs_quotes(text: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring_regex(text, _AMBIGUOUS)).as_py())


def _quoted(value: object) -> str:
    text = str(value)
    if not isinstance(value, str) or not re.search(_AMBIGUOUS, text):
        return text
    mark = "'" if '"' in text else '"'
    return mark + re.sub(r"\s", " ", text) + mark
