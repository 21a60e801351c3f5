"""The subspace training from a stack of images to a run folder, with its own engine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from cryoscape.engines.latent_table import read_latents_table
from cryoscape.engines.run_folder import load_run
from cryoscape.workflows import train_subspace as workflow
from cryoscape.workflows.train_subspace import TrainSubspaceRequest, train_subspace
from cryoscape.workflows.training_session import StoppedBySignal
from particle_files import random_rotations, write_poses_pickle, write_stack

N, BOX, PIXEL, SIGMA_PX = 200, 16, 3.0, 1.4
SHARED = np.array([[0, 0, 0], [2.2, 1, -1], [-2, 2, 1]])
MOVING = np.array([[3.6, 0, 1.5], [-2.6, -2.6, -1.5]])
STATE = np.arange(N) // 2 % 2  # both states in both half sets


def images() -> np.ndarray:
    """Projections of balls, light and without a CTF, in noise; a point r appears at the first two of R r."""
    axis = np.arange(BOX) - BOX // 2
    out = np.random.default_rng(1).normal(size=(N, BOX, BOX)) * 0.05
    for i, rotation in enumerate(random_rotations(N)):
        for x, y, _ in np.vstack([SHARED, MOVING[STATE[i]]]) @ rotation.T:
            square = (axis - x) ** 2 + (axis[:, None] - y) ** 2
            out[i] += np.exp(-square / (2 * SIGMA_PX**2)) / (2 * np.pi * SIGMA_PX**2)
    return out.astype(np.float32)


def true_map(state: int) -> np.ndarray:
    axis = np.arange(BOX) - BOX // 2
    total = np.zeros((BOX, BOX, BOX))
    for x, y, z in np.vstack([SHARED, MOVING[state]]):
        square = (axis - x) ** 2 + (axis[:, None] - y) ** 2 + (axis[:, None, None] - z) ** 2
        total += np.exp(-square / (2 * SIGMA_PX**2)) / (2 * np.pi * SIGMA_PX**2) ** 1.5
    return total


@pytest.fixture
def request_to(tmp_path: Path):
    torch.set_num_threads(1)
    stack = write_stack(tmp_path / "s.mrcs", images(), PIXEL)
    poses = write_poses_pickle(tmp_path / "poses.pkl", random_rotations(N))

    def make(name: str, **more) -> TrainSubspaceRequest:
        given = {"poses": poses, "device": "cpu", "invert_data": False, "seed": 1, **more}
        return TrainSubspaceRequest(stack, tmp_path / name, **given)

    return make


def test_images_of_two_states_become_a_run_that_tells_them_apart(request_to, tmp_path: Path) -> None:
    result = train_subspace(request_to("run", zdim=1))
    assert result.n_components == 1
    assert result.held_out_information is not None
    assert result.held_out_information > 0.5
    run = load_run(tmp_path / "run")
    table, rows = read_latents_table(tmp_path / "run")
    assert rows.tolist() == list(range(N))
    np.testing.assert_array_equal(run.z, table.mean)
    area = roc_auc_score(STATE, run.z[:, 0])
    assert max(area, 1 - area) > 0.98
    centres = np.stack([run.z[s == STATE].mean(0) for s in range(2)])
    for state, found in enumerate(run.source.volumes(centres)):
        match = [np.corrcoef(found.ravel(), true_map(s).ravel())[0, 1] for s in range(2)]
        assert match[state] > 0.95
        assert match[state] > match[1 - state] + 0.05
    assert run.pixel_size_angstrom == pytest.approx(PIXEL)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(request_to, tmp_path, monkeypatch, lazy) -> None:
    train_subspace(request_to("whole", zdim=1))
    learn = workflow.fit_subspace

    def stopped(*args, report, **more):
        def report_and_stop(line):
            report(line)
            os.kill(os.getpid(), signal.SIGTERM)

        return learn(*args, report=report_and_stop, **more)

    monkeypatch.setattr(workflow, "fit_subspace", stopped)
    with pytest.raises(StoppedBySignal):
        train_subspace(request_to("parts", zdim=1, lazy=lazy))
    monkeypatch.setattr(workflow, "fit_subspace", learn)
    train_subspace(request_to("parts", zdim=1, lazy=lazy, load="latest"))
    whole, parts = (read_latents_table(tmp_path / name)[0] for name in ("whole", "parts"))
    if lazy:  # stored on disk in half precision
        assert np.corrcoef(parts.mean[:, 0], whole.mean[:, 0])[0, 1] > 0.999
    else:
        np.testing.assert_array_equal(parts.mean, whole.mean)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(request_to, tmp_path: Path) -> None:
    train_subspace(request_to("alone", zdim=1))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]
    command += [f"{Path(sys.executable).parent / 'cryoscape'}", "train_subspace", str(tmp_path / "s.mrcs")]
    command += ["--poses", str(tmp_path / "poses.pkl"), "--zdim", "1", "--seed", "1", "--device", "cpu"]
    command += ["--uninvert-data", "-o", str(tmp_path / "shared")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Finished in") == 1  # one process logs
    alone, shared = (read_latents_table(tmp_path / name)[0] for name in ("alone", "shared"))
    np.testing.assert_allclose(shared.mean, alone.mean, atol=2e-2)
    maps = [
        load_run(tmp_path / name).source.volumes(np.ones((1, 1), np.float32)) for name in ("alone", "shared")
    ]
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.9999
