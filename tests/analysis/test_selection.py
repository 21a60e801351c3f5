"""Magnitudes, outlines and clusters against definitions written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from scipy.stats import zscore

from cryoscape.analysis.selection import beyond_z_score, in_clusters, in_polygon, magnitude_z_score
from cryoscape.errors import InputError


def test_the_z_score_is_that_of_the_glossary() -> None:
    z = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    score = magnitude_z_score(z)
    np.testing.assert_allclose(score, zscore(np.sqrt((z.astype(float) ** 2).sum(axis=1))), rtol=1e-9)
    # by hand: lengths 0, 0, 0, 4 have mean 1 and standard deviation sqrt(3)
    lengths = magnitude_z_score(np.array([[0.0], [0.0], [0.0], [-4.0]]))
    np.testing.assert_allclose(lengths, np.array([-1, -1, -1, 3]) / np.sqrt(3))
    assert magnitude_z_score(np.ones((3, 2))).tolist() == [0, 0, 0]


def test_a_threshold_below_zero_selects_the_other_side() -> None:
    score = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert np.flatnonzero(beyond_z_score(score, 0.5)).tolist() == [3, 4]
    assert np.flatnonzero(beyond_z_score(score, -1.0)).tolist() == [0]
    with pytest.raises(InputError, match="--zscore"):
        beyond_z_score(score, 0.0)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=3, max_size=9),
    st.integers(0, 1000),
)
def test_polygons_agree_with_winding_by_angles(corners: list[tuple[float, float]], seed: int) -> None:
    """Even-odd: a point is inside where a ray to the right crosses the outline an odd number of times."""
    outline = np.array(corners)
    points = np.random.default_rng(seed).uniform(-4, 4, (40, 2))
    expected = []
    for x, y in points:
        crossings = 0
        for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            if (y0 > y) != (y1 > y):
                crossings += x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
        expected.append(crossings % 2 == 1)
    assert in_polygon(points, outline).tolist() == expected


def test_a_convex_outline_agrees_with_matplotlib_and_gaps_are_outside() -> None:
    outline = np.array([[0.0, 0.0], [2.0, 0.0], [3.0, 2.0], [1.0, 3.0]])
    points = np.random.default_rng(1).uniform(-1, 4, (500, 2))
    np.testing.assert_array_equal(in_polygon(points, outline), Outline(outline).contains_points(points))
    points[3] = np.nan
    assert not in_polygon(points, outline)[3]


def test_clusters_by_number() -> None:
    labels = np.array([0, 2, 1, 2, 0])
    assert in_clusters(labels, (2,)).tolist() == [False, True, False, True, False]
    assert not in_clusters(labels, ()).any()
    with pytest.raises(InputError, match="there is no cluster 3; they are numbered 0 to 2"):
        in_clusters(labels, (0, 3))
