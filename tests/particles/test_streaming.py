from pathlib import Path

import numpy as np
import torch

from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import ImageStack
from cryoscape.particles.store import PreprocessConfig, build_store
from cryoscape.particles.streaming import stream_blocks
from particle_files import (
    legacy_ctf,
    noise_images,
    random_rotations,
    write_pickle,
    write_poses_pickle,
    write_stack,
)


def test_blocks_hold_what_a_store_holds(tmp_path: Path, monkeypatch) -> None:
    images = noise_images(30, 16)
    images[[4, 29]] = 1.0
    write_stack(tmp_path / "s.mrcs", images, 1.5)
    shift = np.random.default_rng(1).uniform(-0.1, 0.1, (30, 2))
    write_poses_pickle(tmp_path / "poses.pkl", random_rotations(30), shift)
    write_pickle(tmp_path / "ctf.pkl", legacy_ctf(30, 16))
    particles = load_particles(tmp_path / "s.mrcs", tmp_path / "poses.pkl", tmp_path / "ctf.pkl")
    stack = ImageStack.from_particles(particles)
    config = PreprocessConfig(max_radius=6.0)
    store = build_store(particles, stack, config)
    monkeypatch.setattr("cryoscape.particles.streaming.working_batch", lambda box: 8)
    positions, coefficients, ctf, excluded = [], [], [], []
    for rows, block in stream_blocks(particles, stack, config):
        positions.append(rows)
        coefficients.append(block.batch(torch.arange(block.n)))
        ctf.append(block.ctf(torch.arange(block.n)))
        excluded += block.excluded_rows.tolist()
        torch.testing.assert_close(block.rotations.double(), torch.from_numpy(particles.poses.rotation[rows]))
        assert block.scale == store.scale
    assert [len(rows) for rows in positions] == [7, 8, 8, 5]
    assert excluded == [4, 29]
    everything = torch.arange(28)
    torch.testing.assert_close(torch.cat(coefficients), store.batch(everything), rtol=0, atol=0)
    torch.testing.assert_close(torch.cat(ctf), store.ctf(everything))
