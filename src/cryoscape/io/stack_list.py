"""Text files that list stacks, one path a line."""

from collections.abc import Sequence
from pathlib import Path

from cryoscape.errors import InputError
from cryoscape.io.atomic import write_text
from cryoscape.typing import PathLikeStr


def read_stack_list(path: PathLikeStr) -> tuple[Path, ...]:
    """Read the paths of a list; relative ones are relative to the list. Empty and `#` lines are skipped.

    Raises
    ------
    InputError
        If the list cannot be read or names no file.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the list of stacks {path}: {error}; check the path") from error
    names = [line.strip() for line in text.splitlines()]
    stacks = tuple(path.parent / name for name in names if name and not name.startswith("#"))
    if not stacks:
        raise InputError(f"{path} lists no stack: expected one path a line; check the file")
    return stacks


def write_stack_list(path: PathLikeStr, names: Sequence[str]) -> None:
    """Write names of stacks, one a line."""
    write_text(path, "".join(f"{name}\n" for name in names))
