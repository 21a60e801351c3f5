"""The text of STAR files: where its blocks, columns and rows are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryoscape.errors import InputError

_BLOCK_LINE = re.compile(rb"[ \t]*data_(\S*)[ \t]*(?:#.*)?")
TOKEN = re.compile(rb"\"[^\"\n]*\"(?!\S)|'[^'\n]*'(?!\S)|\S+")
_COMMENT_LINE = re.compile(rb"^[ \t]*#.*$", re.MULTILINE)
_SINGLE_QUOTED = re.compile(rb"(?<!\S)'([^'\n]*)'(?!\S)")


@dataclass(frozen=True)
class StarBlock:
    """One ``data_`` block: its name, its columns (no underscores), the text of its rows.

    A block of names and values becomes a table of one row. `first_line` is the line of the file, counted from
    1, that `text` starts on; None if the rows are not lines of the file.
    """

    name: str
    columns: tuple[str, ...]
    text: bytes
    first_line: int | None

    def check_rows(self, path: Path) -> None:
        """Raise InputError for the first row whose number of values is not that of the columns."""
        for number, line in enumerate(self.text.split(b"\n"), self.first_line or 1):
            if line.lstrip().startswith(b"#"):
                continue
            found = len(TOKEN.findall(line))
            if found not in (0, len(self.columns)):
                raise InputError(
                    f"{path} line {number}: expected {len(self.columns)} columns (data_{self.name}), "
                    f"found {found}; the file may be cut short or edited by hand"
                )
            if _open_quote(line):
                raise InputError(f'{path} line {number}: a quotation mark (") is opened but not closed')


def _open_quote(line: bytes) -> bool:
    return b'"' in line and any(
        token.startswith(b'"') and not (token.endswith(b'"') and len(token) > 1)
        for token in TOKEN.findall(line)
    )


def split_blocks(data: bytes, path: Path) -> list[StarBlock]:
    r"""Split the contents of a file (lines ended by ``\n``) into its blocks.

    Raises
    ------
    InputError
        If there is no block.
    """
    heads = list(_block_lines(data))
    if not heads:
        raise InputError(f"{path} is not a star file: it has no line data_...; check the path")
    blocks: list[StarBlock] = []
    line, counted_to = 1, 0
    for i, (_, start, name) in enumerate(heads):
        end = heads[i + 1][0] if i + 1 < len(heads) else len(data)
        # lines are counted once over the whole file, not from its start for every block
        line, counted_to = line + data.count(b"\n", counted_to, start), start
        blocks.append(_read_block(name, data, start, end, line, path))
    return blocks


def _block_lines(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Start and end of each line ``data_name``, and the name. To search is faster than to split."""
    at = data.find(b"data_")
    while at >= 0:
        start, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
        end = len(data) if end < 0 else end
        match = _BLOCK_LINE.fullmatch(data[start:end])
        if match is not None:
            yield start, end, match.group(1).decode("utf-8", errors="replace")
        at = data.find(b"data_", end)


def _read_block(name: str, data: bytes, start: int, end: int, line: int, path: Path) -> StarBlock:
    columns: list[str] = []
    values: list[bytes] = []
    is_table = False
    for offset, text in _lines(data, start, end):
        content = text.strip()
        if content == b"loop_":
            is_table = True
        elif content.startswith(b"_"):
            tokens = TOKEN.findall(content)
            columns.append(tokens[0][1:].decode("utf-8", errors="replace"))
            if not is_table:
                values.append(b" ".join(tokens[1:2]) or b'""')
        elif content and not content.startswith(b"#"):
            if not is_table:
                number = line + data.count(b"\n", start, offset)
                raise InputError(f"{path} line {number}: expected loop_ or a name starting with _")
            return StarBlock(name, tuple(columns), data[offset:end], line + data.count(b"\n", start, offset))
    return StarBlock(name, tuple(columns), b" ".join(values), None)


def _lines(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    while start < end:
        stop = data.find(b"\n", start, end)
        stop = end if stop < 0 else stop
        yield start, data[start:stop]
        start = stop + 1


def table_text(block: StarBlock, path: Path) -> bytes:
    """Rows of a block without comments, quoted with double quotes only.

    Raises
    ------
    InputError
        If quoted values leave a row with another number of values than there are columns.
    """
    text = block.text
    if b"#" in text:
        text = _COMMENT_LINE.sub(b"", text)
    if b"'" in text or b'"' in text:
        # An unclosed quotation mark would swallow the rows that follow it.
        block.check_rows(path)
        text = _SINGLE_QUOTED.sub(lambda match: b'"' + match[1].replace(b'"', b'""') + b'"', text)
    return text
