import numpy as np
import pytest

from cryoscape.analysis.embedding import principal_components
from cryoscape.analysis.traversal import direct_path, pc_path
from cryoscape.errors import InputError


@pytest.fixture
def components():
    z = np.random.default_rng(0).normal(size=(4000, 3)) * [4.0, 2.0, 1.0] + [1.0, -2.0, 3.0]
    return principal_components(z)


@pytest.mark.parametrize("component", [1, 2, 3])
def test_path_rises_between_the_percentiles_and_leaves_the_other_components(components, component):
    path = components.transform(pc_path(components, component, n_points=10))
    along = path[:, component - 1]
    scores = components.scores[:, component - 1]
    np.testing.assert_allclose(along[[0, -1]], np.percentile(scores, [1, 99]))
    np.testing.assert_allclose(np.diff(along), np.diff(along)[0])
    assert (np.diff(along) > 0).all()
    np.testing.assert_allclose(np.delete(path, component - 1, axis=1), 0, atol=1e-12)


def test_percentile_spacing_puts_equal_counts_between_points(components):
    path = pc_path(components, 1, n_points=5, limits_percentile=(10.0, 90.0), spacing="percentile")
    along = components.transform(path)[:, 0]
    counts = np.histogram(components.scores[:, 0], bins=along)[0]
    np.testing.assert_allclose(counts, 800, atol=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"component": 4}, "1 to 3"),
        ({"component": 0}, "1 to 3"),
        ({"component": 1, "limits_percentile": (99.0, 1.0)}, "rising"),
        ({"component": 1, "n_points": 0}, "at least 1"),
    ],
)
def test_impossible_paths_are_refused(components, arguments, words):
    with pytest.raises(InputError, match=words):
        pc_path(components, **arguments)


@pytest.mark.parametrize("loop", [False, True])
def test_direct_path_is_even_between_anchors_and_has_each_once(loop):
    z = np.random.default_rng(3).normal(size=(9, 4)).astype(np.float32)
    points, anchors_at = direct_path(z, [2, 7, 4], 5, loop=loop)
    stops = [2, 7, 4, 2] if loop else [2, 7, 4]
    assert len(points) == 4 * (len(stops) - 1) + 1
    np.testing.assert_allclose(points[anchors_at], z[stops], rtol=1e-6)
    second = np.diff(points, n=2, axis=0)
    inner = np.setdiff1d(np.arange(1, len(points) - 1), anchors_at) - 1
    np.testing.assert_allclose(second[inner], 0, atol=1e-12)


def test_a_line_of_one_point_is_refused():
    with pytest.raises(InputError, match="at least 2 points"):
        direct_path(np.zeros((3, 2)), [0, 1], 1)
