"""The training of the autoencoder by several processes of torchrun."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cryoscape.engines.run_folder import load_run
from particle_files import (
    legacy_ctf,
    noise_images,
    random_rotations,
    write_pickle,
    write_poses_pickle,
    write_stack,
)

N, BOX = 21, 16
EPOCHS = 3


def train(folder: Path, name: str, *launcher: str) -> str:
    """Messages of a training on the images in a folder."""
    program = str(Path(sys.executable).parent / "cryoscape")
    command = [*launcher, program, "train_vae", str(folder / "s.mrcs"), "--poses", str(folder / "poses.pkl")]
    command += ["--ctf", str(folder / "ctf.pkl"), "--zdim", "2", "-n", str(EPOCHS), "-b", "4", "--seed", "3"]
    command += ["--decoder", "mlp", "--enc-dim", "16", "--dec-dim", "16", "--no-amp", "--device", "cpu"]
    command += ["-o", str(folder / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_two_processes_train_the_network_that_one_does(tmp_path: Path) -> None:
    """Batches of 4 and a last one of a single image, which leaves one process without any."""
    write_stack(tmp_path / "s.mrcs", noise_images(N, BOX), 3.0)
    write_poses_pickle(tmp_path / "poses.pkl", random_rotations(N))
    write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N, BOX, 3.0))
    train(tmp_path, "alone")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]
    messages = train(tmp_path, "shared", *launcher)
    assert messages.count("Finished in") == EPOCHS + 1  # one process logs
    alone, shared = (load_run(tmp_path / name, device="cpu") for name in ("alone", "shared"))
    np.testing.assert_allclose(shared.z, alone.z, atol=2e-3)
    maps = [run.source.volumes(np.zeros((1, 2), np.float32)).ravel() for run in (alone, shared)]
    assert np.corrcoef(*maps)[0, 1] > 0.999
