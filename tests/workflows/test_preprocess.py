import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscape.errors import InputError
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import ImageStack
from cryoscape.particles.store import PreprocessConfig, build_store, open_store
from cryoscape.workflows.preprocess import preprocess
from particle_files import (
    legacy_ctf,
    noise_images,
    random_rotations,
    write_pickle,
    write_poses_pickle,
    write_stack,
)

N, BOX = 12, 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = noise_images(N, BOX)
    images[5] = 0
    write_stack(tmp_path / "s.mrcs", images, 1.5)
    write_poses_pickle(tmp_path / "poses.pkl", random_rotations(N), np.full((N, 2), 0.05))
    write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N, BOX))
    return tmp_path


def test_the_store_on_disk_is_that_of_the_particles(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = PreprocessConfig(max_radius=6.0)
    with caplog.at_level(logging.INFO, "cryoscape"):
        result = preprocess(
            folder / "s.mrcs",
            folder / "new" / "store",
            folder / "poses.pkl",
            folder / "ctf.pkl",
            config=config,
        )
    assert (result.n_images, result.n_excluded, result.box_size) == (N - 1, 1, BOX)
    particles = load_particles(folder / "s.mrcs", folder / "poses.pkl", folder / "ctf.pkl")
    expected = build_store(particles, ImageStack.from_particles(particles), config)
    store = open_store(folder / "new" / "store")
    torch.testing.assert_close(
        store.batch(torch.arange(11)), expected.batch(torch.arange(11)), rtol=0, atol=0
    )
    assert result.n_pixels == store.plane.n_pixels
    assert store.excluded_rows.tolist() == [5]
    assert "memory plan" in caplog.text
    assert "rows 5" in caplog.text


def test_selections_keep_original_rows(folder: Path) -> None:
    ind = write_pickle(folder / "ind.pkl", np.array([11, 2, 5]))
    result = preprocess(folder / "s.mrcs", folder / "store", ind=ind)
    assert (result.n_images, result.n_excluded) == (2, 1)
    assert open_store(folder / "store").particles.row.tolist() == [11, 2]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_other_things_are_not_replaced(folder: Path, kind: str) -> None:
    place = folder / "thing"
    if kind == "file":
        place.write_text("x")
    else:
        place.mkdir()
        (place / "x").write_text("x")
    with pytest.raises(InputError, match=r"is a file|not a Fourier store"):
        preprocess(folder / "s.mrcs", place)
    assert place.exists()
