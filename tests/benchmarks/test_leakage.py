"""Information imbalance against its definition written out, and its limits."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from leakage import information_imbalance, leakage, truth_imbalance

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
