"""Picture of regions: colours, numbers and the legend are those of the regions."""

import numpy as np

from cryoscape.plotting.occupancy_regions import plot_regions
from cryoscape.plotting.style import figure_png


def test_regions_over_their_projections() -> None:
    mean = np.zeros((16, 16, 16), np.float32)
    mean[4:12, 4:12, 4:12] = 1
    labels = np.full(mean.shape, -1)
    labels[4:8, 4:8, 4:12] = 0
    labels[4:12, 9:12, 9:12] = 1
    present = np.array([[True, False], [True, True], [True, False], [True, False]])
    figure = plot_regions(mean, labels, present, 10.0)
    assert figure_png(figure, 40).startswith(b"\x89PNG")
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["0: 100 % of maps, 128 nm³", "1: 25 % of maps, 72 nm³"]
    places = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert 35 <= places["0"][0] <= 115  # x of region 0, angstrom
    assert 35 <= places["0"][1] <= 75
    assert 85 <= places["1"][0] <= 115


def test_a_hidden_region_and_an_empty_map_can_be_drawn() -> None:
    labels = np.full((8, 8, 8), -1)
    labels[2:5, 2:5, 2:5] = 0
    labels[3, 3, 3] = 1
    figure = plot_regions(np.zeros((8, 8, 8), np.float32), labels, np.ones((3, 2), dtype=bool), 1.0)
    assert len(figure.axes) == 3
