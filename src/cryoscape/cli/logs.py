"""Messages of a command on standard error: plain lines, warnings marked as such."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("cryoscape")


class _PlainLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """Show what the package logs while a command runs; leaves logging as it was found.

    Warnings of libraries are for developers: they are shown with --verbose only.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PlainLines("%(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _log_warning
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _log_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    logger.debug("%s: %s", category.__name__, message)


def be_verbose() -> None:
    """Show debugging messages too, for a command given ``--verbose``."""
    logger.setLevel(logging.DEBUG)
