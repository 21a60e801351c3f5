"""The picture of classes against labels shows what it was given."""

import numpy as np
import pytest

from cryoscape.plotting.occupancy_confusion import plot_confusion
from cryoscape.plotting.style import figure_png


def test_shares_are_those_of_labels() -> None:
    counts = np.array([[30, 0], [10, 5]])
    figure = plot_confusion(counts, np.array([4, 2]), ("A", "B"), 0.5)
    ax = figure.axes[0]
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.75, 0], [0.25, 1]])
    assert [text.get_text() for text in ax.texts] == ["75", "25", "100"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["4  (30)", "2  (15)"]
    assert "0.50" in figure.texts[1].get_text()


@pytest.mark.parametrize(("k", "m"), [(1, 1), (14, 3), (60, 50), (2, 14)])
def test_texts_stay_on_the_page(k: int, m: int) -> None:
    counts = np.random.default_rng(0).integers(0, 999, (k, m))
    figure = plot_confusion(counts, np.arange(k), tuple(f"state {i}" for i in range(m)), 0.1)
    assert figure_png(figure, 40).startswith(b"\x89PNG")
    page = figure.bbox
    renderer = figure._get_renderer()
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        assert box is not None
        assert box.x0 >= page.x0, axes
        assert box.y0 >= page.y0, axes
        assert box.x1 <= page.x1, axes
        assert box.y1 <= page.y1, axes
