"""Progress of a long step: a bar on a terminal, a line now and then in a log file."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

logger = logging.getLogger("cryoscape")

SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def progress(total: int, label: str) -> Iterator[Callable[[int], None]]:
    """Show how far a step has come and the time left.

    Yields ``update(done)``, to be called with the number of items done so far (not the increment). On a
    terminal a bar is drawn on standard error; elsewhere a line is logged about every half minute.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        start = time.monotonic()
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(label, total=total, rate="")

            def draw(done: int) -> None:
                seconds = time.monotonic() - start
                bar.update(task, completed=done, rate=format_rate(done, seconds))

            yield draw
    else:
        yield _LineProgress(total, label)


class StepProgress:
    """Progress of steps that follow each other: each begins when it is first told of, and ends the last."""

    def __init__(self) -> None:
        self._label: str | None = None
        self._stack = ExitStack()

    def __enter__(self) -> "StepProgress":
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show a step in words and how much of it is done."""
        if label != self._label:
            self._stack.close()
            self._label = label
            self._update = self._stack.enter_context(progress(total, label))
        self._update(done)
        if done >= total:
            self._stack.close()
            self._label = None


class _LineProgress:
    """Logs ``label: done of total, rate, time left`` when enough time has passed since the last line."""

    def __init__(self, total: int, label: str, interval: float = SECONDS_BETWEEN_LINES) -> None:
        self._total, self._label, self._interval = total, label, interval
        self._start = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._last < self._interval and not (done >= self._total and self._last > self._start):
            return
        self._last = now
        seconds = now - self._start
        rate = f"{format_rate(done, seconds)}, " if done else ""
        left = format_seconds((self._total - done) * seconds / done) if done else "unknown time"
        logger.info("%s: %d of %d, %s%s left", self._label, done, self._total, rate, left)


def format_rate(done: int, seconds: float) -> str:
    """How fast items are done: "120 a second", or "2.5 s each" of slow ones; empty before the first."""
    if done <= 0 or seconds <= 0:
        return ""
    rate = done / seconds
    return f"{rate:.0f} a second" if rate >= 2 else f"{seconds / done:.2g} s each"


def format_seconds(seconds: float) -> str:
    """``H:MM:SS`` of a duration in seconds."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
