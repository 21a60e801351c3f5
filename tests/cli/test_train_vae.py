"""Which training `train_vae` starts, by decoder."""

from pathlib import Path
from typing import Any

import pytest

from cryoscape.cli.app import main

LINE = "train_vae s.mrcs --poses poses.pkl --ctf ctf.pkl --zdim 4 --uninvert-data -o run"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What trainings were started with, instead of starting them."""
    seen: list[tuple[Any, ...]] = []
    for place in ("train_vae.train_vae", "train_manifold.train_on_subspace"):
        name = place.rpartition(".")[2]
        monkeypatch.setattr(
            f"cryoscape.workflows.{place}", lambda *values, name=name: seen.append((name, *values))
        )
    return seen


def test_the_papers_model_is_the_default(calls: list[tuple[Any, ...]]) -> None:
    assert main(LINE.split()) == 0
    assert main([*LINE.split(), "--decoder", "mlp", "-n", "7"]) == 0
    assert [(name, request.num_epochs) for name, request in calls] == [("train_vae", 20), ("train_vae", 7)]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("--decoder subspace+mlp", ("subspace+mlp", None, None)),
        ("--decoder subspace+mlp -n 9 --from sub", ("subspace+mlp", 9, Path("sub"))),
        ("--decoder subspace", ("subspace", None, None)),
    ],
)
def test_other_decoders_start_from_the_subspace(
    calls: list[tuple[Any, ...]], more: str, expected: tuple[Any, ...]
) -> None:
    assert main([*LINE.split(), *more.split()]) == 0
    ((name, request, *found),) = calls
    assert (name, *found) == ("train_on_subspace", *expected)
    assert (request.zdim, request.invert_data, request.outdir) == (4, False, Path("run"))


def test_an_unknown_decoder_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LINE.split(), "--decoder", "transformer"]) == 2
    assert "subspace+mlp" in capsys.readouterr().err
