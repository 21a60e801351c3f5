"""Which training `train_vae` starts, by decoder."""

from pathlib import Path
from typing import Any

import pytest

from cryoscape.cli.app import main

LINE = "train_vae s.mrcs --poses poses.pkl --ctf ctf.pkl --zdim 4 --uninvert-data -o run"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the training was started with, instead of starting it."""
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        "cryoscape.workflows.train_decoder.train_decoder", lambda *values: seen.append(values)
    )
    return seen


@pytest.mark.parametrize(
    ("more", "epochs_of_paper", "expected"),
    [
        ("", 20, (None, None, None)),
        ("--decoder mlp -n 7", 7, ("mlp", 7, None)),
        ("--decoder subspace+mlp -n 9 --from sub", 9, ("subspace+mlp", 9, Path("sub"))),
        ("--decoder subspace", 20, ("subspace", None, None)),
    ],
)
def test_what_is_given_is_passed_on(
    calls: list[tuple[Any, ...]], more: str, epochs_of_paper: int, expected: tuple[Any, ...]
) -> None:
    assert main([*LINE.split(), *more.split()]) == 0
    ((request, *found),) = calls
    assert tuple(found) == expected
    assert (request.zdim, request.invert_data, request.outdir) == (4, False, Path("run"))
    assert request.num_epochs == epochs_of_paper


def test_an_unknown_decoder_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LINE.split(), "--decoder", "transformer"]) == 2
    assert "subspace+mlp" in capsys.readouterr().err
