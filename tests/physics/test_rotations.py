"""Rotations against scipy, also where Euler angles and rotation vectors are singular."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoscape.physics.rotations import (
    matrix_from_axis_angle,
    matrix_from_quaternion,
    matrix_from_relion_euler,
    orthonormality_error,
    random_rotations,
    relion_euler_from_matrix,
)

degrees = st.floats(-360, 360)


def double(values: object) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64)


@settings(deadline=None)
@given(rot=degrees, tilt=st.one_of(degrees, st.sampled_from([0.0, 180.0, -180.0, 1e-7])), psi=degrees)
def test_relion_euler_is_the_transposed_zyz_of_scipy(rot: float, tilt: float, psi: float) -> None:
    expected = Rotation.from_euler("ZYZ", [rot, tilt, psi], degrees=True).as_matrix().T
    np.testing.assert_allclose(matrix_from_relion_euler(double([rot, tilt, psi])), expected, atol=1e-14)


@settings(deadline=None)
@example(rot=0.0, tilt=-1e-5, psi=0.0)
@given(rot=degrees, tilt=st.one_of(degrees, st.floats(0, 0.01), st.floats(179.99, 180)), psi=degrees)
def test_angles_of_a_matrix_give_the_matrix(rot: float, tilt: float, psi: float) -> None:
    rotation = matrix_from_relion_euler(double([rot, tilt, psi]))
    found = relion_euler_from_matrix(rotation)
    assert 0 <= found[1] <= 180
    np.testing.assert_allclose(matrix_from_relion_euler(found), rotation, atol=1e-13)
    single = relion_euler_from_matrix(rotation.float())
    np.testing.assert_allclose(matrix_from_relion_euler(single.double()), rotation, atol=3e-6)


def test_angles_of_regular_matrices_are_those_given() -> None:
    angles = double([[10, 20, 30], [-170, 90, 179], [0, 135, -60]])
    torch.testing.assert_close(relion_euler_from_matrix(matrix_from_relion_euler(angles)), angles)


@pytest.mark.parametrize(("tilt", "psi"), [(0.0, 30 + 50), (180.0, 50 - 30)])
def test_at_the_poles_psi_takes_the_whole_turn(tilt: float, psi: float) -> None:
    found = relion_euler_from_matrix(matrix_from_relion_euler(double([30, tilt, 50])))
    torch.testing.assert_close(found, double([0, tilt, psi]))


@settings(deadline=None)
@given(
    axis=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 1e-2),
    angle=st.one_of(st.floats(0, 2 * math.pi), st.sampled_from([0.0, 1e-9, 1e-5, 1e-4, 1e-3, math.pi])),
)
def test_axis_angle_against_scipy(axis: tuple[float, float, float], angle: float) -> None:
    vector = np.asarray(axis) / np.linalg.norm(axis) * angle
    expected = Rotation.from_rotvec(vector).as_matrix()
    np.testing.assert_allclose(matrix_from_axis_angle(double(vector)), expected, atol=1e-13)
    single = matrix_from_axis_angle(double(vector).float())
    np.testing.assert_allclose(single, expected, atol=1e-6)


def test_axis_angle_has_its_generators_as_gradient_at_zero() -> None:
    jacobian = torch.autograd.functional.jacobian(matrix_from_axis_angle, double([0, 0, 0]))
    about_z = double([[0, -1, 0], [1, 0, 0], [0, 0, 0]])
    torch.testing.assert_close(jacobian[..., 2], about_z)


def test_quaternions_against_scipy() -> None:
    quaternions = np.random.default_rng(0).normal(size=(5, 7, 4))
    expected = Rotation.from_quat(quaternions.reshape(-1, 4)[:, [1, 2, 3, 0]]).as_matrix()
    found = matrix_from_quaternion(double(quaternions))
    np.testing.assert_allclose(found.reshape(-1, 3, 3), expected, atol=1e-14)


def test_random_rotations_are_uniform() -> None:
    """Moments of the Haar measure: E R = 0, E R_ij R_kl = 1/3 or 0, E trace^2 = 1, E trace^4 = 3."""
    n = 20_000
    rotation = random_rotations(n, torch.Generator().manual_seed(1), torch.float64)
    assert float(orthonormality_error(rotation).max()) < 1e-12
    flat = rotation.reshape(n, 9)
    assert flat.mean(0).abs().max() < 5 / math.sqrt(3 * n)
    assert (flat.T @ flat / n - torch.eye(9) / 3).abs().max() < 5 * 0.3 / math.sqrt(n)
    trace = rotation.diagonal(dim1=1, dim2=2).sum(1)
    assert float((trace**2).mean()) == pytest.approx(1, abs=0.06)
    assert float((trace**4).mean()) == pytest.approx(3, abs=0.4)


def test_random_rotations_follow_their_generator() -> None:
    a, b = (random_rotations(3, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(a, b)
    assert a.dtype == torch.float32


def test_orthonormality_error() -> None:
    mirror = torch.diag(double([1, 1, -1]))
    stretched = torch.diag(double([1, 1.1, 1]))
    error = orthonormality_error(torch.stack([torch.eye(3, dtype=torch.float64), mirror, stretched]))
    torch.testing.assert_close(error, double([0, 2, 0.21]))
