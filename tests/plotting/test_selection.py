"""Pictures of selections: every particle in its colour, every image in its place."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cryoscape.plotting.embedding import Plane
from cryoscape.plotting.selection import (
    DROPPED,
    KEPT,
    Group,
    ImageRow,
    plot_groups,
    plot_groups_apart,
    plot_image_rows,
)
from cryoscape.plotting.style import figure_png


@pytest.fixture
def plane() -> Plane:
    return Plane(np.random.default_rng(0).normal(size=(40, 2)), "x", "y")


def test_particles_have_the_colour_of_their_group(plane: Plane) -> None:
    kept = plane.points[:, 0] > 0
    figure = plot_groups([plane, plane], [Group("Kept", KEPT, kept), Group("Dropped", DROPPED, ~kept)], "t")
    for ax in figure.axes:
        drawn = ax.collections[0]
        is_kept = np.asarray(drawn.get_offsets())[:, 0] > 0
        expected = np.where(is_kept[:, None], to_rgb(KEPT), to_rgb(DROPPED))
        np.testing.assert_allclose(drawn.get_facecolors()[:, :3], expected)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    n = int(kept.sum())
    assert labels[0] == f"Kept: {n} ({100 * n / 40:.1f} %)"


def test_groups_apart_stand_over_all_others_in_grey(plane: Plane) -> None:
    mask = np.arange(40) < 10
    figure = plot_groups_apart(plane, [Group("a", KEPT, mask), Group("b", DROPPED, ~mask)], "t")
    drawn = figure.axes[0].collections[0]
    np.testing.assert_allclose(np.asarray(drawn.get_offsets())[-10:].sum(), plane.points[mask].sum())
    assert len(drawn.get_offsets()) == 40
    assert figure_png(figure, 60)


def test_an_outline_is_closed_over_its_plane(plane: Plane) -> None:
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    group = Group("a", KEPT, np.ones(40, bool))
    figure = plot_groups([plane, plane], [group], outline=(1, corners))
    assert [len(ax.lines) for ax in figure.axes] == [0, 2]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_xydata()[[0, -1]], corners[[0, 0]])


def test_rows_of_images_stand_in_order() -> None:
    rng = np.random.default_rng(0)
    rows = [
        ImageRow(name, "as recorded", KEPT, rng.uniform(size=(n, 8, 8))) for name, n in (("a", 3), ("b", 2))
    ]
    figure = plot_image_rows(rows, "title", (0.5, "10 Å"))
    assert len(figure.axes) == 5
    np.testing.assert_array_equal(figure.axes[4].images[0].get_array(), rows[1].images[1])
    assert figure.axes[0].get_position().y0 > figure.axes[4].get_position().y1
    assert figure_png(figure, 60)
