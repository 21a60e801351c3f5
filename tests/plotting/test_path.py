import numpy as np
import pytest

from cryoscape.plotting.embedding import Plane
from cryoscape.plotting.path import plot_path_support
from cryoscape.plotting.style import figure_png


@pytest.mark.parametrize("n_planes", [0, 1, 2])
def test_every_text_is_on_the_page_and_empty_points_are_named(n_planes):
    rng = np.random.default_rng(0)
    plane = Plane(rng.normal(size=(300, 2)), "PC1 (40.0 % of variance)", "PC2 (20.0 % of variance)")
    path = np.linspace([-2.0, -1.0], [2.0, 1.0], 12)
    counts = np.array([900, 400, 90, 20, 3, 0, 0, 2, 30, 200, 500, 800])
    measure = "within 0.00123 (holds 1 % of all around a typical one)"
    ends = np.array([0, 11])
    figure = plot_path_support([(plane, path)] * n_planes, counts, ends, "Straight path", measure)
    figure_png(figure, 60)
    page = figure.bbox
    bars = figure.axes[-1]
    for ax in figure.axes:
        for text in (ax.xaxis.label, ax.yaxis.label, ax._left_title):
            box = text.get_window_extent()
            assert box.x0 >= page.x0 - 1, text.get_text()
            assert box.x1 <= page.x1 + 1, text.get_text()
    assert [round(t.get_position()[0]) for t in bars.texts if t.get_text() == "0"] == [5, 6]
    assert bars.get_yscale() == "log"
    assert [patch.get_height() for patch in bars.patches] == list(counts)
