"""Room on the disk for what a step will write."""

import shutil
from pathlib import Path

from cryoscape.errors import InputError


def check_free_space(output: Path, n_bytes: int) -> None:
    """Refuse to start where ``n_bytes`` do not fit beside ``output`` (which need not exist yet).

    Raises
    ------
    InputError
        If the disk has less room.
    """
    folder = output.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise InputError(
            f"{folder}: {n_bytes / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free: make room"
        )
