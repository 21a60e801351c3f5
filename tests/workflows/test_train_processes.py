"""Trainings on a subspace by several processes of torchrun: the same as by one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscape.engines.run_folder import load_run
from cryoscape.io.legacy_pickle import load_pickles
from cryoscape.workflows.train_manifold import TrainManifoldRequest, train_manifold
from cryoscape.workflows.train_states import TrainStatesRequest, train_states
from particle_files import noise_images, random_rotations, write_poses_pickle, write_stack
from subspace_run import BOX, PIXEL, N, subspace_run


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Path]:
    torch.set_num_threads(1)
    axis = np.arange(BOX) - BOX // 2
    ball = -np.exp(-(axis**2 + axis[:, None] ** 2) / 18)
    images = (noise_images(N, BOX) + 5 * ball).astype(np.float32)
    return {
        "particles": write_stack(tmp_path / "s.mrcs", images, PIXEL),
        "poses": write_poses_pickle(tmp_path / "poses.pkl", random_rotations(N)),
        "subspace": subspace_run(tmp_path / "sub"),
    }


def together(tmp_path: Path, *command: str, trainings: int = 1) -> str:
    """Messages of a training by two processes, of which one tells."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]
    program = [str(Path(sys.executable).parent / "cryoscape"), command[0], str(tmp_path / "s.mrcs")]
    files = ["--poses", str(tmp_path / "poses.pkl"), "--device", "cpu", "-o", str(tmp_path / "shared")]
    done = subprocess.run(
        [*launcher, *program, *files, *command[1:]], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Finished in") == trainings
    return done.stderr


@pytest.mark.slow
def test_two_processes_train_the_networks_that_one_does(given: dict[str, Path], tmp_path: Path) -> None:
    train_manifold(TrainManifoldRequest(outdir=tmp_path / "alone", zdim=2, epochs=4, device="cpu", **given))
    together(tmp_path, "train_vae", "--zdim", "2", "-n", "3", "--from", str(given["subspace"]))
    messages = together(tmp_path, "train_vae", "--zdim", "2", "-n", "4", "--load", "latest")
    assert "continuing from" in messages
    alone, shared = (load_run(tmp_path / name, device="cpu") for name in ("alone", "shared"))
    assert shared.epoch == 3
    assert shared.z.shape == alone.z.shape
    together(tmp_path, "train_vae", "--zdim", "2", "-n", "4", "--from", str(given["subspace"]), "--force")
    shared = load_run(tmp_path / "shared", device="cpu")
    np.testing.assert_allclose(shared.z, alone.z, atol=1e-3)
    maps = [run.source.volumes(np.zeros((1, 2), np.float32)).ravel() for run in (alone, shared)]
    assert np.corrcoef(*maps)[0, 1] > 0.9999


@pytest.mark.slow
def test_two_processes_find_the_states_that_one_does(given: dict[str, Path], tmp_path: Path) -> None:
    train_states(TrainStatesRequest(outdir=tmp_path / "alone", k=2, device="cpu", **given))
    together(tmp_path, "train_states", "--k", "2", "--from", str(given["subspace"]))
    alone, shared = (tmp_path / name for name in ("alone", "shared"))
    one, other = (load_pickles(folder / "states.pkl")[0] for folder in (alone, shared))
    np.testing.assert_array_equal(one, other)
    for k in range(2):
        assert (shared / f"state_{k:03d}_half_a.mrc").is_file()
    at = np.ones((1, 1), np.float32)
    maps = [load_run(folder, device="cpu").source.volumes(at).ravel() for folder in (alone, shared)]
    assert np.corrcoef(*maps)[0, 1] > 0.9999


@pytest.mark.slow
def test_two_processes_train_the_subspace_first(given: dict[str, Path], tmp_path: Path) -> None:
    together(tmp_path, "train_vae", "--zdim", "1", "-n", "2", "--seed", "3", trainings=2)
    assert load_run(tmp_path / "shared", device="cpu").epoch == 1
    assert (tmp_path / "shared" / "subspace" / "weights.pkl").is_file()
