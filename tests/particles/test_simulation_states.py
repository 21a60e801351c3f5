"""Scenes, states and motions: what is present, where it is, and what is refused."""

import json

import numpy as np
import pytest
import torch

from cryoscape.errors import InputError
from cryoscape.particles.simulation_motion import read_motion
from cryoscape.particles.simulation_states import (
    DensityMaker,
    read_scene,
    read_states,
    scene_from_arrays,
    whole,
    wrong_states,
)

PDB = """\
ATOM      1  C   ALA A   1      10.000   0.000   0.000  1.00  0.00           C
ATOM      2  N   ALA A   2      20.000   0.000   0.000  1.00  0.00           N
ATOM      3  O   ALA B   1       0.000  12.000   0.000  1.00  0.00           O
HETATM    4  O   HOH B   9      90.000  90.000  90.000  1.00  0.00           O
END
"""


@pytest.fixture
def models(tmp_path):
    """Two files: `one` with chains A (C, N) and B (O, and a water), `two` with chain A (P)."""
    (tmp_path / "one.pdb").write_text(PDB)
    (tmp_path / "two.pdb").write_text(
        "ATOM      1  P   G   A   1       2.000   4.000   8.000  1.00  0.00           P\nEND\n"
    )
    return tmp_path / "one.pdb", tmp_path / "two.pdb"


@pytest.fixture
def scene():
    """A rod of 60 atoms along x (chain R) and an arm of 40 along z, standing on its end (chain A)."""
    rod = np.stack([np.linspace(-30, 30, 60), np.zeros(60), np.zeros(60)], axis=1)
    arm = np.stack([np.full(40, 30.0), np.zeros(40), np.linspace(2, 40, 40)], axis=1)
    chain = np.array(["R"] * 60 + ["A"] * 40)
    return scene_from_arrays(np.concatenate([rod, arm]) + 5.0, np.ones(100), np.full(100, "m"), chain)


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_models_share_one_frame_centred_on_the_mean_of_all_atoms_without_waters(models):
    scene = read_scene(models)
    assert scene.electrons.tolist() == [6, 7, 8, 15]
    np.testing.assert_allclose(scene.centre_angstrom, [8, 4, 2])
    np.testing.assert_allclose(scene.coordinates_angstrom[3], [2 - 8, 4 - 4, 8 - 2])
    assert scene.file.tolist() == ["one", "one", "one", "two"]


def test_states_are_chain_sets_with_fractions_scaled_to_one(models, tmp_path):
    content = {
        "about": "ignored",
        "fractions": {"small": 1, "large": 3},
        "states": {"small": {"one": "A"}, "large": {"one": ["A", "B"], "two": "*"}},
    }
    scene = read_scene(models)
    small, large = read_states(write(tmp_path / "s.json", content), scene)
    assert (small.fraction, large.fraction) == (0.25, 0.75)
    assert small.placements[0].atoms.tolist() == [0, 1]
    assert large.placements[0].atoms.tolist() == [0, 1, 2, 3]
    assert large.coordinates(scene)[1].sum() == 36


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"states": {"s": {"three": "A"}}}, ["three", "one, two"]),
        ({"states": {"s": {"one": "AX"}}}, ["'X'", "A B"]),
        ({"states": {"s": {"one": "A"}}, "fractions": {"t": 1}}, ["differing", "'s'", "'t'"]),
        ({"states": {"s": {"one": "A"}}, "fractions": {"s": -1}}, ["0 or more"]),
        ({"states": {"s": {"one": "A"}}, "fractions": {"s": 0}}, ["sum to 0"]),
        ({"states": {"s": "A"}}, ["found str"]),
        ({"fractions": {}}, ['"states"']),
        ([1], ["object"]),
    ],
)
def test_a_wrong_states_file_is_refused_in_one_line(models, tmp_path, content, words):
    path = write(tmp_path / "s.json", content)
    with pytest.raises(InputError) as caught:
        read_states(path, read_scene(models))
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in [*words, "s.json"])


def test_two_files_of_one_name_are_refused(models, tmp_path):
    (tmp_path / "b").mkdir()
    twin = tmp_path / "b" / "one.pdb"
    twin.write_text(PDB)
    with pytest.raises(InputError, match="'one'"):
        read_scene([models[0], twin])


def test_a_line_turns_a_body_about_pivot_and_axis_from_minus_to_plus(scene, tmp_path):
    body = {"chains": {"m": "A"}, "rotation_degrees": 90, "axis": [0, 0, 2], "pivot": [5, 5, 5]}
    states = read_motion(
        write(tmp_path / "m.json", {"path": "line", "steps": 3, "bodies": {"arm": body}}), scene
    )
    assert [s.latent for s in states] == [0, 0.5, 1]
    assert sum(s.fraction for s in states) == pytest.approx(1)
    absolute = [s.coordinates(scene)[0] + scene.centre_angstrom for s in states]
    # the foot of the arm stands at (35, 5, 7): 30 from the pivot along x
    for positions, where in zip(absolute, ([5, -25, 7], [35, 5, 7], [5, 35, 7]), strict=True):
        np.testing.assert_allclose(positions[60], where, atol=1e-9)
    np.testing.assert_allclose(absolute[0][:60], absolute[2][:60])


def test_a_closed_path_follows_the_cosine_with_phase_and_slides(scene, tmp_path):
    body = {"chains": {"m": "A"}, "translation_angstrom": [0, 0, 8], "phase": 0.25}
    states = read_motion(write(tmp_path / "m.json", {"steps": 8, "bodies": {"arm": body}}), scene)
    height = np.array([s.coordinates(scene)[0][60, 2] + scene.centre_angstrom[2] for s in states])
    np.testing.assert_allclose(height, 7 + 8 * np.cos(2 * np.pi * (np.arange(8) / 8 + 0.25)), atol=1e-9)


def test_without_pivot_and_axis_a_body_swings_on_its_contact_like_a_gate(scene, tmp_path):
    body = {"chains": {"m": "A"}, "rotation_degrees": 30}
    states = read_motion(
        write(tmp_path / "m.json", {"path": "line", "steps": 3, "bodies": {"arm": body}}), scene
    )
    low, rest, high = (s.coordinates(scene)[0][60:] for s in states)
    # the arm stands on the rod in the x, z plane and stays in it
    assert np.ptp(low[:, 1]) == pytest.approx(0, abs=1e-9)
    assert np.linalg.norm(low[0] - rest[0]) < 0.4 * np.linalg.norm(low[-1] - rest[-1])
    axes = [v[-1] - v[0] for v in (low, rest, high)]
    cosine = axes[0] @ axes[1] / np.linalg.norm(axes[0]) / np.linalg.norm(axes[1])
    assert np.degrees(np.arccos(cosine)) == pytest.approx(30)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "spiral"}, ["spiral"]),
        ({"steps": 1}, ["steps"]),
        ({"bodies": {}}, ["bodies"]),
        ({"bodies": {"a": {"chains": {"m": "A"}}}}, ["nothing moves"]),
        ({"bodies": {"a": {"chains": {"m": "A"}, "turn": 3}}}, ["'turn'"]),
        ({"bodies": {"a": {"chains": {"m": "A"}, "rotation_degrees": 3, "axis": [1, 2]}}}, ["axis"]),
        ({"bodies": {"a": {"chains": {"m": "*"}, "rotation_degrees": 3}}}, ["at rest"]),
        (
            {"bodies": {n: {"chains": {"m": "A"}, "rotation_degrees": 3} for n in "ab"}},
            ["40 atoms", "more than one"],
        ),
    ],
)
def test_a_wrong_motion_file_is_refused_in_one_line(scene, tmp_path, change, words):
    content = {"bodies": {"arm": {"chains": {"m": "A"}, "rotation_degrees": 9}}} | change
    with pytest.raises(InputError) as caught:
        read_motion(write(tmp_path / "m.json", content), scene)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in [*words, "m.json"])


def test_density_of_a_motion_is_that_of_all_atoms_at_once(scene, tmp_path):
    body = {"chains": {"m": "A"}, "rotation_degrees": 40}
    states = read_motion(write(tmp_path / "m.json", {"steps": 4, "bodies": {"arm": body}}), scene)
    make = DensityMaker(scene, 4.0, 24, 5.0)
    for state in states[:2]:
        coordinates, electrons = state.coordinates(scene)
        together = scene_from_arrays(coordinates, electrons, scene.file, scene.chain)
        shifted = DensityMaker(together, 4.0, 24, 5.0)(whole(together)[0])
        total = float(make(state).sum()) * 5.0**3
        assert total == pytest.approx(100, rel=1e-3)
        moment = (make(state) * (torch.arange(24) - 12)).sum() * 5.0**4 / 100
        assert float(moment) == pytest.approx(coordinates[:, 0].mean(), abs=0.05)
        assert float(shifted.sum()) * 5.0**3 == pytest.approx(100, rel=1e-3)


def test_wrong_structures_have_the_same_mass_and_about_the_same_size_but_differ(scene):
    states = wrong_states(scene, 2, np.random.default_rng(0))
    spread = [np.sqrt((s.coordinates(scene)[0] ** 2).sum(1).mean()) for s in (*whole(scene), *states)]
    assert all(s.coordinates(scene)[1].sum() == scene.electrons.sum() for s in states)
    assert 0.4 * spread[0] < min(spread[1:])
    assert max(spread[1:]) < 1.6 * spread[0]
    make = DensityMaker(scene, 5.0, 32, 4.0)
    maps = [make(s).flatten() for s in (*whole(scene), *states)]
    correlations = np.corrcoef(torch.stack(maps).numpy())[np.triu_indices(3, 1)]
    assert correlations.max() < 0.8
