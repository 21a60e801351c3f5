import sys

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import LogNorm
from matplotlib.text import Annotation

from cryoscape.plotting import curves, embedding
from cryoscape.plotting.labels import spread_apart
from cryoscape.plotting.montage import nice_scale_bar, plot_montage
from cryoscape.plotting.style import DENSITY, cluster_colors, figure_png, oklch_to_srgb, rgba_png


@pytest.fixture
def plane():
    points = np.random.default_rng(0).normal(size=(500, 3)) * [3.0, 2.0, 1.0]
    return embedding.pca_plane(points, np.array([0.643, 0.286, 0.071]))


def annotations(figure):
    return {t.get_text() for t in figure.findobj(Annotation) if t.get_text()}


def test_axes_say_component_and_variance(plane):
    (ax,) = embedding.plot_points(plane).axes
    assert ax.get_xlabel() == "PC1 (64.3 % of variance)"
    assert ax.get_ylabel() == "PC2 (28.6 % of variance)"
    assert ax.get_title(loc="left") == "500 particles"


def test_hexagons_count_every_particle_on_a_log_scale(plane):
    figure = embedding.plot_hexbin(plane)
    (hexagons,) = figure.axes[0].collections
    assert isinstance(hexagons.norm, LogNorm)
    assert hexagons.get_array().sum() == 500


def test_clusters_are_numbered_from_zero_in_their_colours(plane):
    labels = (plane.points[:, 0] > 0).astype(np.int64)
    rows = np.array([np.flatnonzero(labels == i)[0] for i in (0, 1)])
    figure = embedding.plot_clusters(plane, labels, rows)
    assert annotations(figure) == {"0", "1"}
    drawn = figure.axes[0].collections[0]
    at = np.asarray(drawn.get_offsets())
    expected = cluster_colors(2)[(at[:, 0] > 0).astype(int)]
    np.testing.assert_allclose(drawn.get_facecolors()[:, :3], expected)


def test_paths_are_numbered_as_their_maps(plane):
    path = np.stack([np.linspace(-5, 5, 4), np.zeros(4)], axis=1)
    for density in (False, True):
        figure = embedding.plot_path(plane, path, "PC1", first_number=1, density=density)
        assert annotations(figure) == {"1", "2", "3", "4"}


@pytest.mark.parametrize("n", [2, 30, 30_000])
def test_every_plot_can_be_drawn_for_any_number_of_particles(n):
    rng = np.random.default_rng(0)
    plane = embedding.umap_plane(rng.normal(size=(n, 2)))
    figures = [
        embedding.plot_points(plane),
        embedding.plot_marginals(plane),
        embedding.plot_hexbin(plane),
        embedding.plot_cluster_hexbin(plane, np.array([0, 1])),
        embedding.plot_colored(plane, np.ones(n), "same"),
        embedding.plot_histogram(plane.points[:, 0], "z", marks=np.array([-1.0, 1.0])),
    ]
    for figure in figures:
        assert figure_png(figure, 40).startswith(b"\x89PNG")


def test_learning_curve_leaves_out_what_was_not_recorded():
    epoch, nothing = np.arange(3), np.full(3, np.nan)
    figure = curves.plot_learning_curve(epoch, np.array([3.0, 2.0, 1.0]), nothing, nothing, analysed=2)
    assert len(figure.axes) == 1
    assert figure.axes[0].get_title(loc="left") == "Learning curve (dashed: epoch 2)"
    with_kl = curves.plot_learning_curve(epoch, np.array([3.0, 2.0, 1.0]), nothing, np.ones(3))
    assert [ax.get_ylabel() for ax in with_kl.axes] == ["Loss per image", "KL divergence"]


def test_bars_show_the_numbers():
    bars = curves.plot_cluster_sizes(np.array([5, 7, 2])).axes[0].patches
    assert [b.get_height() for b in bars] == [5, 7, 2]
    figure = curves.plot_explained_variance(np.array([0.7, 0.3]))
    assert figure.axes[0].get_xticks().tolist() == [1, 2]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.7, 1.0])


def test_montage_names_every_map():
    pictures = [np.zeros((8, 8, 4))] * 3
    figure = plot_montage(
        pictures, ["0", "1", "2"], ["a", "b", "c"], title="Maps", n_columns=2, scale_bar=(0.5, "50 Å")
    )
    texts = {t.get_text() for t in figure.texts}
    assert texts == {"0", "1", "2", "a", "b", "c", "Maps", "", "50 Å"}
    assert rgba_png(pictures[0]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("width", "label"), [(100.0, "50 Å"), (419.0, "200 Å"), (34.0, "20 Å"), (1000.0, "500 Å")]
)
def test_scale_bar_is_round_and_to_scale(width, label):
    share, text = nice_scale_bar(width)
    assert text == label
    assert share * width == pytest.approx(float(label.split()[0]))


def test_colours():
    np.testing.assert_allclose(oklch_to_srgb(np.ones(1), np.zeros(1), np.zeros(1)), 1.0, atol=1e-4)
    # sRGB red in OKLCH, from its definition
    red = oklch_to_srgb(np.array([0.62796]), np.array([0.25768]), np.deg2rad(np.array([29.234])))
    np.testing.assert_allclose(red, [[1, 0, 0]], atol=5e-3)
    for k in (1, 7, 20, 40):
        colors = cluster_colors(k)
        assert colors.shape == (k, 3)
        apart = np.linalg.norm(colors[:, None] - colors[None], axis=2)[np.triu_indices(k, 1)]
        assert apart.min(initial=1.0) > 0.02
    grey = DENSITY(np.linspace(0, 1, 20))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(grey) < 0).all()


def test_drawing_leaves_global_settings_alone(plane):
    before = dict(mpl.rcParams)
    pyplot_loaded = "matplotlib.pyplot" in sys.modules
    figure_png(embedding.plot_points(plane), 40)
    assert dict(mpl.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == pyplot_loaded


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 25), st.integers(0, 1000))
def test_labels_do_not_overlap_where_there_is_room(k, seed):
    start = np.random.default_rng(seed).uniform(120, 180, size=(k, 2))
    extent = np.tile([14.0, 10.0], (k, 1))
    places = spread_apart(start, extent, np.zeros(2), np.full(2, 300.0), np.empty((0, 2)))
    apart = np.abs(places[:, None] - places[None])
    overlapping = (apart[..., 0] < 13) & (apart[..., 1] < 9)
    assert overlapping.sum() == k  # each with itself only
    assert (places >= 0).all()
    assert (places <= 300).all()
