"""Distributions of occupancies show the numbers that they were given."""

import numpy as np

from cryoscape.plotting.occupancy_values import plot_occupancy_histograms, plot_occupancy_pair
from cryoscape.plotting.style import figure_png


def test_histograms_are_shares() -> None:
    rng = np.random.default_rng(0)
    maps = {f"e{i}": rng.normal(i, 1, 50) for i in range(5)}
    particles = {"e0": rng.normal(0, 2, 900)}
    figure = plot_occupancy_histograms(maps, particles)
    assert figure_png(figure, 40).startswith(b"\x89PNG")
    panels = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in panels] == list(maps)
    for ax in panels:
        np.testing.assert_allclose(sum(bar.get_height() for bar in ax.containers[0]), 100)
    assert [text.get_text() for text in panels[0].get_legend().get_texts()] == ["maps", "particles"]


def test_a_part_that_is_always_there_can_be_drawn() -> None:
    figure = plot_occupancy_histograms({"core": np.ones(7)}, {})
    assert figure_png(figure, 40).startswith(b"\x89PNG")


def test_pair_marks_the_chosen_maps() -> None:
    x, y = np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0])
    rng = np.random.default_rng(0)
    cloud = (rng.normal(size=500), rng.normal(size=500))
    figure = plot_occupancy_pair((x, y), cloud, ("H68", "CP"), [7, 8, 9], np.array([0.0, 1.0, 0.0]))
    assert figure_png(figure, 40).startswith(b"\x89PNG")
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["8"]
    assert ax.get_xlabel() == "Occupancy of H68"
    np.testing.assert_array_equal(ax.collections[-1].get_offsets(), [[1.0, 0.0]])
    assert plot_occupancy_pair((x, y), None, ("a", "b"), [0, 1, 2], np.zeros(3)).axes
