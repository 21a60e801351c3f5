"""What surrounds a training loop: its log file, signals that end it, and how far latents move."""

import logging
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np

from cryoscape.engines.run_files import STARTED_RUN_FILES
from cryoscape.engines.vae.results import Encoded
from cryoscape.engines.vae.run_store import read_previous_latents
from cryoscape.errors import InputError

logger = logging.getLogger("cryoscape")


class StoppedBySignal(Exception):
    """Training was asked to stop and its state is saved; `exit_code` is 128 + the signal's number."""

    def __init__(self, signal_number: int, saved: Path) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}; state saved in {saved}")
        self.exit_code = 128 + signal_number


class LatentShifts:
    """Medians over particles of how far latents moved in an epoch, and the cosine with the move before."""

    def __init__(self, folder: Path, epoch: int) -> None:
        self.previous = read_previous_latents(folder, epoch - 1)
        before = read_previous_latents(folder, epoch - 2)
        self.shift = None if self.previous is None or before is None else self.previous - before

    def add(self, latents: Encoded) -> tuple[float, float] | None:
        """Medians of the length and of the cosine (NaN at the second epoch); None at the first."""
        if self.previous is None or self.previous.shape != latents.mean.shape:
            self.previous = latents.mean
            return None
        shift = latents.mean - self.previous
        length = np.linalg.norm(shift, axis=1)
        cosine = float("nan")
        if self.shift is not None:
            norms = np.maximum(length * np.linalg.norm(self.shift, axis=1), 1e-30)
            cosine = float(np.median((shift * self.shift).sum(1) / norms))
        self.previous, self.shift = latents.mean, shift
        return float(np.median(length)), cosine


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append messages of the package to a file, without prefix, as upstream's run.log."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = logger.level
    logger.addHandler(handler)
    if logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(level)


@contextmanager
def nothing_left_behind(folder: Path) -> Iterator[None]:
    """Remove the files and folder of a run that could not start, where they were not there before."""
    new = [folder / name for name in (*STARTED_RUN_FILES, "image_store") if not (folder / name).exists()]
    new_folder = not folder.exists()
    try:
        yield
    except InputError:
        for path in new:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        if new_folder and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying, so that a batch can end and its state be saved."""
    caught: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt  # asked twice: stop at once
        caught.append(number)

    try:
        old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread
        yield caught
        return
    try:
        yield caught
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
