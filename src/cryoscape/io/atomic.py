"""Files appear whole or not at all: write to a temporary name, then rename."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryoscape.errors import InputError
from cryoscape.typing import PathLikeStr


@contextmanager
def replace_when_done(path: PathLikeStr) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` on success, remove it on error.

    Parents are made. The temporary name keeps the suffix, for writers that look at it.

    Raises
    ------
    InputError
        If the folder cannot be written, or the disk is full.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name[:80]}.", suffix=f".part{target.suffix}", dir=target.parent
        )
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}; choose another output place") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"cannot write {target}: {error.strerror}; make room and run again") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: PathLikeStr, text: str) -> None:
    """Write a text file (UTF-8) whole."""
    with replace_when_done(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
