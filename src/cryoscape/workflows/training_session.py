"""What surrounds a training loop: its log file, signals that end it, and how far latents move."""

import logging
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np

from cryoscape.analysis.convergence import shift_medians, spread
from cryoscape.engines.run_files import STARTED_RUN_FILES
from cryoscape.engines.vae.results import Encoded
from cryoscape.engines.vae.run_store import read_previous_latents
from cryoscape.errors import InputError

logger = logging.getLogger("cryoscape")

SHIFT_METRICS = (
    "latent_spread",
    "latent_shift_median",
    "latent_shift_dot_median",
    "latent_shift_cosine_median",
)
"""Median distance from the middle, length of the shift, and product and cosine with the shift before."""


class StoppedBySignal(Exception):
    """Training was asked to stop and its state is saved; `exit_code` is 128 + the signal's number."""

    def __init__(self, signal_number: int, saved: Path) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}; state saved in {saved}")
        self.exit_code = 128 + signal_number


def signal_of(caught: list[int]) -> int:
    """The signal that came; SIGTERM where it came to another process of the training."""
    return caught[0] if caught else int(signal.SIGTERM)


class LatentShifts:
    """How far latents moved in an epoch and in which direction, as `analyze_convergence` judges it."""

    def __init__(self, folder: Path, epoch: int) -> None:
        self.previous = read_previous_latents(folder, epoch - 1)
        before = read_previous_latents(folder, epoch - 2)
        self.shift = None if self.previous is None or before is None else self.previous - before

    def add(self, latents: Encoded) -> dict[str, float | None]:
        """Medians over particles, for the metrics; None for what needs more epochs before this one."""
        found: dict[str, float | None] = dict.fromkeys(SHIFT_METRICS)
        found["latent_spread"] = spread(latents.mean)
        shift = None
        if self.previous is not None and self.previous.shape == latents.mean.shape:
            shift = latents.mean - self.previous
            found["latent_shift_median"] = float(np.median(np.linalg.norm(shift, axis=1)))
        if shift is not None and self.shift is not None:
            medians = shift_medians(self.shift, shift)
            found["latent_shift_dot_median"] = medians.dot
            found["latent_shift_cosine_median"] = 1.0 - medians.cosine_distance
        self.previous, self.shift = latents.mean, shift
        return found


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
def folder_of_process(outdir: Path, first: bool) -> Iterator[Path]:
    """Folder that this process of several writes to: the run's, or a scratch folder for all but the first.

    A run that is continued is seen there as well: files that lines are added to as copies, others as links.
    """
    if first:
        yield outdir
        return
    with tempfile.TemporaryDirectory(prefix="cryoscape-") as scratch:
        for path in outdir.iterdir() if outdir.is_dir() else ():
            if path.name in STARTED_RUN_FILES:
                shutil.copy2(path, scratch)
            elif path.is_file():
                (Path(scratch) / path.name).symlink_to(path.resolve())
        yield Path(scratch)


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
