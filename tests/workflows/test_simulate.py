"""Whole simulations read back as users' programs would, against the truth written beside them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from cryoscape.errors import InputError
from cryoscape.io.mrc import open_mrc, read_volume
from cryoscape.io.star import read_star
from cryoscape.particles.fourier_store import PreprocessConfig
from cryoscape.particles.readers import load_particles
from cryoscape.particles.simulation_drawing import ImagingConfig
from cryoscape.particles.stack import ImageStack
from cryoscape.particles.store import build_store
from cryoscape.physics.slices import FourierGrid, insert_slices
from cryoscape.physics.volume_grid import volume_to_grid
from cryoscape.workflows.simulate import SimulateRequest, simulate

BOX, PIXEL = 24, 4.0
IMAGING = ImagingConfig(BOX, PIXEL, snr=0.1, shift_sigma_px=1.0)
STATES = {"fractions": {"a": 0.7, "b": 0.3}, "states": {"a": {"model": "AB"}, "b": {"model": "A"}}}


def pdb_text(seed=0):
    """Chain A fills a ball of 18 A, chain B a smaller one beside it; carbon atoms."""
    rng = np.random.default_rng(seed)
    lines = []
    for chain, n, radius, centre in (("A", 300, 18.0, (0, 0, 0)), ("B", 120, 9.0, (4, 24, 6))):
        x = rng.normal(size=(n, 3))
        x *= radius * rng.random((n, 1)) ** (1 / 3) / np.linalg.norm(x, axis=1, keepdims=True)
        for i, (px, py, pz) in enumerate(x + np.array(centre) + 100.0, 1):
            lines.append(
                f"ATOM  {i:5d}  CA  ALA {chain}{i:4d}    {px:8.3f}{py:8.3f}{pz:8.3f}  1.00  0.00           C"
            )
    return "\n".join([*lines, "END", ""])


@pytest.fixture
def request_(tmp_path):
    """A small simulation of two states."""
    model, states = tmp_path / "model.pdb", tmp_path / "states.json"
    model.write_text(pdb_text())
    states.write_text(json.dumps(STATES))
    return SimulateRequest((model,), tmp_path / "sim", 400, IMAGING, pixel_size_angstrom=PIXEL, states=states)


def test_noise_signal_fractions_and_truth_are_as_asked(request_):
    result = simulate(request_)
    truth = request_.outdir / "truth"
    images = np.array(open_mrc(request_.outdir / "particles.mrcs", as_="stack"))
    assert images.shape == (400, BOX, BOX)
    assert images.var() == pytest.approx(1.1, rel=0.02)  # noise 1, signal 0.1
    assert np.bincount(result.labels).tolist() == [280, 120] == result.counts.tolist()
    np.testing.assert_array_equal(np.load(truth / "labels.npy"), result.labels)
    table = pd.read_csv(truth / "states.csv")
    assert table["electrons"].tolist() == [420 * 6, 300 * 6]
    volumes = [read_volume(truth / name) for name in table["map"]]
    mean = read_volume(truth / "mean.mrc")
    np.testing.assert_allclose(mean.data, 0.7 * volumes[0].data + 0.3 * volumes[1].data, atol=1e-6)
    assert mean.pixel_size_angstrom == PIXEL
    # the map lies on the model: its centre of mass, with the origin, is that of the atoms
    z, y, x = np.indices(mean.data.shape)
    weight = volumes[1].data / volumes[1].data.sum()
    centre = [float((axis * weight).sum()) * PIXEL for axis in (x, y, z)] + np.array(
        volumes[1].origin_angstrom
    )
    np.testing.assert_allclose(centre, 100.0, atol=2.5)
    record = yaml.safe_load((truth / "simulation.yaml").read_text())
    assert record["signal_variance"] == pytest.approx(0.1)
    assert record["imaging"]["seed"] == 0
    assert not [p.name for p in request_.outdir.iterdir() if ".part" in p.name]


def test_star_cryosparc_and_pickles_hold_the_same_particles(request_):
    simulate(request_)
    folder = request_.outdir
    star = load_particles(folder / "particles.star", require_poses=True)
    cs = load_particles(folder / "particles.cs", require_poses=True)
    pickles = load_particles(folder / "particles.mrcs", folder / "poses.pkl", folder / "ctf.pkl")
    assert read_star(folder / "particles.star").dialect == "relion31"
    assert cs.data_sign == 1
    for other in (cs, pickles):
        np.testing.assert_allclose(other.poses.rotation, star.poses.rotation, atol=1e-5)
        np.testing.assert_allclose(other.poses.shift_fraction, star.poses.shift_fraction, atol=1e-6)
        np.testing.assert_allclose(other.ctf.as_legacy(), star.ctf.as_legacy(), rtol=1e-5, atol=1e-3)
        np.testing.assert_array_equal(other.images.image_index, star.images.image_index)
    assert (star.ctf.pixel_size_angstrom == PIXEL).all()
    assert (star.ctf.box_size_px == BOX).all()


@pytest.mark.parametrize("contrast_sigma", [0.0, 0.15])
def test_noiseless_images_back_project_to_the_mean_map_with_the_default_sign(request_, contrast_sigma):
    """Weighted back-projection with the store's defaults, at the scale of the written maps."""
    imaging = replace(IMAGING, snr=np.inf, contrast_sigma=contrast_sigma)
    simulate(replace(request_, imaging=imaging, n_particles=1500))
    particles = load_particles(request_.outdir / "particles.star")
    config = PreprocessConfig(window=False, background="keep")
    store = build_store(particles, ImageStack.from_particles(particles), config)
    grid = FourierGrid(BOX // 2, oversampling=2)
    rows = torch.arange(store.n)
    ctf = store.ctf(rows).to(torch.complex64)
    top, bottom = grid.zeros(1), grid.zeros(1)
    insert_slices(
        (store.batch(rows) * store.scale * ctf)[..., None], grid, store.rotations, store.plane.k, top
    )
    insert_slices((ctf * ctf)[..., None], grid, store.rotations, store.plane.k, bottom)
    mean = torch.from_numpy(read_volume(request_.outdir / "truth" / "mean.mrc").data)
    expected = volume_to_grid(mean, grid)[:, 0]
    seen = (bottom[:, 0, 0] > 3) & (grid.radius() < 10)
    found = top[seen, 0] / bottom[seen, :1, 0]
    slope = float((found * expected[seen]).sum() / (expected[seen] ** 2).sum())
    correlation = float((found * expected[seen]).sum() / found.norm() / expected[seen].norm())
    assert slope == pytest.approx(1, abs=0.1)
    assert correlation > 0.97


def test_junk_is_noise_or_another_structure_and_is_labelled(request_):
    noise = simulate(replace(request_, imaging=replace(IMAGING, snr=1.0, junk_fraction=0.25)))
    images = np.array(open_mrc(noise.folder / "particles.mrcs"))
    assert (noise.labels == -1).sum() == 100
    assert noise.counts.sum() == 300
    assert images[noise.labels == -1].var() == pytest.approx(1, rel=0.05)
    assert images[noise.labels >= 0].var() == pytest.approx(2, rel=0.05)
    imaging = replace(IMAGING, snr=np.inf, junk_fraction=0.25, junk=("wrong",))
    wrong = simulate(replace(request_, imaging=imaging, force=True))
    images = np.array(open_mrc(wrong.folder / "particles.mrcs"))
    assert images[wrong.labels == -1].var() > 0.2
    table = pd.read_parquet(wrong.folder / "truth" / "particles.parquet")
    assert set(table["state"]) == {"a", "b", "junk"}
    assert table.loc[table["label"] < 0, "latent"].isna().all()
    assert set(table.loc[table["label"] < 0, "junk"]) == {"wrong"}


def test_kinds_of_junk_are_mixed_in_equal_shares_and_leave_the_other_particles_as_they_are(request_):
    config = replace(IMAGING, snr=1.0, junk_fraction=0.25, contrast_sigma=0.1)
    pure = simulate(replace(request_, imaging=config))
    alone = np.array(open_mrc(pure.folder / "particles.mrcs"))
    kinds = ("noise", "poses", "edges")
    mixed = simulate(replace(request_, imaging=replace(config, junk=kinds), force=True))
    images = np.array(open_mrc(mixed.folder / "particles.mrcs"))
    table = pd.read_parquet(mixed.folder / "truth" / "particles.parquet")
    np.testing.assert_array_equal(pure.labels, mixed.labels)
    np.testing.assert_allclose(images[mixed.labels >= 0], alone[mixed.labels >= 0], atol=1e-5)
    counts = table["junk"].value_counts()
    assert counts[""] == 300
    assert sorted(counts[list(kinds)]) == [33, 33, 34]
    assert (table.loc[table["junk"] == "noise", "contrast"] == 0).all()
    # noise 1; wrong poses add the signal's variance 1; edges add 3^2
    variance = {kind: images[table["junk"] == kind].var() for kind in kinds}
    assert variance["noise"] == pytest.approx(1, rel=0.05)
    assert variance["poses"] == pytest.approx(2, rel=0.15)
    assert variance["edges"] == pytest.approx(10, rel=0.2)


def test_a_motion_file_gives_each_particle_its_place_along_the_path(request_, tmp_path):
    motion = tmp_path / "motion.json"
    body = {"chains": {"model": "B"}, "rotation_degrees": 60}
    motion.write_text(json.dumps({"path": "closed", "steps": 5, "bodies": {"b": body}}))
    simulate(replace(request_, states=None, motion=motion, n_particles=50))
    table = pd.read_parquet(request_.outdir / "truth" / "particles.parquet")
    assert sorted(table["latent"].unique()) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    maps = sorted((request_.outdir / "truth").glob("state_*.mrc"))
    at = [read_volume(path).data for path in maps]
    # cos(2 pi t): steps 1 and 4, and 2 and 3, are the same structure
    assert np.abs(at[1] - at[4]).max() < 1e-3 * at[0].max()
    assert np.abs(at[0] - at[2]).max() > 0.2 * at[0].max()


def test_the_same_seed_gives_the_same_files_whatever_the_number_of_threads(request_, tmp_path):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        simulate(request_)
        torch.set_num_threads(2)
        simulate(replace(request_, outdir=tmp_path / "again"))
    finally:
        torch.set_num_threads(threads)
    first, second = (np.array(open_mrc(f / "particles.mrcs")) for f in (request_.outdir, tmp_path / "again"))
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_without_a_pixel_size_the_box_leaves_room_for_the_model(request_):
    simulate(replace(request_, pixel_size_angstrom=None, n_particles=5))
    truth = request_.outdir / "truth"
    volume = read_volume(truth / "state_000_a.mrc").data
    electrons = 420 * 6
    scale = yaml.safe_load((truth / "simulation.yaml").read_text())["scale"]
    pixel = read_volume(truth / "mean.mrc").pixel_size_angstrom
    assert volume.sum() * pixel**3 / scale == pytest.approx(electrons, rel=2e-3)


def test_another_simulation_is_kept_unless_forced_and_then_no_map_of_it_stays(request_, tmp_path):
    simulate(replace(request_, n_particles=5))
    before = (request_.outdir / "particles.mrcs").read_bytes()
    with pytest.raises(InputError, match="--force"):
        simulate(replace(request_, n_particles=7))
    assert (request_.outdir / "particles.mrcs").read_bytes() == before
    simulate(replace(request_, n_particles=7, states=None, force=True))
    assert [p.name for p in sorted((request_.outdir / "truth").glob("*.mrc"))] == [
        "mean.mrc",
        "state_000_all.mrc",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_particles": 0}, "-n 0"),
        ({"imaging": replace(IMAGING, snr=-1.0)}, "--snr"),
        ({"pixel_size_angstrom": -2.0}, "--apix"),
    ],
)
def test_a_request_that_cannot_be_used_leaves_nothing_behind(request_, change, words):
    with pytest.raises(InputError, match=words):
        simulate(replace(request_, **change))
    assert not request_.outdir.exists()


def test_states_and_motion_exclude_each_other(request_):
    with pytest.raises(InputError, match="exclude"):
        simulate(replace(request_, motion=request_.states))


def test_a_model_larger_than_the_box_is_reported(request_, caplog):
    simulate(replace(request_, pixel_size_angstrom=1.5, n_particles=3))
    assert "lie outside the box" in caplog.text
