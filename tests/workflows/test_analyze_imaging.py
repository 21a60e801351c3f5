"""Poses and CTF of a run's particles, found through its configuration, and what its latents tell of them."""

import html
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.spatial.transform import Rotation

from cryoscape.analysis.leakage import Foretold
from cryoscape.cli.commands import BY_NAME, PLANNED
from cryoscape.engines.run_folder import load_run
from cryoscape.io.legacy_pickle import load_pickles
from cryoscape.workflows.analyze import AnalyzeOptions, analyze
from cryoscape.workflows.analyze_imaging import find_leaks, in_words, read_imaging, verdict
from linear_run import BOX, PIXEL_SIZE_ANGSTROM, N, write_linear_run
from particle_files import (
    legacy_ctf,
    noise_images,
    random_rotations,
    write_pickle,
    write_poses_pickle,
    write_stack,
)

EXTENT_ANGSTROM = BOX * PIXEL_SIZE_ANGSTROM


@pytest.fixture
def run_folder(tmp_path):
    """A run of every second of 120 particles, with its stack, poses and CTF."""
    folder = write_linear_run(tmp_path / "run")
    write_stack(tmp_path / "s.mrcs", noise_images(2 * N, BOX), PIXEL_SIZE_ANGSTROM)
    shift = np.random.default_rng(5).normal(scale=0.05, size=(2 * N, 2))
    write_poses_pickle(tmp_path / "poses.pkl", random_rotations(2 * N), shift)
    write_pickle(tmp_path / "ctf.pkl", legacy_ctf(2 * N, BOX, PIXEL_SIZE_ANGSTROM))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    names = {"particles": "s.mrcs", "poses": "poses.pkl", "ctf": "ctf.pkl"}
    config["dataset_args"] |= {key: str(tmp_path / name) for key, name in names.items()}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_rows_of_the_input_are_those_of_the_run(run_folder, tmp_path):
    imaging = read_imaging(load_run(run_folder))
    rows = 2 * np.arange(N)
    rotation, shift = load_pickles(tmp_path / "poses.pkl")[0]
    ctf = load_pickles(tmp_path / "ctf.pkl")[0]
    np.testing.assert_allclose(imaging.shift_angstrom, shift[rows] * EXTENT_ANGSTROM, rtol=1e-5)
    np.testing.assert_allclose(imaging.defocus_angstrom, ctf[rows, 2:4].mean(axis=1), rtol=1e-6)
    # seen along z: a point far along the viewing direction appears at the centre of the image
    seen_at = np.einsum("nij,nj->ni", rotation[rows], imaging.view_direction)
    np.testing.assert_allclose(seen_at, np.tile([0.0, 0.0, 1.0], (N, 1)), atol=1e-5)
    angles = Rotation.from_euler("ZYZ", imaging.euler_degrees, degrees=True).as_matrix().transpose(0, 2, 1)
    np.testing.assert_allclose(angles, rotation[rows], atol=1e-4)
    columns = imaging.columns()
    assert "phase_shift_degrees" not in columns  # the same for all
    tilt, rot = np.deg2rad([columns["tilt_degrees"], columns["rot_degrees"]])
    expected = np.stack([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)], axis=1)
    np.testing.assert_allclose(imaging.view_direction, expected, atol=1e-4)


def test_files_that_are_gone_cost_nothing_else(run_folder, tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "s.mrcs").unlink()
    imaging = read_imaging(load_run(run_folder))
    assert imaging.columns() == {}
    assert "s.mrcs: no such file" in caplog.text
    leaks = find_leaks(load_run(run_folder), imaging, 0)
    assert [leak.name for leak in leaks] == ["contrast"]


def test_latents_that_follow_the_defocus_are_told(run_folder):
    run = load_run(run_folder)
    imaging = read_imaging(run)
    z = np.random.default_rng(0).normal(size=(N, 1)).astype(np.float32)
    told = replace(run, logvar=None, z=1e-4 * imaging.defocus_angstrom[:, None].astype(np.float32))
    by_name = {leak.name: leak for leak in find_leaks(told, imaging, 0)}
    assert list(by_name) == ["viewing direction", "in-plane angle", "shift", "defocus", "contrast"]
    assert by_name["defocus"].component_share > 0.99
    assert "PC1" in in_words(by_name["defocus"])
    clean = {leak.name: leak for leak in find_leaks(replace(run, logvar=None, z=z), imaging, 0)}
    assert clean["defocus"].share < by_name["defocus"].share - 0.2


def test_words_follow_the_shares():
    none = Foretold("shift", 0.001, 0.004, 1, 0.0)
    by_chance = Foretold("shift", 0.05, 0.07, 1, 0.05)
    spread = Foretold("defocus", 0.12, 0.004, 3, 0.001)
    faint = Foretold("contrast", 0.06, 0.004, 2, 0.03)
    strong = Foretold("viewing direction", 0.5, 0.004, 2, 0.4)
    assert "not told" in in_words(none)
    assert "not told" in in_words(by_chance)
    assert "clearly told (12.0 %), but no component moves" in in_words(spread)
    assert "strongly told (50.0 %), most of all by PC2, of which it explains 40 %" in in_words(strong)
    assert verdict(()).startswith("Not tested")
    assert verdict((none, by_chance)) == "Latents tell nothing of how the particles were imaged."
    assert "only how far latents scatter tells defocus" in verdict((none, spread))
    assert verdict((none, faint)).startswith("Latents hold a faint trace of the contrast")
    assert verdict((none, spread, strong)).startswith("Latents move with the viewing direction.")


def test_the_analysis_of_a_subspace_run_says_all_of_it(run_folder):
    (run_folder / "metrics.jsonl").write_text(
        "".join(
            f'{{"iteration": {i}, "radius": {4 + i}, "held_out_information": {i}.5, "noise": 1.0}}\n'
            for i in range(3)
        )
    )
    result = analyze(run_folder, options=AnalyzeOptions(ksample=3, gmm=4, pc=1, n_per_pc=2, skip_umap=True))
    out = result.folder
    for name in (
        "z_pca_imaging.png",
        "z_pca_fit.png",
        "views.png",
        "training.png",
        "gmm4/z_pca.png",
        "gmm4/maps.png",
    ):
        assert (out / name).read_bytes().startswith(b"\x89PNG"), name
    labels = load_pickles(out / "gmm4" / "labels.pkl")[0]
    probabilities = np.load(out / "gmm4" / "probabilities.npy")
    np.testing.assert_array_equal(probabilities.argmax(axis=1), labels)
    rows = np.loadtxt(out / "gmm4" / "centers_ind.txt", dtype=int)
    np.testing.assert_array_equal(labels[rows], np.arange(4))
    assert len(list((out / "gmm4").glob("vol_*.mrc"))) == 4
    particles = pd.read_parquet(out / "particles.parquet")
    np.testing.assert_array_equal(particles["gmm"], labels)
    np.testing.assert_allclose(particles["gmm_probability"], probabilities.max(axis=1))
    assert {"tilt_degrees", "defocus_angstrom", "shift_x_angstrom"} <= set(particles)
    clusters = pd.read_parquet(out / "kmeans3" / "clusters.parquet")
    expected = particles.groupby("cluster")["junk_score"].median()
    np.testing.assert_allclose(clusters["median_junk_score"], expected, rtol=1e-5)
    assert len(pd.read_parquet(out / "leakage.parquet")) == 5
    page = result.report.read_text(encoding="utf-8")
    for words in ("Gaussian mixture", "viewing direction", "Training of the engine"):
        assert words in page
    named = set(re.findall(r"<code>cryoscape (\w+) ", page))
    assert {"filter", "reconstruct", "graph_traversal"} <= named
    known = load_run(run_folder).config["dataset_args"]
    (line,) = re.findall(r"cryoscape reconstruct ([^<]*)", html.unescape(page))
    given = f"{known['particles']} --poses {known['poses']} --ctf {known['ctf']} --run "
    assert line.startswith(given)
    assert named <= set(BY_NAME) | set(PLANNED) | {"make_movies"}


def test_states_and_merging_of_a_states_run(tmp_path):
    folder = write_linear_run(tmp_path / "run", "states")
    (folder / "metrics.jsonl").write_text(
        '{"iteration": 0, "step": "start", "n_states": 6, "nats_a_particle": null}\n'
        '{"iteration": 1, "step": "merged", "n_states": 5, "nats_a_particle": 0.2}\n'
        '{"iteration": 2, "step": "states", "n_states": 5, "nats_a_particle": null}\n'
    )
    result = analyze(folder, options=AnalyzeOptions(ksample=2, pc=0, skip_vol=True, skip_umap=True))
    assert (result.folder / "z_pca_states.png").is_file()
    assert (result.folder / "training.png").is_file()
