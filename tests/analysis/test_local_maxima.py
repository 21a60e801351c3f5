"""The UMAP local maxima method on clouds whose places and sizes are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.analysis.local_maxima import (
    LocalMaximaOptions,
    check_local_maxima_options,
    letter_label,
    local_maxima,
)
from cryoscape.errors import InputError

CENTERS = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [20.0, 20.0]])
SIZES = (400, 1600, 800, 200)


def clouds(sizes=SIZES, centers=CENTERS, width=0.8, seed=0):
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(len(sizes)), sizes)
    return centers[of] + width * rng.normal(size=(len(of), 2)), of


def test_each_cloud_is_found_and_lettered_by_its_size():
    layout, of = clouds()
    found = local_maxima(layout)
    assert found.labels == ("A", "B", "C", "D")
    for members, expected in zip(found.members, (1, 2, 0, 3), strict=True):
        assert set(of[members]) == {expected}
        np.testing.assert_allclose(layout[members].mean(axis=0), CENTERS[expected], atol=0.5)
    sizes = [len(m) for m in found.members]
    assert sizes == sorted(sizes, reverse=True)


def test_members_are_those_of_nine_bins():
    layout, _ = clouds()
    found = local_maxima(layout)
    width = np.array([np.diff(found.x_edges)[0], np.diff(found.y_edges)[0]])
    for bin_, members in zip(found.bins, found.members, strict=True):
        inside = (np.abs(layout - found.centers(bin_[None])) <= 1.5 * width).all(axis=1)
        np.testing.assert_array_equal(np.flatnonzero(inside), members)
        around = tuple(slice(max(i - 1, 0), i + 2) for i in bin_)
        assert found.counts[around].sum() == len(members)


def test_of_two_close_maxima_the_lower_is_removed():
    """With 30 bins over 30 units: clouds 4 units apart are 4 bins apart, 8 units are 8 bins."""
    centers = np.array([[0.0, 0.0], [4.0, 0.0], [12.0, 0.0], [30.0, 30.0]])
    layout, of = clouds((600, 300, 400, 500), centers, width=0.4)
    layout = np.clip(layout, 0, 30)
    found = local_maxima(layout, LocalMaximaOptions(radius_bins=5.0))
    assert [set(of[m]) for m in found.members] == [{0}, {3}, {2}]
    assert len(found.found) == 4
    wider = local_maxima(layout, LocalMaximaOptions(radius_bins=3.0))
    assert len(wider) == 4
    enough = local_maxima(layout, LocalMaximaOptions(radius_bins=5.0, pruned_maxima=4))
    assert len(enough) == 4


def test_the_highest_are_kept():
    layout, of = clouds()
    found = local_maxima(layout, LocalMaximaOptions(final_maxima=2))
    assert [int(of[m[0]]) for m in found.members] == [1, 2]


def test_letters():
    assert [letter_label(i) for i in (0, 9, 25, 26, 27, 52)] == ["A", "J", "Z", "AA", "AB", "BA"]


def test_all_particles_in_one_place():
    found = local_maxima(np.zeros((7, 2)))
    assert found.labels == ("A",)
    assert len(found.members[0]) == 7


@settings(max_examples=30)
@given(st.integers(1, 400), st.integers(0, 1000), st.integers(3, 40), st.floats(0, 8))
def test_no_particle_twice_and_no_two_maxima_within_the_radius(n, seed, n_bins, radius):
    layout = np.random.default_rng(seed).normal(size=(n, 2))
    found = local_maxima(layout, LocalMaximaOptions(n_bins=n_bins, radius_bins=radius))
    rows = np.concatenate(found.members)
    assert len(rows) == len(set(rows.tolist()))
    assert 1 <= len(found) <= 10
    for i in range(len(found)):
        for j in range(i):
            assert np.hypot(*(found.bins[i] - found.bins[j])) > radius


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (LocalMaximaOptions(n_bins=1), "--n-bins"),
        (LocalMaximaOptions(final_maxima=0), "--final-maxima"),
        (LocalMaximaOptions(radius_bins=-1.0), "--radius"),
        (LocalMaximaOptions(smooth_width_bins=float("nan")), "--smooth-width"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_without_a_meaning(options, word):
    with pytest.raises(InputError, match=word):
        check_local_maxima_options(options)
