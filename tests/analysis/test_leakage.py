"""What latents tell of other quantities: planted shares, independent regression, information imbalance."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sklearn.neighbors import KNeighborsRegressor

from cryoscape.analysis.leakage import (
    _r2,
    angle_columns,
    direction_columns,
    foretold,
    information_imbalance,
    leakage,
    scalar_columns,
    truth_imbalance,
)
from cryoscape.analysis.neighbours import nearest_neighbours

RNG = np.random.default_rng(0)


def test_imbalance_is_that_of_the_definition_written_out():
    a, b = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 2))
    b[:, 0] += a[:, 0]
    per_k = []
    for k in range(1, 6):
        total = 0.0
        for i in range(40):
            by_a = sorted((j for j in range(40) if j != i), key=lambda j, i=i: np.linalg.norm(a[i] - a[j]))
            by_b = sorted((j for j in range(40) if j != i), key=lambda j, i=i: np.linalg.norm(b[i] - b[j]))
            total += np.mean([by_b.index(j) + 1 for j in by_a[:k]])
        per_k.append(2 / 40 * total / 40)
    assert information_imbalance(a, b, k_max=5)[0] == pytest.approx(np.mean(per_k))


def test_imbalance_of_equal_independent_and_nested_spaces():
    a = RNG.normal(size=(500, 2))
    same = information_imbalance(a, 2 * a)
    assert max(same) == pytest.approx(2 / 500 * np.mean([(k + 1) / 2 for k in range(1, 31)]))
    assert information_imbalance(a, RNG.normal(size=(500, 2))) == (
        pytest.approx(1, abs=0.03),
        pytest.approx(1, abs=0.03),
    )
    whole_to_part, part_to_whole = information_imbalance(a, a[:, :1])
    assert whole_to_part < 0.5 * part_to_whole


def test_latents_that_hold_the_pose_or_the_defocus_are_told():
    rotations = Rotation.random(600, rng=np.random.default_rng(1)).as_matrix()
    defocus = RNG.uniform(8000, 25000, 600)
    ctf = np.stack([defocus, defocus - 100, np.full(600, 300.0)], axis=1)
    clean = leakage(RNG.normal(size=(600, 3)), rotations, ctf)
    assert min(clean.z_to_pose, clean.pose_to_z, clean.z_to_ctf, clean.ctf_to_z) > 0.93
    posed = leakage(rotations.reshape(600, 9), rotations, ctf)
    assert posed.z_to_pose < 0.1
    assert posed.z_to_ctf > 0.93
    focused = leakage(defocus[:, None] / 1e4, rotations, ctf)
    assert focused.z_to_ctf < 0.1
    assert focused.z_to_pose > 0.93


def test_without_a_ctf_that_varies_there_is_nothing_to_leak_and_duplicates_are_left_out():
    rotations = Rotation.random(100, rng=np.random.default_rng(2)).as_matrix()
    z = np.repeat(RNG.normal(size=(50, 2)), 2, axis=0)
    found = leakage(z, rotations, np.ones((100, 2)))
    assert np.isnan(found.z_to_ctf)
    assert found.z_to_pose > 0.5


def test_truth_in_steps_is_parted_and_foretold_by_latents_on_the_circle():
    step = 2 * np.pi * RNG.integers(60, size=800) / 60
    circle = np.stack([np.cos(step), np.sin(step)], axis=1)
    z_to_truth, truth_to_z = truth_imbalance(circle + 0.02 * RNG.normal(size=(800, 2)), circle)
    assert z_to_truth < 0.15
    assert truth_to_z < 0.15


def test_regression_on_neighbours_leaves_each_particle_out():
    z, values = RNG.normal(size=(80, 2)), RNG.normal(size=(80, 3))
    values -= values.mean(axis=0)
    residual = []
    for i in range(80):
        others = np.arange(80) != i
        model = KNeighborsRegressor(7).fit(z[others], values[others])
        residual.append(values[i] - model.predict(z[i : i + 1])[0])
    expected = 1 - np.sum(np.square(residual)) / np.sum(values**2)
    index = nearest_neighbours(z, 8).index[:, 1:]
    assert _r2(values, index) == pytest.approx(expected)


def test_share_is_that_planted_and_chance_is_taken_off():
    z = RNG.normal(size=(4000, 2)) * [2.0, 1.0]
    signal, noise = z[:, 1], RNG.normal(size=4000)
    quantities = {
        "half": scalar_columns(signal + noise),
        "all": scalar_columns(3 * signal + 2),
        "none": scalar_columns(noise),
        "same for all": scalar_columns(np.ones(4000)),
    }
    half, whole, none = foretold(z, quantities)
    assert [half.name, whole.name, none.name] == ["half", "all", "none"]
    assert half.share == pytest.approx(0.5, abs=0.04)
    assert whole.share > 0.97
    assert abs(none.share) < 0.02
    assert half.chance < 0.02
    assert half.component_share == pytest.approx(0.5, abs=0.05)
    assert none.component_share < 0.01


def test_component_that_carries_the_defocus_is_named():
    z = RNG.normal(size=(1000, 3)) * [3.0, 2.0, 1.0]
    (found,) = foretold(z, {"defocus": scalar_columns(z[:, 1])})
    assert found.component == 2
    assert found.component_share > 0.99


def test_a_view_is_not_told_from_its_opposite_but_seen():
    direction = RNG.normal(size=(3000, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    even = (direction[:, 2:] ** 2) + 0.01 * RNG.normal(size=(3000, 1))
    (found,) = foretold(even, {"view": direction_columns(direction)})
    # of eight columns of equal variance one follows from z squared
    assert found.share == pytest.approx(1 / 8, abs=0.03)
    assert found.component_share > 0.98


def test_columns_of_directions_are_orthonormal_over_the_sphere():
    direction = RNG.normal(size=(200_000, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    columns = direction_columns(direction)
    np.testing.assert_allclose(columns.T @ columns / len(columns), np.eye(8), atol=0.02)


def test_an_angle_does_not_jump_at_the_full_turn():
    np.testing.assert_allclose(
        angle_columns(np.array([-180.0])), angle_columns(np.array([180.0])), atol=1e-12
    )


def test_few_or_equal_particles_give_numbers():
    (found,) = foretold(np.zeros((4, 1)), {"x": scalar_columns(np.arange(4.0))})
    assert np.isfinite([found.share, found.chance, found.component_share]).all()


@pytest.mark.parametrize("value", [0.1, 15000.1, -2.7])
def test_what_is_the_same_for_all_is_left_out_though_its_mean_is_rounded(value):
    """The mean of twelve times 0.1 is not 0.1: neighbours would foretell the rest of it perfectly."""
    same = np.full((12, 1), value)
    assert foretold(RNG.normal(size=(12, 2)), {"same": same}) == ()
    mixed = np.concatenate([same, RNG.normal(size=(12, 1))], axis=1)
    (found,) = foretold(RNG.normal(size=(12, 2)), {"one of two varies": mixed})
    assert np.isfinite([found.share, found.chance, found.component_share]).all()
