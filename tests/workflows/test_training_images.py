"""Images of a training, from files or from a store with the same result; what is refused before training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_latents
from cryoscape.particles.store import PreprocessConfig
from cryoscape.workflows.preprocess import preprocess
from cryoscape.workflows.train_vae import TrainVaeRequest, train_vae
from cryoscape.workflows.training_images import ImageSource, find_images, load_images
from cryoscape.workflows.training_plan import plan_training
from particle_files import (
    legacy_ctf,
    noise_images,
    random_rotations,
    write_pickle,
    write_poses_pickle,
    write_stack,
)

N, BOX = 20, 16


@pytest.fixture
def source(tmp_path: Path) -> ImageSource:
    torch.set_num_threads(1)
    stack = write_stack(tmp_path / "s.mrcs", noise_images(N, BOX), 1.5)
    poses = write_poses_pickle(tmp_path / "poses.pkl", random_rotations(N))
    return ImageSource(stack, poses, write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N, BOX)))


def make_store(source: ImageSource, folder: Path, **settings: object) -> Path:
    config = PreprocessConfig(dtype="float32", **settings)  # type: ignore[arg-type]
    preprocess(source.particles, folder, source.poses, source.ctf, config=config)
    return folder


def request(particles: Path, folder: Path, **more: object) -> TrainVaeRequest:
    small = {"zdim": 2, "num_epochs": 2, "enc_dim": 8, "dec_dim": 8, "seed": 1, "amp": False, **more}
    return TrainVaeRequest(particles, folder, **small)  # type: ignore[arg-type]


def test_a_store_trains_as_the_files_it_was_made_of(source: ImageSource, tmp_path: Path) -> None:
    store = make_store(source, tmp_path / "store")
    train_vae(request(source.particles, tmp_path / "a", poses=source.poses, ctf=source.ctf))
    train_vae(request(store, tmp_path / "b"))
    a, b = (read_latents(tmp_path / run / "z.1.pkl")[0] for run in "ab")
    assert np.ptp(a) > 0
    np.testing.assert_allclose(a, b, atol=1e-4)  # CTF of files is kept in half precision
    assert "invert_data: true" in (tmp_path / "b" / "config.yaml").read_text()


def test_the_run_records_how_a_store_was_made(source: ImageSource, tmp_path: Path) -> None:
    store = make_store(source, tmp_path / "store", invert=False, window=False)
    train_vae(request(store, tmp_path / "run", num_epochs=1))
    text = (tmp_path / "run" / "config.yaml").read_text()
    assert "invert_data: false" in text
    assert "window: false" in text


def test_what_a_store_cannot_serve(source: ImageSource, tmp_path: Path) -> None:
    store = make_store(source, tmp_path / "store")
    with pytest.raises(InputError, match="give --ctf to preprocess"):
        find_images(ImageSource(store, ctf=source.ctf))
    small = make_store(source, tmp_path / "small", max_radius=5.0)
    with pytest.raises(InputError, match="frequencies up to 5 of 8 only"):
        find_images(ImageSource(small))
    bare = make_store(ImageSource(source.particles), tmp_path / "bare")
    with pytest.raises(InputError, match="made without poses"):
        find_images(ImageSource(bare))


def test_finding_images_writes_nothing_and_loading_reads_all(source: ImageSource, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    found = find_images(source)
    assert found.box_size == BOX
    assert sorted(tmp_path.iterdir()) == before
    store = load_images(found, PreprocessConfig(), tmp_path, on_disk=True)
    assert (store.n, store.config.dtype) == (N, "float16")
    assert (tmp_path / "image_store" / "store.json").is_file()


def test_the_plan_fills_in_what_was_left_open(tmp_path: Path) -> None:
    plan = plan_training(request(Path("s.mrcs"), tmp_path, enc_dim=None, preset="paper"), BOX)
    assert (plan.model.enc_dim, plan.model.dec_dim, plan.model.pe_type) == (256, 8, "geom_lowf")
    assert (plan.config.batch_size, plan.config.seed, plan.model.box_size) == (8, 1, BOX)
    drawn = plan_training(request(Path("s.mrcs"), tmp_path, seed=None), BOX).config.seed
    assert 0 <= drawn < 100_000
    with pytest.raises(InputError, match="--enc-dim: expected at least 1, found 0"):
        plan_training(request(Path("s.mrcs"), tmp_path, enc_dim=0), BOX)


def test_all_epochs_done_is_told_before_images_are_read(source: ImageSource, tmp_path: Path) -> None:
    files = {"poses": source.poses, "ctf": source.ctf}
    train_vae(request(source.particles, tmp_path / "run", **files))
    log = (tmp_path / "run" / "run.log").read_bytes()
    with pytest.raises(InputError, match="epoch 1 is done already, -n 2 asks for epochs 0 to 1"):
        train_vae(request(source.particles, tmp_path / "run", load="latest", **files))
    assert (tmp_path / "run" / "run.log").read_bytes() == log
    train_vae(request(source.particles, tmp_path / "run", load="latest", **files, num_epochs=3))
    assert (tmp_path / "run" / "weights.2.pkl").is_file()


def test_force_replaces_a_run_only_when_the_new_one_can_start(source: ImageSource, tmp_path: Path) -> None:
    files = {"poses": source.poses, "ctf": source.ctf, "num_epochs": 1}
    train_vae(request(source.particles, tmp_path / "run", **files))
    weights = (tmp_path / "run" / "weights.0.pkl").read_bytes()
    with pytest.raises(InputError, match="no such file"):
        train_vae(request(tmp_path / "gone.mrcs", tmp_path / "run", force=True))
    assert (tmp_path / "run" / "weights.0.pkl").read_bytes() == weights
    train_vae(request(source.particles, tmp_path / "run", force=True, **{**files, "seed": 2}))
    assert (tmp_path / "run" / "weights.0.pkl").read_bytes() != weights
