"""The training that starts from the subspace, around its fit: files, what goes before, what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cryoscape.engines.latent_table import read_latents_table
from cryoscape.engines.manifold import maps
from cryoscape.engines.run_folder import load_run
from cryoscape.engines.subspace.support import change_box
from cryoscape.errors import InputError
from cryoscape.workflows import train_manifold as workflow
from cryoscape.workflows.train_manifold import TrainManifoldRequest, train_manifold, train_on_subspace
from cryoscape.workflows.train_subspace_plan import TrainSubspaceRequest
from cryoscape.workflows.training_plan import TrainVaeRequest
from cryoscape.workflows.training_session import StoppedBySignal
from particle_files import (
    legacy_ctf,
    noise_images,
    random_rotations,
    write_pickle,
    write_poses_pickle,
    write_stack,
)
from subspace_run import BOX, PIXEL, N, subspace_run

Request = Callable[..., TrainManifoldRequest]


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> list[TrainSubspaceRequest]:
    """A stand-in for the subspace's training; what it was asked for."""
    seen: list[TrainSubspaceRequest] = []

    def train_subspace(request: TrainSubspaceRequest) -> None:
        seen.append(request)
        request.outdir.parent.mkdir(parents=True, exist_ok=True)
        subspace_run(request.outdir)

    monkeypatch.setattr(workflow, "train_subspace", train_subspace)
    return seen


@pytest.fixture
def request_for(tmp_path: Path) -> Request:
    torch.set_num_threads(1)
    stack = write_stack(tmp_path / "s.mrcs", noise_images(N, BOX), PIXEL)
    poses = write_poses_pickle(tmp_path / "poses.pkl", random_rotations(N))
    ctf = write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N, BOX))

    def make(**more: Any) -> TrainManifoldRequest:
        given = {"poses": poses, "ctf": ctf, "device": "cpu", "zdim": 2, "epochs": 2, **more}
        return TrainManifoldRequest(given.pop("particles", stack), tmp_path / "run", **given)

    return make


def test_a_run_has_all_its_files_and_loads(request_for: Request, tmp_path: Path) -> None:
    subspace = subspace_run(tmp_path / "sub")
    result = train_manifold(request_for(subspace=subspace))
    folder = tmp_path / "run"
    run = load_run(folder)
    assert (run.engine, run.z.shape, run.pixel_size_angstrom) == ("subspace_mlp", (N, 2), PIXEL)
    assert run.source.volumes(run.z[:2]).shape == (2, BOX, BOX, BOX)
    assert run.original_rows.tolist() == list(range(N))
    table, _ = read_latents_table(folder)
    assert table.covariance is not None
    np.testing.assert_array_equal(table.mean, run.z)
    assert (np.linalg.eigvalsh(table.covariance) > 0).all()
    assert run.logvar is not None
    np.testing.assert_allclose(np.exp(run.logvar), np.diagonal(table.covariance, axis1=1, axis2=2), rtol=1e-4)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1]
    best = max(lines, key=lambda line: line["held_out_log_likelihood"])
    assert result.kept_epoch == best["epoch"]
    assert result.held_out_log_likelihood == pytest.approx(best["held_out_log_likelihood"])
    record = json.loads((folder / "run.json").read_text())["result"]
    assert record["kept_epoch"] == result.kept_epoch
    log = (folder / "run.log").read_text()
    assert result.verdict in log
    assert "of the linear subspace" in log
    assert f"next: cryoscape analyze {folder}" in log
    assert {path.name for path in folder.iterdir()} == {
        *("config.yaml", "latents.parquet", "metrics.jsonl", "rows.npy", "run.json", "run.log"),
        *("weights.pkl", "z.pkl"),
    }


def test_a_run_is_seeded(request_for: Request, tmp_path: Path) -> None:
    subspace = subspace_run(tmp_path / "sub")
    train_manifold(request_for(subspace=subspace))
    first = load_run(tmp_path / "run")
    assert first.config["seed"] == 5, "that of the subspace"
    train_manifold(request_for(subspace=subspace, force=True))
    again = load_run(tmp_path / "run")
    np.testing.assert_array_equal(first.z, again.z)
    np.testing.assert_array_equal(first.source.volumes(first.z[:1]), again.source.volumes(first.z[:1]))


def test_a_subspace_with_enough_components_is_trained_first(
    before: list[TrainSubspaceRequest], request_for: Request, tmp_path: Path
) -> None:
    train_manifold(request_for(seed=5))
    (asked,) = before
    assert (asked.outdir, asked.zdim, asked.seed) == (tmp_path / "run" / "subspace", 12, 5)
    assert request_for(zdim=8).n_components == 16


def test_a_run_that_was_stopped_goes_on(
    before: list[TrainSubspaceRequest],
    request_for: Request,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(workflow, "_read", lambda store, start: _stop())
        with pytest.raises(StoppedBySignal):
            train_manifold(request_for())
    with pytest.raises(InputError, match="holds a training run already; continue it with --load latest"):
        train_manifold(request_for())
    train_manifold(request_for(load="latest"))
    assert len(before) == 1, "the subspace was there"
    with pytest.raises(InputError, match="the run is finished"):
        train_manifold(request_for(load="latest"))


def _stop() -> None:
    raise StoppedBySignal(15, Path("run"))


def test_maps_do_not_change_with_where_they_are_read(request_for: Request, tmp_path: Path) -> None:
    """In-place scaling of maps that already have the box of the images would."""
    seen = []
    original = maps.in_image_units

    def note(tensor, store):
        seen.append(tensor.clone())
        return original(tensor, store)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(maps, "in_image_units", note)
        train_manifold(request_for(subspace=subspace_run(tmp_path / "sub")))
    (given,) = seen
    run = load_run(tmp_path / "run")
    expected = change_box(given, BOX)[0].numpy()
    ratio = run.source.maps.mean / expected
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"zdim": 0}, "--zdim 0: expected at least 1"),
        ({"epochs": 0}, "-n 0: expected at least 1"),
        ({"load": "weights.3.pkl"}, "--load weights.3.pkl: expected `latest`"),
        ({"load": "latest"}, "nothing to continue from"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_left(
    request_for: Request, tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_manifold(request_for(**more))
    assert not (tmp_path / "run").exists()


def test_a_subspace_of_other_particles_is_refused(request_for: Request, tmp_path: Path) -> None:
    other = subspace_run(tmp_path / "sub", n=N + 1)
    with pytest.raises(InputError, match=f"sub: has {N + 1} particles, the input {N}"):
        train_manifold(request_for(subspace=other))
    assert not (tmp_path / "run").exists()
    states = subspace_run(tmp_path / "states", engine="states")
    with pytest.raises(InputError, match="expected one of train_subspace"):
        train_manifold(request_for(subspace=states))


def vae_request(tmp_path: Path, **more: Any) -> TrainVaeRequest:
    return TrainVaeRequest(tmp_path / "s.mrcs", tmp_path / "run", 3, **more)


def test_decoder_subspace_is_train_subspace(
    before: list[TrainSubspaceRequest], request_for: Request, tmp_path: Path
) -> None:
    train_on_subspace(vae_request(tmp_path, seed=4, invert_data=False), "subspace", None, None)
    assert before == [
        TrainSubspaceRequest(tmp_path / "s.mrcs", tmp_path / "run", zdim=3, seed=4, invert_data=False)
    ]


@pytest.mark.parametrize(
    ("more", "flag"),
    [
        ({"preset": "paper"}, "--preset"),
        ({"learning_rate": 1e-3}, "--lr"),
        ({"enc_dim": 64}, "--enc-dim"),
        ({"beta": "0.5"}, "--beta"),
        ({"window": False}, "--no-window"),
        ({"checkpoint": 5}, "--checkpoint"),
        ({"batch_size": 8}, "--batch-size"),
    ],
)
@pytest.mark.parametrize("decoder", ["subspace", "subspace+mlp"])
def test_flags_of_the_papers_model_are_refused(
    tmp_path: Path, more: dict[str, Any], flag: str, decoder: Any
) -> None:
    message = f"{flag}: has no meaning with --decoder {decoder};"
    with pytest.raises(InputError, match="^" + re.escape(message)):
        train_on_subspace(vae_request(tmp_path, **more), decoder, None, None)


def test_flags_of_the_other_decoders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="-n 5: has no meaning with --decoder subspace;"):
        train_on_subspace(vae_request(tmp_path), "subspace", 5, None)
    with pytest.raises(InputError, match=r"--from sub: needs --decoder subspace\+mlp"):
        train_on_subspace(vae_request(tmp_path), "mlp", None, Path("sub"))
