import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from cryoscape.plotting import iterations, panels
from cryoscape.plotting.embedding import Plane
from cryoscape.plotting.panels import Quantity
from cryoscape.plotting.style import figure_png

RNG = np.random.default_rng(0)


def plane(n=4000):
    return Plane(RNG.normal(size=(n, 2)), "UMAP 1", "UMAP 2", unitless=True)


def test_a_hexagon_shows_the_mean_of_its_particles():
    at = Plane(np.repeat([[0.0, 0.0], [9.0, 9.0]], 500, axis=0), "x", "y")
    values = np.concatenate([np.tile([1.0, 3.0], 250), np.full(500, 7.0)])
    figure = panels.plot_panels(at, [Quantity("Defocus", values, "µm")], "Imaging")
    ax = figure.axes[0]
    assert ax.get_title(loc="left") == "Defocus (µm)"
    drawn = [c for c in ax.collections if c.get_array() is not None]
    assert sorted(np.asarray(drawn[0].get_array())) == [2.0, 7.0]


def test_angles_without_a_common_direction_are_grey_and_those_with_one_are_not():
    at = Plane(np.repeat([[0.0, 0.0], [9.0, 9.0]], 600, axis=0), "x", "y")
    even = np.linspace(-180, 180, 600, endpoint=False)
    around_the_half_turn = np.tile([179.0, -179.0], 300)
    quantity = Quantity("rot", np.concatenate([even, around_the_half_turn]), "°", is_angle=True)
    figure = panels.plot_panels(at, [quantity], "Imaging")
    hexagons = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection)][-1]
    spread = np.ptp(hexagons.get_facecolors()[:, :3], axis=1)
    first = hexagons.get_offsets()[:, 0].argmin()
    assert spread[first] < 0.05
    brightness = hexagons.get_facecolors()[1 - first, :3].mean()
    assert brightness < 0.4  # the dark end of the closed scale, as at 180 degrees


def test_hexagons_of_few_particles_have_no_colour():
    points = np.concatenate([np.zeros((2000, 2)), [[9.0, 9.0]]])
    figure = panels.plot_panels(Plane(points, "x", "y"), [Quantity("q", RNG.normal(size=2001))], "t")
    colored = [c for c in figure.axes[0].collections if c.get_array() is not None]
    assert len(colored[0].get_array()) == 1


@pytest.mark.parametrize("n", [1, 4, 7])
def test_any_number_of_panels_is_drawn(n):
    quantities = [Quantity(f"q{i}", RNG.normal(size=4000)) for i in range(n)]
    figure = panels.plot_panels(plane(), quantities, "Imaging")
    assert figure_png(figure, 50).startswith(b"\x89PNG")
    shown = [ax for ax in figure.axes if ax.get_visible() and ax.get_title(loc="left")]
    assert len(shown) == n


def test_one_latent_is_shown_against_each_quantity():
    z = RNG.normal(size=3000)
    figure = panels.plot_against(z, [Quantity("Defocus", 2 * z, "µm"), Quantity("Contrast", -z)], "Imaging")
    assert figure.axes[0].get_title(loc="left") == "Defocus (µm)"
    assert np.asarray(figure.axes[0].collections[0].get_array()).sum() == 3000
    x, y = figure.axes[0].collections[0].get_offsets().T
    assert np.corrcoef(x, y)[0, 1] > 0.99


def test_even_views_have_density_one_and_a_preferred_view_stands_out():
    direction = RNG.normal(size=(40_000, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    rot = np.rad2deg(np.arctan2(direction[:, 1], direction[:, 0]))
    tilt = np.rad2deg(np.arccos(direction[:, 2]))
    even = np.stack([rot, tilt, rot], axis=1)
    density = np.asarray(panels.plot_views(even).axes[0].collections[0].get_array())
    assert density.min() > 0.4
    assert density.max() < 1.8
    preferred = np.concatenate([even[:20_000], np.tile([10.0, 80.0, 0.0], (20_000, 1))])
    density = np.asarray(panels.plot_views(preferred).axes[0].collections[0].get_array())
    assert density.max() > 20


def test_course_of_training_says_resolutions():
    metrics = {
        "iteration": np.arange(4.0),
        "radius": np.array([8.0, 8.0, 16.0, 16.0]),
        "held_out_information": np.array([-1.0, 1.0, 2.0, 3.0]),
        "noise": np.ones(4),
    }
    figure = iterations.plot_subspace_course(metrics, 32.0, 160.0)
    texts = {t.get_text() for t in figure.axes[1].texts}
    assert texts == {"Nyquist", "20 Å", "10 Å"}
    assert figure_png(iterations.plot_subspace_course(metrics, 32.0, None), 50).startswith(b"\x89PNG")


def test_course_of_merging_shows_the_states_kept():
    metrics = {
        "n_states": np.array([5.0, 4.0, 3.0, 3.0]),
        "nats_a_particle": np.array([np.nan, 0.1, 0.4, np.nan]),
    }
    (ax,) = iterations.plot_states_course(metrics).axes
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [4, 3])
    assert "3 kept" in ax.get_title(loc="left")


@pytest.mark.parametrize("linear", [None, 2.5])
def test_course_of_networks_parts_epochs_with_other_maps(linear):
    names = ("training_bound", "held_out_bound", "held_out_log_likelihood", "kl_divergence")
    rounds = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    metrics = {name: np.arange(5.0) for name in names} | {"epoch": np.arange(5.0), "round": rounds}
    figure = iterations.plot_networks_course(metrics, linear, 4)
    top, low = figure.axes
    assert [len(np.asarray(line.get_xdata())) for line in low.lines] == [3, 2, 2, 2]
    assert [t.get_text() for t in low.texts] == ["maps made again"]
    (legend,) = figure.legends
    named = [t.get_text() for t in legend.get_texts()]
    assert len(named) == len(set(named)) == (3 if linear is None else 4)
    assert (linear in [np.asarray(line.get_ydata())[0] for line in top.lines]) == (linear is not None)
    once = {name: values[:3] for name, values in metrics.items()}
    assert not iterations.plot_networks_course(once).axes[1].texts
