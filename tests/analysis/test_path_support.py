import numpy as np
import pytest
from scipy.stats import chi2

from cryoscape.analysis.path_support import particles_compatible, path_support


def random_covariances(rng, n, zdim):
    factor = rng.normal(size=(n, zdim, zdim))
    return factor @ factor.transpose(0, 2, 1) + 0.1 * np.eye(zdim)


def test_compatible_particles_are_those_within_their_own_region():
    rng = np.random.default_rng(0)
    z, covariance = rng.normal(size=(70, 3)), random_covariances(rng, 70, 3)
    points = rng.normal(size=(4, 3))
    expected = [
        sum(
            (p - m) @ np.linalg.solve(c, p - m) <= chi2.ppf(0.95, 3)
            for m, c in zip(z, covariance, strict=True)
        )
        for p in points
    ]
    np.testing.assert_array_equal(particles_compatible(z, covariance, points), expected)


def test_nineteen_of_twenty_draws_are_compatible_with_what_they_were_drawn_from():
    rng = np.random.default_rng(1)
    covariance = random_covariances(rng, 1, 2)
    z = rng.multivariate_normal([1.0, -2.0], covariance[0], size=60_000)
    counts = particles_compatible(z, np.tile(covariance, (60_000, 1, 1)), np.array([[1.0, -2.0]]))
    assert counts[0] / 60_000 == pytest.approx(0.95, abs=0.004)


def test_a_coordinate_that_is_known_exactly_does_no_harm():
    covariance = np.tile(np.diag([1.0, 0.0]), (5, 1, 1))
    z = np.stack([np.linspace(0, 1, 5), np.zeros(5)], axis=1)
    np.testing.assert_array_equal(particles_compatible(z, covariance, np.array([[0.5, 0], [0.5, 1]])), [5, 0])


def test_without_covariances_particles_within_a_radius_of_the_run_count():
    rng = np.random.default_rng(2)
    z = rng.normal(size=(3000, 2))
    points = np.array([[0.0, 0.0], [2.0, 0.0], [50.0, 0.0]])
    found = path_support(z, points)
    assert found.particles[0] > found.particles[1] > found.particles[2] == 0
    scaled = path_support(1e3 * z, 1e3 * points)
    np.testing.assert_array_equal(scaled.particles, found.particles)
    np.testing.assert_allclose(scaled.nearest_distance, 1e3 * found.nearest_distance)
    distance = np.linalg.norm(z[:, None] - points, axis=2)
    np.testing.assert_array_equal(found.nearest_row, distance.argmin(axis=0))
