"""Rows of a STAR file as they stand: a selection of them is written with every other byte of the file kept.

A table that is parsed and printed again changes in its numbers' digits, its spacing and its comments. Here a
row stays the line that it is in the file.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.star import particle_block, star_contents
from cryoscape.io.star_text import TOKEN, StarBlock, split_blocks
from cryoscape.typing import PathLikeStr

ImageName = Callable[[str], str]
"""A new value of ``_rlnImageName`` for the one in the file."""


@dataclass(frozen=True)
class StarLines:
    """Lines of a star file with their ends, and which of them are rows.

    ``particles`` (N,) and ``optics`` (G,) are places in ``lines``; ``optics`` is None where the file has no
    such table, or one that is no list of lines. ``image_column`` is the place of ``_rlnImageName`` in a row.
    """

    path: Path
    lines: list[bytes]
    particles: np.ndarray
    optics: np.ndarray | None
    image_column: int | None


def read_star_lines(path: PathLikeStr) -> StarLines:
    """Find the rows of particles and of optics groups in a star file.

    Raises
    ------
    InputError
        If the file is no star file or holds no table (loop_) of particles.
    """
    path = Path(path)
    blocks = split_blocks(star_contents(path), path)
    # bytes split at \n, \r\n and \r alike, as star_contents does, so both count the same lines
    lines = path.read_bytes().splitlines(keepends=True)
    table = particle_block(blocks, path)
    optics = next((block for block in blocks if block.name == "optics"), None)
    particles = _row_lines(table, lines)
    if particles is None:
        raise InputError(f"{path}: data_{table.name} is not a table with a row for each particle (loop_)")
    return StarLines(
        path=path,
        lines=lines,
        particles=particles,
        optics=None if optics is None else _row_lines(optics, lines),
        image_column=table.columns.index("rlnImageName") if "rlnImageName" in table.columns else None,
    )


def _row_lines(block: StarBlock, lines: list[bytes]) -> np.ndarray | None:
    if block.first_line is None:
        return None
    start = block.first_line - 1
    stop = start + block.text.count(b"\n") + (not block.text.endswith(b"\n"))
    return np.array([i for i in range(start, stop) if _is_row(lines[i])], dtype=np.int64)


def _is_row(line: bytes) -> bool:
    content = line.strip()
    return bool(content) and not content.startswith(b"#")


def write_star_rows(
    output: PathLikeStr,
    star: StarLines,
    particles: np.ndarray,
    optics: np.ndarray | None = None,
    image_name: ImageName | None = None,
) -> None:
    """Write a star file with some of its rows, all other lines (tables, comments, blanks) as they are.

    Parameters
    ----------
    output
        File to write.
    star
        The file to take rows from.
    particles
        Places (n,) of the particles to keep, in the order wanted; comments between rows stay where they are.
    optics
        Places of the optics groups to keep [all].
    image_name
        Answers the new image name of a row for its old one; nothing else of the row changes.

    Raises
    ------
    InputError
        If the output cannot be written, or images are to be renamed in a table that names none.
    """
    lines = _with_rows(star.lines, star.particles, particles, _renamer(star, image_name))
    if optics is not None and star.optics is not None:
        kept_groups = _with_rows(star.lines, star.optics, optics, None)
        lines |= {i: kept_groups.get(i) for i in star.optics.tolist()}
    with replace_when_done(output) as temporary, temporary.open("wb") as handle:
        for i, line in enumerate(star.lines):
            written = lines.get(i, line)
            if written is not None:
                handle.write(written)


def _renamer(star: StarLines, image_name: ImageName | None) -> Callable[[bytes], bytes] | None:
    if image_name is None:
        return None
    if star.image_column is None:
        raise InputError(f"{star.path}: no column _rlnImageName, so there are no image paths to change")
    column = star.image_column

    def rename(line: bytes) -> bytes:
        token = next(itertools.islice(TOKEN.finditer(line), column, None), None)
        if token is None:
            raise InputError(f"{star.path}: a row has fewer values than columns: {line[:60]!r}")
        old = token.group().decode("utf-8", errors="surrogateescape")
        bare = old[1:-1] if len(old) > 1 and old[0] in "\"'" and old[-1] == old[0] else old
        new = image_name(bare)
        quoted = f'"{new}"' if any(letter.isspace() for letter in new) else new
        encoded = quoted.encode("utf-8", errors="surrogateescape")
        return line[: token.start()] + encoded + line[token.end() :]

    return rename


def _with_rows(
    lines: Sequence[bytes], rows: np.ndarray, kept: np.ndarray, edit: Callable[[bytes], bytes] | None
) -> dict[int, bytes | None]:
    """What stands at the place of each row: the rows kept, in their order, where kept rows stood before."""
    found: dict[int, bytes | None] = dict.fromkeys(rows.tolist())
    end = lines[0][len(lines[0].rstrip(b"\r\n")) :] or b"\n"
    for place, row in zip(np.sort(rows[kept]).tolist(), rows[kept].tolist(), strict=True):
        line = lines[row] if edit is None else edit(lines[row])
        # the last line of a file may lack its end, which it needs anywhere else
        found[place] = line if line.endswith((b"\n", b"\r")) else line + end
    return found
