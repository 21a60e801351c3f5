"""Latent space coloured by quantities of the particles, as small multiples; distribution of views."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm, Normalize, to_hex
from matplotlib.figure import Figure

from cryoscape.plotting.embedding import Plane
from cryoscape.plotting.style import DENSITY, MUTED, SEQUENCE, bare, new_figure, styled

_NEUTRAL = np.array((0.86, 0.87, 0.89))
"""Colour where angles have no common direction, or too few particles lie for a mean."""


@dataclass(frozen=True)
class Quantity:
    """A number of each particle.

    Attributes
    ----------
    name, unit : title of the panel; "" for no unit.
    values : array (n,)
    is_angle : in degrees, closed at 360; the mean of angles is that of directions.
    """

    name: str
    values: Float[np.ndarray, " n"]
    unit: str = ""
    is_angle: bool = False


@styled
def plot_panels(plane: Plane, quantities: Sequence[Quantity], title: str, n_columns: int = 3) -> Figure:
    """Plane after plane in hexagons coloured by the mean of a quantity over the particles in each.

    Colours span the values of single particles (2nd to 98th percentile), so that a quantity the latents know
    nothing of gives an even panel. Angles fade to grey where they have no common direction. Hexagons of
    fewer than five particles are grey, or their chance values would catch the eye.
    """
    figure, panels, columns = _grid(len(quantities), n_columns, title)
    for i, (ax, quantity) in enumerate(zip(panels, quantities, strict=True)):
        _panel(figure, ax, plane, quantity)
        # of the others it is the same
        ax.set(ylabel=plane.y_label if i % columns == 0 else "")
        ax.set(xlabel=plane.x_label if i >= len(quantities) - columns else "")
    return figure


@styled
def plot_against(
    z: Float[np.ndarray, " n"], quantities: Sequence[Quantity], title: str, n_columns: int = 3
) -> Figure:
    """Quantities against the one latent there is, as log counts of particles."""
    figure, panels, columns = _grid(len(quantities), n_columns, title)
    gridsize = int(np.clip(np.sqrt(len(z)) / 3.5, 10, 40))
    for i, (ax, quantity) in enumerate(zip(panels, quantities, strict=True)):
        drawn = ax.hexbin(z, quantity.values, gridsize=gridsize, mincnt=1, cmap=DENSITY, linewidths=0.1)
        drawn.set_norm(LogNorm(1, max(float(np.asarray(drawn.get_array()).max()), 2.0)))
        ax.set_title(_heading(quantity), fontsize=9.5, fontweight="normal")
        ax.tick_params(labelsize=7)
        ax.set(xlabel="z" if i >= len(quantities) - columns else "")
        bar = figure.colorbar(drawn, ax=ax, shrink=0.8, pad=0.02, aspect=22)
        bar.set_label("Particles" if (i + 1) % columns == 0 else "", fontsize=8, color=MUTED)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
    return figure


def _grid(n: int, n_columns: int, title: str) -> tuple[Figure, list[Axes], int]:
    """A figure with n panels in rows of at most n_columns."""
    columns = min(n_columns, n)
    rows = -(-n // columns)
    figure = new_figure(3.15 * columns, 2.8 * rows + 0.35)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for ax in panels[n:]:
        ax.set_visible(False)
    return figure, panels[:n], columns


def _heading(quantity: Quantity) -> str:
    return f"{quantity.name} ({quantity.unit})" if quantity.unit else quantity.name


def _panel(figure: Figure, ax: Axes, plane: Plane, quantity: Quantity) -> None:
    ax.set_box_aspect(1)
    ax.margins(0.05)
    ax.set_title(_heading(quantity), fontsize=9.5, fontweight="normal")
    ax.tick_params(labelsize=7)
    if plane.unitless:
        bare(ax)
    least = _ground(ax, plane)
    if quantity.is_angle:
        colors = _hexagons_of_angles(ax, plane, quantity.values, least)
    else:
        low, high = np.percentile(quantity.values, [2, 98])
        colors = ScalarMappable(Normalize(low, high if high > low else low + 1), SEQUENCE)
        _hexagons(ax, plane, quantity.values, least).set(cmap=SEQUENCE, norm=colors.norm)
    bar = figure.colorbar(colors, ax=ax, shrink=0.8, pad=0.02, aspect=22)
    bar.ax.tick_params(labelsize=7)
    if quantity.is_angle:
        bar.set_ticks([-180, -90, 0, 90, 180])
    bar.outline.set_visible(False)


def _hexagons(ax: Axes, plane: Plane, values: np.ndarray, least: int) -> PolyCollection:
    gridsize = int(np.clip(np.sqrt(len(plane)) / 3.5, 10, 55))
    x, y = plane.points.T
    return ax.hexbin(
        x, y, C=values, reduce_C_function=np.mean, gridsize=gridsize, mincnt=least, linewidths=0.1
    )


def _ground(ax: Axes, plane: Plane) -> int:
    """All hexagons with a particle in grey; answers how many particles one needs for a colour."""
    drawn = _hexagons(ax, plane, np.ones(len(plane)), 1)
    drawn.set_array(None)
    drawn.set_facecolor(to_hex(tuple(_NEUTRAL)))
    return 5 if len(plane) >= 1000 else 1


def _hexagons_of_angles(ax: Axes, plane: Plane, degrees: np.ndarray, least: int) -> ScalarMappable:
    """Hexagons in the colour of the mean direction, mixed with grey as its length (0 to 1) falls."""
    angle = np.deg2rad(degrees)
    drawn = _hexagons(ax, plane, np.cos(angle), least)
    other = _hexagons(ax, plane, np.sin(angle), least)
    cosine, sine = np.asarray(drawn.get_array()), np.asarray(other.get_array())
    other.remove()
    scale = ScalarMappable(Normalize(-180, 180), "twilight_shifted")
    rgb = np.asarray(scale.to_rgba(np.rad2deg(np.arctan2(sine, cosine))))[:, :3]
    length = np.hypot(cosine, sine)[:, None]
    drawn.set_array(None)
    drawn.set_facecolor([to_hex(tuple(c)) for c in length * rgb + (1 - length) * _NEUTRAL])
    return scale


@styled
def plot_views(euler_degrees: Float[np.ndarray, "n 3"], title: str = "") -> Figure:
    """Density of viewing directions over the sphere, relative to an even one, in an equal-area map.

    Parameters
    ----------
    euler_degrees : array (n, 3)
        rot, tilt, psi; the map is seen along the direction of longitude rot and latitude 90 - tilt.
    """
    figure = new_figure(5.6, 3.0)
    ax = figure.add_subplot(projection="hammer")
    longitude = np.deg2rad((euler_degrees[:, 0] + 180) % 360 - 180)
    latitude = np.pi / 2 - np.deg2rad(euler_degrees[:, 1])
    # cells of equal area, about 40 particles each: even steps of longitude and of the sine of latitude
    n = int(np.clip(np.sqrt(len(longitude) / 80), 5, 36))
    edges_x, edges_sine = np.linspace(-np.pi, np.pi, 2 * n + 1), np.linspace(-1, 1, n + 1)
    counts, _, _ = np.histogram2d(np.sin(latitude), longitude, bins=(edges_sine, edges_x))
    density = counts / counts.mean()
    most = float(np.clip(density.max(), 2.0, 20.0))
    scale = LogNorm(1 / most, most)
    # in steps, so that the straight sides of what is drawn follow the rim
    shown = np.repeat(np.maximum(density, 1 / most), 8, axis=0)
    fine_edges = np.arcsin(np.linspace(-1, 1, 8 * n + 1))
    drawn = ax.pcolormesh(edges_x, fine_edges, shown, cmap=DENSITY, norm=scale, rasterized=True)
    ax.grid(color="white", linewidth=0.4, alpha=0.6)
    ax.set_xticks(np.deg2rad([-120, -60, 0, 60, 120]), [])
    ax.set_yticks(np.deg2rad([-60, -30, 0, 30, 60]))
    ax.tick_params(labelsize=6.5, colors=MUTED)
    ax.set_title(title or f"Viewing directions of {len(longitude):,} particles")
    bar = figure.colorbar(drawn, ax=ax, shrink=0.85, pad=0.03)
    ticks = [t for t in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if 1 / most <= t <= most]
    bar.set_ticks(ticks, labels=[f"{t:g}" for t in ticks])
    bar.minorticks_off()
    bar.set_label("Times the even density", color=MUTED)
    bar.outline.set_visible(False)
    return figure
