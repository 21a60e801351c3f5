"""Densities over a plane against a known distribution."""

import numpy as np

from cryoscape.analysis.landscape_density import plane_density


def test_all_particles_are_counted_but_the_outermost():
    points = np.random.default_rng(0).normal(size=(20_000, 2))
    found = plane_density(points)
    assert 0.97 * 20_000 < found.particles.sum() <= 20_000
    assert found.particles.shape == (len(found.y_edges) - 1, len(found.x_edges) - 1)


def test_surprise_of_a_gaussian_is_its_exponent():
    points = np.random.default_rng(0).normal(size=(400_000, 2)) * [1.0, 3.0]
    found = plane_density(points)
    x = (found.x_edges[1:] + found.x_edges[:-1]) / 2
    y = (found.y_edges[1:] + found.y_edges[:-1]) / 2
    # smoothing adds its variance to that of the particles
    step_x, step_y = x[1] - x[0], y[1] - y[0]
    known = x[None] ** 2 / (1 + step_x**2) / 2 + y[:, None] ** 2 / (9 + step_y**2) / 2
    middle = known < 3
    error = (found.surprise - known)[middle]
    assert np.abs(error - np.median(error)).max() < 0.25
    assert np.nanmin(found.surprise) == 0.0


def test_empty_bins_are_not_a_barrier():
    points = np.concatenate([np.zeros((500, 2)), np.full((500, 2), 100.0)])
    points += np.random.default_rng(0).normal(size=points.shape)
    found = plane_density(points)
    middle = found.particles.shape[0] // 2
    assert np.isnan(found.surprise[middle, middle])


def test_equal_points():
    found = plane_density(np.ones((50, 2)))
    assert np.isfinite(found.particles).all()
    assert found.x_edges[0] < 1 < found.x_edges[-1]
