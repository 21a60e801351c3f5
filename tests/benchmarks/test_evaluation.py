"""A run that knows the truth gets the scores of the truth; cost and layout of the command."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench_engines import _named_command, run_measured, table, train
from bounds import Bayes, Bounds, place_of_states
from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.run_folder import LoadedRun, RunFolder
from cryoscape.errors import InputError
from cryoscape.particles.simulation_drawing import ImagingConfig
from cryoscape.particles.simulation_states import Placement, State, scene_from_arrays
from cryoscape.workflows.simulate import SimulateRequest, simulate_scene
from datasets import load_truth
from evaluation import evaluate

BOX = 16


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """200 particles in three states, a tenth of them junk."""
    x = np.random.default_rng(0).normal(scale=9, size=(120, 3))
    scene = scene_from_arrays(x, np.full(120, 6.0), np.full(120, "m"), np.full(120, "A"))
    states = tuple(
        State(f"s{i}", share, (Placement(np.arange(120 - 30 * i)),), float(i))
        for i, share in enumerate((0.5, 0.4, 0.1))
    )
    imaging = ImagingConfig(BOX, 5.0, junk_fraction=0.1, junk=("noise", "edges"))
    folder = tmp_path_factory.mktemp("set")
    simulate_scene(scene, states, SimulateRequest((), folder, 200, imaging, pixel_size_angstrom=5.0))
    return load_truth(folder)


def knowing_run(truth):
    """Latents are one-hot contrasts with a little noise, junk lies apart; maps are the true ones."""
    labels = np.maximum(truth.labels, 0)
    rng = np.random.default_rng(1)
    z = np.eye(3)[labels][:, 1:].astype(np.float32)
    maps = LinearMaps(truth.maps[0], truth.maps[1:] - truth.maps[:1], 5.0)
    zeros = np.zeros(len(z), np.float32)
    junk = np.where(truth.junk == "noise", 1.0, zeros).astype(np.float32)
    z += 1e-3 * rng.normal(size=z.shape).astype(np.float32)
    latents = LatentTable(z, None, zeros, zeros, junk, labels)
    folder, config = RunFolder(truth.folder), {"engine": "states"}
    return LoadedRun(folder, maps, z, None, config, None, 5.0, True, np.arange(len(z)), latents)


def test_a_run_that_knows_the_truth_has_its_scores(truth):
    best = (BOX // 2 - 1) / BOX
    bounds = Bounds(Bayes(7, 1.0, 1.0, 1.0), best - 0.2, best + 0.2, 0.0)
    scores = evaluate(knowing_run(truth), truth, bounds)
    assert scores["auc"] == pytest.approx(best, abs=1e-3)
    assert scores["phi"] == pytest.approx(0.5, abs=0.01)
    assert scores["ami"] > 0.9
    assert scores["states_found"] == 3
    assert scores["states_ami"] == scores["states_ari"] == pytest.approx(1)
    assert (scores["rare_state"], scores["rare_precision"], scores["rare_recall"]) == ("s2", 1, 1)
    assert min(scores[name] for name in ("z_to_pose", "pose_to_z", "z_to_ctf", "ctf_to_z")) > 0.8
    assert scores["junk_auc_noise"] == 1
    assert scores["junk_auc_edges"] == pytest.approx(0.5)
    assert scores["junk_auc"] == pytest.approx(0.75)


def test_rows_of_a_run_that_left_particles_out_are_those_of_the_input(truth):
    run = knowing_run(truth)
    kept = np.arange(3, 200)
    part = LoadedRun(run.folder, run.source, run.z[kept], None, run.config, None, 5.0, True, kept, None)
    scores = evaluate(part, truth)
    assert scores["auc"] == pytest.approx(7 / 16, abs=1e-3)
    assert "phi" not in scores
    assert "junk_auc" not in scores
    assert scores["particles"] == 197


@pytest.mark.parametrize(("kind", "columns"), [("closed", 2), ("line", 1)])
def test_a_motion_is_scored_along_its_path(truth, kind, columns):
    """The same three maps taken as steps of a path; latents are the places."""
    moving = replace(truth, kind=kind, labels=np.maximum(truth.labels, 0))
    place = place_of_states(moving)
    change = np.linalg.lstsq(place - place.mean(0), truth.maps.reshape(3, -1) - truth.maps.mean(0).ravel())[0]
    maps = LinearMaps(
        (truth.maps.mean(0).ravel() - place.mean(0) @ change).reshape(BOX, BOX, BOX).astype(np.float32),
        change.reshape(columns, BOX, BOX, BOX).astype(np.float32),
        5.0,
    )
    z = place[moving.labels].astype(np.float32)
    run = LoadedRun(RunFolder(truth.folder), maps, z, None, {}, 3, 5.0, True, np.arange(len(z)), None)
    bounds = Bounds(Bayes(7, 1.0, 1.0, 1.0, r2=0.8), 0.3, 0.4, 0.0)
    scores = evaluate(run, moving, bounds)
    assert scores["r2"] > 0.65  # fewer particles of one step than neighbours asked for
    assert scores["r2_of_bayes"] == pytest.approx(scores["r2"] / 0.8)
    assert scores["maps_r2"] == pytest.approx(1, abs=1e-3)
    assert scores["maps_slope"] == pytest.approx(1, abs=1e-3)


def test_columns_without_a_value_are_left_out():
    lines = table({"a": {"auc": 0.39871, "states_found": 14}, "b": {"auc": 0.4}}).splitlines()
    assert [line.split() for line in lines] == [
        ["run", "AUC", "K"],
        ["a", "0.399", "14"],
        ["b", "0.400", "-"],
    ]


def test_cost_is_that_of_the_command_and_a_failure_tells_the_end_of_its_log(tmp_path):
    cost = run_measured(["--version"], tmp_path / "log")
    assert cost.wall_seconds > 0.05
    assert 0.01 < cost.peak_gib < 2
    assert (tmp_path / "log").read_text().strip()
    with pytest.raises(InputError, match=r"ended with 2.*nothing\.star"):
        run_measured(["preprocess", "nothing.star", "-o", str(tmp_path / "s")], tmp_path / "log")


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="looked up in /proc, which is not here")
def test_memory_of_a_command_is_not_that_of_the_process_that_started_it(tmp_path):
    held = np.ones(100_000_000)  # 0.75 GiB
    assert run_measured(["--version"], tmp_path / "log").peak_gib < 0.5 < held.nbytes / 2**30


def test_a_run_that_is_there_is_not_trained_again(tmp_path):
    (tmp_path / "run").mkdir()
    template = "--version"
    first = train("run", template, tmp_path / "set", tmp_path, force=False)
    again = train("run", "no_such_command", tmp_path / "set", tmp_path, force=False)
    assert first == again
    assert first[1].command == "--version"


def test_a_command_needs_a_name():
    assert _named_command("fast=train_vae {store} -o {run}").startswith("fast=")
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=COMMAND"):
        _named_command("train_vae")
