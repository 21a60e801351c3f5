"""How a command ends: one line for what a user can mend, a log file for what is a defect of ours."""

import contextlib
import errno
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cryoscape import __version__
from cryoscape.cli.messages import UsageError
from cryoscape.errors import InputError, TrainingError

DEBUG_VARIABLE = "CRYOSCAPE_DEBUG"

_USER_ERRNO = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES",
        "EDQUOT",
        "EEXIST",
        "EIO",
        "EISDIR",
        "ELOOP",
        "ENAMETOOLONG",
        "ENOSPC",
        "ENOTDIR",
        "EPERM",
        "EROFS",
    )
)
"""Faults of paths, rights and disks, which no program can mend."""
_PACKAGES = ("numpy", "scipy", "torch", "numba", "pandas", "cyclopts")


def exit_code(error: BaseException, command: str | None, arguments: Sequence[str]) -> int:
    """Tell what ended a command, in one line on standard error, and answer the code to exit with.

    0 success, 1 the program failed (training that diverges, memory, a defect), 2 something given cannot be
    used, 130 interrupted, 141 the reader of the output went away.
    """
    if isinstance(error, SystemExit):
        return _code_of(error)
    if isinstance(error, BrokenPipeError):
        _discard_output()
        return 141
    if isinstance(error, KeyboardInterrupt):
        _say(command, "interrupted")
        return 130
    if os.environ.get(DEBUG_VARIABLE, "") not in ("", "0"):
        traceback.print_exception(error)
    if isinstance(error, UsageError | InputError):
        _say(command, f"error: {error}")
        return 2
    if isinstance(error, TrainingError):
        _say(command, f"error: {error}")
        return 1
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        _say(command, "error: out of memory; use --lazy, a smaller -b or smaller images (downsample)")
        return 1
    if isinstance(error, OSError) and error.errno in _USER_ERRNO:
        where = "" if error.filename is None else f"{error.filename}: "
        _say(command, f"error: {where}{error.strerror}; check the path, the rights and the room on the disk")
        return 2
    report = write_report(error, command, arguments)
    first = (str(error).splitlines() or [""])[0][:120]
    _say(
        command,
        f"error: a defect of cryoscape ({type(error).__name__}: {first}); please report it with {report} "
        "(traceback, versions and command line; look through it before you send it)",
    )
    return 1


def write_report(error: BaseException, command: str | None, arguments: Sequence[str]) -> Path:
    """Save traceback, versions and command line to a new file here, else in the temporary folder."""
    lines = [
        f"cryoscape {__version__}, Python {platform.python_version()}, {platform.platform()}",
        *(f"{name} {_version(name)}" for name in _PACKAGES),
        f"command: cryoscape {' '.join([command or '', *arguments])}",
        f"folder: {Path.cwd()}",
        "",
        *traceback.format_exception(error),
    ]
    text = "\n".join(line.rstrip("\n") for line in lines) + "\n"
    name = f"cryoscape-error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            (folder / name).write_text(text, encoding="utf-8")
            return folder / name
    sys.stderr.write(text)
    return Path("the text above")


def _say(command: str | None, text: str) -> None:
    name = "cryoscape" if command is None else f"cryoscape {command}"
    line = " ".join(part.strip() for part in text.splitlines())
    with contextlib.suppress(OSError):
        print(f"{name}: {line}", file=sys.stderr)


def _code_of(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _discard_output() -> None:
    """Send what is still to be written nowhere, so that the interpreter does not complain on its way out."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
