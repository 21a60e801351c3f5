"""The heat map of occupancies: every number in its place, branches as scipy draws them."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram, fcluster, leaves_list, linkage

from cryoscape.plotting.occupancy import (
    TreePicture,
    block_colors,
    class_colors,
    hex_color,
    plot_cuts,
    plot_occupancies,
)
from cryoscape.plotting.style import figure_png


def picture(items: np.ndarray, k: int) -> TreePicture:
    links = linkage(items, method="ward")
    order = leaves_list(links)
    raw = fcluster(links, k, criterion="maxclust")
    labels = (raw - raw.min()).astype(np.int64)
    heights = np.concatenate([[0.0], np.sort(links[:, 2])])
    threshold = float(heights[-k] + heights[1 - k]) / 2 if k > 1 else 2 * float(heights[-1])
    return TreePicture(links, order.astype(np.int64), labels, threshold, class_colors(k))


@pytest.fixture
def table() -> np.ndarray:
    return np.random.default_rng(0).random((30, 12))


def test_branches_are_those_of_scipy(table: np.ndarray) -> None:
    tree = picture(table, 4)
    brackets, kind = tree.branches()
    drawn = dendrogram(tree.links, no_plot=True)
    scale = [10.0, 1.0]  # scipy puts leaves at 5, 15, 25...
    ours = {tuple(np.round(np.sort((b * scale).ravel()), 6)) for b in brackets}
    theirs = {
        tuple(np.round(np.sort(np.concatenate([x, y])), 6))
        for x, y in zip(drawn["icoord"], drawn["dcoord"], strict=True)
    }
    assert ours == theirs
    below = brackets[:, 1, 1] < tree.threshold
    np.testing.assert_array_equal(kind >= 0, below)


def heat(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


def test_values_names_and_counts(table: np.ndarray) -> None:
    rows, columns = picture(table, 5), picture(table.T, 3)
    names = [f"e{i}" for i in range(12)]
    figure = plot_occupancies(table, names, [f"vol_{i:03d}" for i in range(30)], rows, columns)
    np.testing.assert_array_equal(heat(figure), table[rows.order][:, columns.order])
    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == [names[i] for i in columns.order]
    assert ax.get_yticklabels()[0].get_text() == f"vol_{rows.order[0]:03d}"
    words = " ".join(t.get_text() for t in figure.texts)
    assert "30 maps, 12 elements" in words
    assert "5 classes of maps (right), 3 structural blocks (top)" in words


@pytest.mark.parametrize(("n", "e"), [(2, 26), (500, 136), (60, 300), (3, 2)])
def test_tables_of_any_size_can_be_drawn(n: int, e: int) -> None:
    table = np.random.default_rng(1).normal(size=(n, e))
    figure = plot_occupancies(
        table, [f"e{i}" for i in range(e)], [str(i) for i in range(n)], picture(table, 2), picture(table.T, 2)
    )
    assert figure_png(figure, 40).startswith(b"\x89PNG")


def test_equal_maps_can_be_drawn() -> None:
    table = np.ones((4, 3))
    figure = plot_occupancies(table, list("abc"), list("1234"), picture(table, 1), picture(table.T, 1))
    assert figure_png(figure, 40).startswith(b"\x89PNG")


def test_cuts_show_what_was_used_and_what_is_suggested(table: np.ndarray) -> None:
    links = linkage(table, method="ward")
    ax, other = plot_cuts([("Classes", links[:, 2], 5, 5), ("Blocks", links[:, 2], 4, 7)]).axes
    (curve,) = [line for line in ax.lines if len(line.get_xdata()) > 2]
    np.testing.assert_allclose(curve.get_ydata(), np.sort(links[:, 2])[::-1])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["used: 5"]
    assert [t.get_text() for t in other.get_legend().get_texts()] == ["used: 4", "suggested: 7"]


def test_colours_of_blocks_differ_and_are_written_in_hex() -> None:
    assert len({hex_color(c) for c in block_colors(14)}) == 14
    assert hex_color(np.array([1.0, 0.0, 0.2])) == "#ff0033"
    assert block_colors(1).shape == (1, 3)
