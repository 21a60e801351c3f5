"""Lines of progress: how fast, and how long it still takes."""

import logging

import pytest

from cryoscape.workflows import progress as module
from cryoscape.workflows.progress import StepProgress, format_rate, format_seconds, progress


@pytest.mark.parametrize(
    ("done", "seconds", "expected"),
    [
        (0, 5.0, ""),
        (3, 0.0, ""),
        (1200, 10.0, "120 a second"),
        (20, 10.0, "2 a second"),
        (10, 10.0, "1 s each"),
        (7, 399.0, "57 s each"),
        (2, 5.0, "2.5 s each"),
    ],
)
def test_slow_items_are_told_by_the_seconds_each_takes(done: int, seconds: float, expected: str) -> None:
    assert format_rate(done, seconds) == expected


def test_lines_tell_the_time_left_and_come_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter([0.0, 31.0, 40.0, 70.0, 400.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, logger="cryoscape"), progress(40, "pictures") as update:
        for done in (0, 1, 7, 40):
            update(done)
    assert caplog.messages == [
        "pictures: 0 of 40, unknown time left",
        "pictures: 7 of 40, 10 s each, 0:05:30 left",
        "pictures: 40 of 40, 10 s each, 0:00:00 left",
    ]


def test_steps_follow_each_other_each_with_its_own_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter([0.0, 40.0, 80.0, 100.0, 135.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, logger="cryoscape"), StepProgress() as watch:
        for label, done in (("placing", 10), ("placing", 20), ("maps", 5)):
            watch(label, done, 20)
    assert caplog.messages == [
        "placing: 10 of 20, 4 s each, 0:00:40 left",
        "placing: 20 of 20, 4 s each, 0:00:00 left",
        "maps: 5 of 20, 7 s each, 0:01:45 left",
    ]


def test_durations() -> None:
    assert [format_seconds(s) for s in (0.4, 61.0, 36000.0)] == ["0:00:00", "0:01:01", "10:00:00"]
