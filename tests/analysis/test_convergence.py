"""Latents from epoch to epoch, against arithmetic on paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoscape.analysis.convergence import (
    default_interval,
    distance_agreement,
    epochs_to_compare,
    on_data_median,
    shift_medians,
    shift_triples,
    spread,
    turned_onto,
)


def test_medians_of_shifts_on_paper():
    first = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
    second = np.array([[0.0, 2.0], [0.0, 3.0], [-3.0, -4.0]])  # at right angles, along, back
    found = shift_medians(first, second)
    assert found.dot == 0.0  # of 0, 6, -25
    assert found.magnitude == 3.0  # of 2, 3, 5
    assert found.cosine_distance == pytest.approx(1.0)  # of 1, 0, 2


def test_no_shift_is_no_direction():
    still = np.zeros((4, 3))
    assert shift_medians(still, still).cosine_distance == 1.0


def test_random_walk_drift_and_jitter_about_a_point():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 20_000, 8))
    assert shift_medians(a, b).cosine_distance == pytest.approx(1.0, abs=0.02)
    assert shift_medians(a + 10, b + 10).cosine_distance < 0.1
    # jitter about a point: successive differences share a term, their correlation is -1/2
    assert shift_medians(b - a, c - b).cosine_distance == pytest.approx(1.5, abs=0.05)


def test_spread_of_points_on_a_circle():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    assert spread(3 * np.column_stack([np.cos(angle), np.sin(angle)])) == pytest.approx(3.0, rel=1e-6)


def test_relative_positions_do_not_see_rotation_or_scale():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(300, 3))
    turned = 2.5 * a @ Rotation.random(random_state=1).as_matrix() * [1, 1, -1] + 7
    assert distance_agreement(a, turned) == pytest.approx(1.0)
    assert abs(distance_agreement(a, rng.normal(size=(300, 3)))) < 0.05
    half = distance_agreement(a, a + 0.5 * rng.normal(size=a.shape))
    assert 0.3 < half < 0.97
    assert np.isnan(distance_agreement(a, np.zeros_like(a)))


def test_the_median_is_a_particle():
    z = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [9.0, 9.0], [1.2, 1.2]])
    assert on_data_median(z, np.array([0, 1, 2])) == 1
    assert on_data_median(z, np.array([0, 2])) == 1
    assert on_data_median(z, np.array([3])) == 3


def test_planes_are_turned_onto_each_other():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(50, 2)).astype(np.float32)
    angle = 1.1
    turn = np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])  # with mirroring
    other = (reference @ turn + [5, -3]).astype(np.float32)
    np.testing.assert_allclose(turned_onto(other, reference), reference, atol=1e-5)


def test_epochs_of_the_paper():
    assert epochs_to_compare(range(50), 0, 49, 5).used == (4, 9, 14, 19, 24, 29, 34, 39, 44, 49)
    assert epochs_to_compare(range(1, 51), 1, 50, 5).used == (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)
    assert [default_interval(0, last) for last in (0, 4, 9, 24, 49)] == [1, 1, 2, 5, 5]


def test_epochs_not_saved_are_replaced_or_missed():
    found = epochs_to_compare([*range(0, 46, 5), 49], 0, 49, 5)
    assert found.used == (5, 10, 15, 20, 25, 30, 35, 40, 45, 49)
    assert (44, 45) in found.replaced
    gap = epochs_to_compare([e for e in range(30) if not 8 <= e <= 16], 0, 29, 5)
    assert gap.used == (4, 7, 17, 19, 24, 29) or gap.used == (4, 7, 19, 24, 29)
    assert 14 in gap.missing or (14, 17) in gap.replaced


@given(st.sets(st.integers(0, 60), min_size=1, max_size=40), st.integers(1, 9))
def test_compared_epochs_are_saved_ones_ascending(saved, interval):
    last = max(saved)
    found = epochs_to_compare(sorted(saved), 0, last, interval)
    assert set(found.used) <= saved
    assert found.used[-1] == last
    assert list(found.used) == sorted(set(found.used))


def test_shifts_are_taken_over_equal_steps_only():
    assert shift_triples(range(5), 4) == ((0, 1, 2), (1, 2, 3), (2, 3, 4))
    assert shift_triples([0, 1, 2, 4, 5, 6, 9], 9) == ((0, 1, 2), (4, 5, 6))
    assert shift_triples([0, 5, 10, 15, 19], 19) == ((0, 5, 10), (5, 10, 15))
    assert shift_triples([3, 4], 4) == ()
