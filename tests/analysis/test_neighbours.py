import numpy as np
import pytest

from cryoscape.analysis.neighbours import nearest_neighbours, support, typical_radius


def test_agrees_with_all_pairs():
    z = np.random.default_rng(0).normal(size=(60, 3))
    distances = np.linalg.norm(z[:, None] - z[None], axis=2)
    found = nearest_neighbours(z, 7)
    np.testing.assert_array_equal(found.index, np.argsort(distances, axis=1)[:, :7])
    np.testing.assert_allclose(found.distance, np.sort(distances, axis=1)[:, :7], atol=1e-12)


def test_a_duplicate_is_its_own_first_neighbour():
    z = np.zeros((8, 2))
    z[5:] = 1.0
    found = nearest_neighbours(z, 3)
    np.testing.assert_array_equal(found.index[:, 0], np.arange(8))
    for row in found.index:
        assert len(set(row.tolist())) == 3


def test_clamped_to_the_number_of_particles():
    assert nearest_neighbours(np.eye(4), 15).index.shape == (4, 4)


def test_support_counts_particles_in_the_ball():
    z = np.array([[0.0], [1.0], [2.0], [10.0]])
    np.testing.assert_array_equal(support(z, np.array([[0.5], [20.0]]), 0.6), [2, 0])


def test_typical_radius_of_an_even_line():
    z = np.arange(1000.0)[:, None]
    # 1 % of 1000 particles, the particle itself included: 9 others, 4 or 5 to each side
    assert typical_radius(z, 0.01) == pytest.approx(5.0)
