"""Which decoder `train_vae` means, and which flags have a meaning with it."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from cryoscape.errors import InputError
from cryoscape.workflows import train_decoder as workflow
from cryoscape.workflows.train_decoder import choose_decoder, train_decoder
from cryoscape.workflows.train_manifold_plan import TrainManifoldRequest
from cryoscape.workflows.train_subspace_plan import TrainSubspaceRequest
from cryoscape.workflows.training_plan import TrainVaeRequest
from subspace_run import subspace_run

PAPER = [
    ({"preset": "paper"}, "--preset"),
    ({"learning_rate": 1e-3}, "--lr"),
    ({"enc_dim": 64}, "--enc-dim"),
    ({"beta": "0.5"}, "--beta"),
    ({"window": False}, "--no-window"),
    ({"batch_size": 8}, "--batch-size"),
    ({"amp": False}, "--amp"),
    ({"domain": "hartley"}, "--domain"),
]


def vae_request(tmp_path: Path, **more: Any) -> TrainVaeRequest:
    return TrainVaeRequest(tmp_path / "s.mrcs", tmp_path / "run", 3, **more)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What trainings were asked for, instead of training."""
    seen: list[Any] = []
    for name in ("train_vae", "train_subspace", "train_manifold"):
        monkeypatch.setattr(getattr(workflow, name), name, seen.append)
    return seen


def test_the_model_on_the_subspace_is_the_default(calls: list[Any], tmp_path: Path) -> None:
    request = vae_request(tmp_path, seed=4, invert_data=False, checkpoint=5, lazy=True)
    train_decoder(request, None, None, None)
    train_decoder(request, None, 50, Path("sub"))
    same = {"zdim": 3, "seed": 4, "invert_data": False, "checkpoint": 5, "lazy": True}
    assert calls == [
        TrainManifoldRequest(tmp_path / "s.mrcs", tmp_path / "run", **same),
        TrainManifoldRequest(tmp_path / "s.mrcs", tmp_path / "run", **same, epochs=50, subspace=Path("sub")),
    ]


@pytest.mark.parametrize(("more", "flag"), PAPER)
def test_flags_of_the_papers_model_choose_it(
    calls: list[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, more: dict[str, Any], flag: str
) -> None:
    caplog.set_level(logging.INFO, "cryoscape")
    request = vae_request(tmp_path, **more)
    train_decoder(request, None, None, None)
    assert calls == [request]
    (message,) = caplog.messages
    assert message == f"{flag} is of the paper's model, which is trained: --decoder mlp"
    with pytest.raises(InputError, match=f"{flag}: has no meaning with --from sub"):
        train_decoder(request, None, None, Path("sub"))


def test_a_run_goes_on_with_its_own_decoder(tmp_path: Path) -> None:
    for engine, decoder in (("vae", "mlp"), ("subspace_mlp", "subspace+mlp")):
        folder = subspace_run(tmp_path / engine, engine=engine)
        latest = TrainVaeRequest(tmp_path / "s.mrcs", folder, 3, load="latest")
        assert choose_decoder(latest, None) == decoder
        named = vae_request(tmp_path, load=str(folder / "weights.3.pkl"))
        assert choose_decoder(named, None) == decoder
    assert choose_decoder(vae_request(tmp_path, load="latest"), None) == "subspace+mlp"


def test_decoder_subspace_is_train_subspace(calls: list[Any], tmp_path: Path) -> None:
    train_decoder(vae_request(tmp_path, seed=4, invert_data=False), "subspace", None, None)
    assert calls == [
        TrainSubspaceRequest(tmp_path / "s.mrcs", tmp_path / "run", zdim=3, seed=4, invert_data=False)
    ]


@pytest.mark.parametrize(("more", "flag"), PAPER)
@pytest.mark.parametrize("decoder", ["subspace", "subspace+mlp"])
def test_flags_of_the_papers_model_are_refused(
    tmp_path: Path, more: dict[str, Any], flag: str, decoder: Any
) -> None:
    message = f"{flag}: has no meaning with --decoder {decoder};"
    with pytest.raises(InputError, match="^" + re.escape(message)):
        train_decoder(vae_request(tmp_path, **more), decoder, None, None)


def test_flags_of_the_other_decoders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="-n 5: has no meaning with --decoder subspace;"):
        train_decoder(vae_request(tmp_path), "subspace", 5, None)
    with pytest.raises(InputError, match="--checkpoint: has no meaning with --decoder subspace;"):
        train_decoder(vae_request(tmp_path, checkpoint=5), "subspace", None, None)
    with pytest.raises(InputError, match=r"--from sub: needs --decoder subspace\+mlp"):
        train_decoder(vae_request(tmp_path), "mlp", None, Path("sub"))
