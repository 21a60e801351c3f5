"""Figures of a landscape say what they show, and hold what they were given."""

import numpy as np
import pytest

from cryoscape.plotting import landscape
from cryoscape.plotting.landscape_density import plot_landscape
from cryoscape.plotting.style import figure_png

RNG = np.random.default_rng(0)
COORDINATES = RNG.normal(size=(60, 4)) * [4, 2, 1, 0.5]
EXPLAINED = np.array([0.7, 0.2, 0.08, 0.02])
COUNTS = RNG.integers(1, 50, size=60)
STATES = np.arange(60) % 3


def texts(figure):
    found = [t.get_text() for ax in figure.axes for t in ax.texts]
    return found + [ax.get_xlabel() for ax in figure.axes] + [ax.get_ylabel() for ax in figure.axes]


def drawn(figure):
    assert figure_png(figure, 60).startswith(b"\x89PNG")
    return figure


def test_maps_are_drawn_once_each_with_area_by_particles():
    figure = drawn(landscape.plot_maps_in_plane(COORDINATES, EXPLAINED, COUNTS, STATES, (2, 3)))
    cloud = figure.axes[0].collections[0]
    assert len(np.asarray(cloud.get_offsets())) == 60
    np.testing.assert_allclose(
        np.sort(np.asarray(cloud.get_offsets())[:, 0]), np.sort(COORDINATES[:, 1]), atol=1e-12
    )
    sizes = cloud.get_sizes()
    assert sizes[0] == sizes.max()
    assert {"Volume PC2 (20.0 %)", "Volume PC3 (8.0 %)", "0", "1", "2"} <= set(texts(figure))


def test_grid_shows_every_pair_once():
    figure = drawn(landscape.plot_component_grid(COORDINATES, EXPLAINED, COUNTS, STATES, 3))
    shown = [ax for ax in figure.axes if ax.collections]
    assert len(shown) == 3
    assert {"PC1 (70.0 %)", "PC3 (8.0 %)"} <= set(texts(figure))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_tree_joins_the_states(n):
    from scipy.cluster.hierarchy import linkage

    figure = drawn(landscape.plot_tree(linkage(COORDINATES, "ward"), np.arange(1, n + 1) * 1000, "ward"))
    ax = figure.axes[0]
    assert len(ax.lines) == n - 1
    assert [t.get_text() for t in ax.get_xticklabels()][-1] == f"{n - 1}\n{n * 1000:,}"


def test_states_along_the_tree_are_the_leaves_of_the_picture():
    from scipy.cluster.hierarchy import dendrogram

    from cryoscape.analysis.landscape_states import map_tree

    tree = map_tree(COORDINATES, "average")
    labels = tree.cut(6)
    leaves = dendrogram(tree.links, p=6, truncate_mode="lastp", no_plot=True)["ivl"]
    sizes = [int(leaf.strip("()")) if leaf.startswith("(") else 1 for leaf in leaves]
    np.testing.assert_array_equal(sizes, np.bincount(labels))


def test_bars_curves_and_mask():
    drawn(landscape.plot_map_variance(EXPLAINED, 3))
    figure = drawn(landscape.plot_suggestion(np.arange(2, 9), np.linspace(0.2, 0.6, 7), 8))
    assert "8 states" in texts(figure)
    figure = drawn(landscape.plot_state_counts(np.array([30, 70]), "Particles"))
    assert {"30 %", "70 %"} <= set(texts(figure))
    drawn(landscape.plot_r2(np.array([0.99, 0.5, -0.2])))
    mean, mask = RNG.normal(size=(8, 8, 8)), np.zeros((8, 8, 8))
    mask[2:6, 2:6, 2:6] = 1
    figure = drawn(landscape.plot_mask_slices(mean, mask, 2.0))
    assert "x (Å)" in texts(figure)


@pytest.mark.parametrize("empty", [False, True])
def test_densities_are_not_called_energies(empty):
    edges = np.linspace(-1, 1, 21)
    particles = np.zeros((20, 20)) if empty else RNG.poisson(2.0, size=(20, 20)).astype(float)
    seen = np.where(particles >= 0.5, particles, np.nan)
    surprise = -np.log(seen / np.nanmax(seen)) if not empty else seen
    figure = plot_landscape(
        edges, edges, particles, surprise, ("a", "b"), centers=np.zeros((1, 2)), uncertainty=0.01 * np.eye(2)
    )
    drawn(figure)
    assert any("not an energy" in ax.get_title(loc="left") for ax in figure.axes)
    assert "ellipse: 1 s.d. of one particle" in texts(figure)
    assert not any("kT" in text for text in texts(figure))
