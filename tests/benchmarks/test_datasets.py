"""Recipes, the swing's geometry on made-up blocks, and sets made once."""

import json

import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.particles.simulation_motion import read_motion
from cryoscape.particles.simulation_states import scene_from_arrays
from datasets import RECIPES, folder_of, load_truth, make_set, recipe_for, swing_motion

BLOCKS = {"core": {"m": "A"}, "base": {"m": "B"}, "L1stalk": {"m": "L"}, "CP": {"m": "P"}}
OFFSETS = {"A": (0, 0, 0), "B": (0, -30, 0), "L": (45, 0, 0), "P": (0, 45, 0)}


def atoms(n=300):
    """Four balls of 20 A: stalk to the right of the core, protuberance above it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, n, 3))
    x *= 20 * rng.random((4, n, 1)) ** (1 / 3) / np.linalg.norm(x, axis=-1, keepdims=True)
    x += np.array(list(OFFSETS.values()))[:, None] + 7.0
    return x.reshape(-1, 3), np.repeat(list(OFFSETS), n)


@pytest.fixture
def models(tmp_path):
    """A folder as the benchmarks expect it."""
    folder = tmp_path / "models"
    folder.mkdir()
    lines = [
        f"ATOM  {i:5d}  CA  ALA {chain}{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C"
        for i, ((x, y, z), chain) in enumerate(zip(*atoms(), strict=True), 1)
    ]
    (folder / "m.pdb").write_text("\n".join([*lines, "END", ""]))
    states = {"fractions": {"all": 0.8, "few": 0.2}, "states": {"all": {"m": "ABLP"}, "few": {"m": "AB"}}}
    (folder / "assembly_states.json").write_text(json.dumps({**states, "blocks": BLOCKS}))
    return folder


def test_bodies_turn_about_their_hinges_a_quarter_turn_apart(tmp_path):
    x, chain = atoms()
    scene = scene_from_arrays(x, np.full(len(x), 6.0), np.full(len(x), "m"), chain)
    motion = swing_motion(scene, {"blocks": BLOCKS}, 20.0, "closed")
    stalk = motion["bodies"]["L1stalk"]
    pivot, axis = np.array(stalk["pivot"]), np.array(stalk["axis"])
    own = x[chain == "L"]
    distance = np.linalg.norm(own[:, None] - x[np.isin(chain, ["A", "B"])][None], axis=-1).min(axis=1)
    np.testing.assert_allclose(pivot, own[np.argsort(distance)[:200]].mean(axis=0), atol=1e-9)
    core = x[np.isin(chain, ["A", "B"])].mean(axis=0)
    assert np.linalg.norm(axis) == pytest.approx(1)
    assert axis @ (own.mean(axis=0) - pivot) == pytest.approx(0, abs=1e-9)
    assert axis @ (core - pivot) == pytest.approx(0, abs=1e-9)

    path = tmp_path / "motion.json"
    path.write_text(json.dumps(motion))
    states = read_motion(path, scene)
    assert len(states) == 60
    angle = np.array([[turned(p.rotation) for p in state.placements[1:]] for state in states])
    phase = 2 * np.pi * np.arange(60) / 60
    np.testing.assert_allclose(angle[:, 0], 20 * np.abs(np.cos(phase)), atol=1e-6)
    np.testing.assert_allclose(angle[:, 1], 20 * np.abs(np.sin(phase)), atol=1e-6)


def turned(rotation):
    """Angle of a rotation in degrees."""
    skew = rotation - rotation.T
    return np.degrees(np.arcsin(np.linalg.norm([skew[2, 1], skew[0, 2], skew[1, 0]]) / 2))


def test_a_set_is_made_once_and_its_truth_read_back(models, tmp_path, capsys):
    recipe = recipe_for("swing20line", 60, 16)
    folder = make_set("swing20line", recipe, tmp_path / "sets", models)
    assert folder.name == "swing20line-60x16"
    truth = load_truth(folder)
    assert truth.kind == "line"
    assert truth.maps.shape == (60, 16, 16, 16)
    np.testing.assert_allclose(truth.latent, truth.labels / 59)
    written = (folder / "particles.mrcs").stat().st_mtime_ns
    assert make_set("swing20line", recipe, tmp_path / "sets", None) == folder
    assert (folder / "particles.mrcs").stat().st_mtime_ns == written
    assert capsys.readouterr().out.count("simulated") == 1


def test_junk_is_told_by_kind(models, tmp_path):
    truth = load_truth(make_set("junk", recipe_for("junk", 60, 16), tmp_path / "sets", models))
    assert truth.kind == "states"
    assert (truth.labels < 0).sum() == 12
    assert sorted(np.unique(truth.junk, return_counts=True)[1]) == [4, 4, 4, 48]
    assert truth.fractions.tolist() == pytest.approx([38 / 48, 10 / 48])
    assert truth.names == ("all", "few")


def test_usual_sizes_lie_under_the_name_and_unknown_sets_are_refused(tmp_path):
    assert folder_of("assembly128", RECIPES["assembly128"], tmp_path) == tmp_path / "assembly128"
    with pytest.raises(InputError, match="assembly, assembly128"):
        recipe_for("ribosome")
    with pytest.raises(InputError, match="--models"):
        make_set("assembly", recipe_for("assembly"), tmp_path, None)
    with pytest.raises(InputError, match="does not hold"):
        make_set("assembly", recipe_for("assembly"), tmp_path, tmp_path)
    with pytest.raises(InputError, match="no truth"):
        load_truth(tmp_path)


def test_a_folder_with_another_simulation_is_not_taken_for_the_set(models, tmp_path):
    folder = make_set("assembly", recipe_for("assembly", 20, 16), tmp_path, models)
    folder.rename(tmp_path / "assembly-30x16")
    with pytest.raises(InputError, match="expected \\(30, 16"):
        make_set("assembly", recipe_for("assembly", 30, 16), tmp_path, models)
