"""The training that starts from the subspace, around its fit: files, what goes before, what is refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cryoscape.engines.latent_table import read_latents_table
from cryoscape.engines.manifold import fit
from cryoscape.engines.manifold.trainer import EpochReport
from cryoscape.engines.run_folder import RunFolder, load_run
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_latents
from cryoscape.workflows import train_manifold as workflow
from cryoscape.workflows import train_manifold_files as files
from cryoscape.workflows.eval_images import EvalImagesRequest, eval_images
from cryoscape.workflows.train_manifold import TrainManifoldRequest, train_manifold
from cryoscape.workflows.train_subspace_plan import TrainSubspaceRequest
from cryoscape.workflows.training_session import SHIFT_METRICS, StoppedBySignal
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
    assert run.latents is not None, "the table is of the last epoch"
    assert load_run(folder, 0).latents is None
    lines = metrics(folder)
    assert [(line["epoch"], line["round"]) for line in lines] == [(0, 0), (1, 1)]
    for line in lines:
        loss = line["reconstruction_loss"] + line["prior_weight"] * line["kl_divergence"]
        assert line["total_loss"] == pytest.approx(loss) == -line["training_bound"]
    assert lines[1]["latent_shift_median"] > 0
    assert (result.last_epoch, result.best_epoch) == (1, 1)
    assert result.held_out_log_likelihood == pytest.approx(lines[1]["held_out_log_likelihood"])
    record = json.loads((folder / "run.json").read_text())["result"]
    assert (record["epoch"], record["verdict"]) == (1, result.verdict)
    log = (folder / "run.log").read_text()
    assert result.verdict in log
    assert "of the linear subspace" in log
    assert f"next: cryoscape analyze {folder} 1" in log
    assert {path.name for path in folder.iterdir()} == {
        *("config.yaml", "latents.parquet", "metrics.jsonl", "rows.npy", "run.json", "run.log", "z.pkl"),
        *("weights.0.pkl", "z.0.pkl", "weights.1.pkl", "z.1.pkl"),
        *("bases.0.pkl", "bases.1.pkl", "evidence.pkl"),
    }
    for epoch, which in ((0, 0), (1, 1)):
        source = load_run(folder, epoch).source
        alone = tmp_path / f"alone{epoch}"
        alone.mkdir()
        for name in (f"weights.{epoch}.pkl", f"z.{epoch}.pkl", f"bases.{which}.pkl", "config.yaml"):
            shutil.copy(folder / name, alone / name)
        expected = source.volumes(run.z[:1])
        np.testing.assert_array_equal(load_run(alone, epoch).source.volumes(run.z[:1]), expected)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


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


def stop_after(patched: pytest.MonkeyPatch, epoch: int) -> None:
    """A signal comes during an epoch."""
    caught: list[int] = []

    class Writer(files.EpochWriter):
        def __call__(self, report: EpochReport) -> None:
            super().__call__(report)
            if report.epoch == epoch:
                caught.append(15)

    @contextmanager
    def catch() -> Iterator[list[int]]:
        yield caught

    patched.setattr(workflow, "EpochWriter", Writer)
    patched.setattr(workflow, "catch_signals", catch)


@pytest.mark.parametrize("epoch", [0, 1, 3, 4])
def test_a_run_that_was_stopped_goes_on_exactly(
    request_for: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    """With maps made again before epoch 2; stopped at an epoch that is not saved otherwise, too."""
    subspace = subspace_run(tmp_path / "sub")
    more = {"subspace": subspace, "epochs": 6, "checkpoint": 5}
    train_manifold(request_for(**more))
    folder = (tmp_path / "run").rename(tmp_path / "whole")
    with monkeypatch.context() as patched:
        stop_after(patched, epoch)
        with pytest.raises(StoppedBySignal) as stopped:
            train_manifold(request_for(**more))
    assert f"weights.{epoch}.pkl" in str(stopped.value)
    assert stopped.value.exit_code == 143
    with pytest.raises(InputError, match="holds a training run already; continue it with --load latest"):
        train_manifold(request_for(**more))
    train_manifold(request_for(epochs=6, checkpoint=5, load="latest"))
    whole, again = load_run(folder), load_run(tmp_path / "run")
    assert again.epoch == whole.epoch == 5
    np.testing.assert_array_equal(again.z, whole.z)
    np.testing.assert_array_equal(again.source.volumes(whole.z[:1]), whole.source.volumes(whole.z[:1]))
    for one, other in zip(metrics(tmp_path / "run"), metrics(folder), strict=True):
        # shifts of latents need those of the epochs before, which are not all saved
        assert {key for key in one if one[key] != other[key]} <= {"wall_seconds", *SHIFT_METRICS}
    assert set(RunFolder(folder).epochs()) == {0, 1, 5}, "before maps are made again, too"
    with pytest.raises(InputError, match=r"the run is finished; .* go on with -n above 6"):
        train_manifold(request_for(load="latest", epochs=None))
    with pytest.raises(InputError, match="epoch 5 is done already, -n 6 asks for epochs 0 to 5"):
        train_manifold(request_for(load="latest", epochs=6))


def test_a_finished_run_goes_on_to_more_epochs(
    request_for: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subspace = subspace_run(tmp_path / "sub")
    train_manifold(request_for(subspace=subspace, epochs=3))
    folder = tmp_path / "run"
    before = {path.name: path.read_bytes() for path in folder.glob("*.pkl")}
    monkeypatch.setattr(workflow, "read_subspace_maps", None)  # what is known of the images is not read again
    result = train_manifold(request_for(load=str(folder / "weights.2.pkl"), epochs=5))
    assert result.last_epoch == 4
    assert [line["epoch"] for line in metrics(folder)] == list(range(5))
    for name in ("weights.0.pkl", "z.2.pkl", "bases.1.pkl", "evidence.pkl"):
        assert (folder / name).read_bytes() == before[name]
    np.testing.assert_array_equal(read_latents(folder / "z.pkl")[0], load_run(folder, 4).z)


def test_a_run_goes_on_from_an_earlier_epoch_in_another_folder(request_for: Request, tmp_path: Path) -> None:
    subspace = subspace_run(tmp_path / "sub")
    train_manifold(request_for(subspace=subspace, epochs=4))
    first = (tmp_path / "run").rename(tmp_path / "first")
    listing = sorted(path.name for path in first.iterdir())
    train_manifold(request_for(load=str(first / "weights.2.pkl"), epochs=4))
    assert sorted(path.name for path in first.iterdir()) == listing
    np.testing.assert_array_equal(load_run(first).z, load_run(tmp_path / "run").z)
    assert RunFolder(tmp_path / "run").epochs() == (3,)
    with pytest.raises(InputError, match="holds a training run already"):
        train_manifold(request_for(load=str(first / "weights.2.pkl"), epochs=4))


def test_epochs_after_an_earlier_one_are_trained_again(request_for: Request, tmp_path: Path) -> None:
    subspace = subspace_run(tmp_path / "sub")
    train_manifold(request_for(subspace=subspace, epochs=4))
    z = load_run(tmp_path / "run").z
    train_manifold(request_for(load=str(tmp_path / "run" / "weights.0.pkl"), epochs=4))
    np.testing.assert_array_equal(load_run(tmp_path / "run").z, z)
    assert "epochs from 1 on are trained again" in (tmp_path / "run" / "run.log").read_text()


def test_where_epochs_are_not_given_the_best_is_the_last(
    request_for: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of noise nothing can be learned: likelihood falls, if by little."""
    monkeypatch.setattr(fit, "TELLING", 0.0)
    config = workflow.ManifoldConfig
    monkeypatch.setattr(
        workflow, "ManifoldConfig", lambda **given: config(**given, patience=2, learning_rate=0.05)
    )
    result = train_manifold(request_for(subspace=subspace_run(tmp_path / "sub"), epochs=None, checkpoint=7))
    lines = [line for line in metrics(tmp_path / "run") if line["round"] == 1]
    best = max(lines, key=lambda line: line["held_out_log_likelihood"])["epoch"]
    assert best < lines[-1]["epoch"]
    run = load_run(tmp_path / "run")
    assert result.last_epoch == result.best_epoch == run.epoch == best
    assert run.latents is not None
    train_manifold(request_for(load="latest", epochs=best + 2))
    assert load_run(tmp_path / "run").epoch == best + 1


def test_a_run_that_was_stopped_before_its_first_epoch_goes_on(
    before: list[TrainSubspaceRequest],
    request_for: Request,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(workflow, "_read", lambda session: _stop())
        with pytest.raises(StoppedBySignal):
            train_manifold(request_for())
    train_manifold(request_for(load="latest"))
    assert len(before) == 1, "the subspace was there"
    assert load_run(tmp_path / "run").epoch == 1


def _stop() -> None:
    raise StoppedBySignal(15, Path("run"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"zdim": 0}, "--zdim 0: expected at least 1"),
        ({"epochs": 0}, "-n 0: expected at least 1"),
        ({"checkpoint": 0}, "--checkpoint 0: expected at least 1"),
        ({"load": "gone/weights.3.pkl"}, r"gone/weights\.3\.pkl: no such weights file"),
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


def test_a_run_of_another_kind_is_not_continued(request_for: Request, tmp_path: Path) -> None:
    other = subspace_run(tmp_path / "other")
    with pytest.raises(InputError, match="is of the engine subspace, expected subspace_mlp"):
        train_manifold(request_for(load=str(other / "weights.pkl"), epochs=5))
    train_manifold(request_for(subspace=subspace_run(tmp_path / "sub")))
    with pytest.raises(InputError, match=r"--zdim 3: .*weights\.1\.pkl has 2; give the same"):
        train_manifold(request_for(load="latest", zdim=3, epochs=5))
    (tmp_path / "run" / "weights.1.pkl").write_bytes(b"cut")
    train_manifold(request_for(load="latest", epochs=3))
    assert "passing over a damaged checkpoint" not in (tmp_path / "run" / "run.log").read_text()
    assert load_run(tmp_path / "run").epoch == 2


def test_force_removes_all_of_an_earlier_run(request_for: Request, tmp_path: Path) -> None:
    subspace = subspace_run(tmp_path / "sub")
    train_manifold(request_for(subspace=subspace, epochs=4))
    train_manifold(request_for(subspace=subspace, epochs=2, force=True))
    assert RunFolder(tmp_path / "run").epochs() == RunFolder(tmp_path / "run").epochs("z") == (0, 1)


def test_images_are_not_evaluated_with_another_kind_of_weights(request_for: Request, tmp_path: Path) -> None:
    train_manifold(request_for(subspace=subspace_run(tmp_path / "sub")))
    asked = EvalImagesRequest(tmp_path / "s.mrcs", tmp_path / "run", tmp_path / "l.pkl", tmp_path / "z.pkl")
    with pytest.raises(InputError, match=r"weights\.1\.pkl: of the engine subspace_mlp, expected"):
        eval_images(asked)
