"""Latent space coloured by quantities of the particles, as small multiples; distribution of views."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from cryoscape.plotting.embedding import Plane
from cryoscape.plotting.style import DENSITY, MUTED, SEQUENCE, bare, new_figure, styled

_NEUTRAL = np.array([0.86, 0.87, 0.89])
"""Colour where angles have no common direction."""


@dataclass(frozen=True)
class Quantity:
    """A number of each particle.

    Attributes
    ----------
    name : title of the panel.
    values : array (n,)
    unit : on the colour bar; "" for none.
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
    nothing of gives an even panel. Angles fade to grey where they have no common direction.
    """
    columns = min(n_columns, len(quantities))
    rows = -(-len(quantities) // columns)
    figure = new_figure(3.15 * columns, 2.8 * rows + 0.35)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    for ax, quantity in zip(panels, quantities, strict=False):
        _panel(figure, ax, plane, quantity)
    for ax in panels[len(quantities) :]:
        ax.set_visible(False)
    for i, ax in enumerate(panels[: len(quantities)]):
        # of the others it is the same
        ax.set(ylabel=plane.y_label if i % columns == 0 else "")
        ax.set(xlabel=plane.x_label if i >= len(quantities) - columns else "")
    return figure


def _panel(figure: Figure, ax: Axes, plane: Plane, quantity: Quantity) -> None:
    ax.set_box_aspect(1)
    ax.margins(0.05)
    ax.set_title(quantity.name, fontsize=9.5, fontweight="normal")
    ax.tick_params(labelsize=7)
    if plane.unitless:
        bare(ax)
    if quantity.is_angle:
        colors = _hexagons_of_angles(ax, plane, quantity.values)
    else:
        low, high = np.percentile(quantity.values, [2, 98])
        colors = ScalarMappable(Normalize(low, high if high > low else low + 1), SEQUENCE)
        _hexagons(ax, plane, quantity.values).set(cmap=SEQUENCE, norm=colors.norm)
    bar = figure.colorbar(colors, ax=ax, shrink=0.8, pad=0.02, aspect=22)
    bar.set_label(quantity.unit, fontsize=8, color=MUTED)
    bar.ax.tick_params(labelsize=7)
    if quantity.is_angle:
        bar.set_ticks([-180, -90, 0, 90, 180])
    bar.outline.set_visible(False)


def _hexagons(ax: Axes, plane: Plane, values: np.ndarray) -> mpl.collections.PolyCollection:
    gridsize = int(np.clip(np.sqrt(len(plane)) / 3.5, 10, 55))
    x, y = plane.points.T
    return ax.hexbin(x, y, C=values, reduce_C_function=np.mean, gridsize=gridsize, linewidths=0.1)


def _hexagons_of_angles(ax: Axes, plane: Plane, degrees: np.ndarray) -> ScalarMappable:
    """Hexagons in the colour of the mean direction, mixed with grey as its length (0 to 1) falls."""
    angle = np.deg2rad(degrees)
    drawn = _hexagons(ax, plane, np.cos(angle))
    other = _hexagons(ax, plane, np.sin(angle))
    cosine, sine = np.asarray(drawn.get_array()), np.asarray(other.get_array())
    other.remove()
    scale = ScalarMappable(Normalize(-180, 180), "twilight_shifted")
    rgb = np.asarray(scale.to_rgba(np.rad2deg(np.arctan2(sine, cosine))))[:, :3]
    length = np.hypot(cosine, sine)[:, None]
    drawn.set_array(None)
    drawn.set_facecolor(length * rgb + (1 - length) * _NEUTRAL)
    return scale


@styled
def plot_views(euler_degrees: Float[np.ndarray, "n 3"], title: str = "") -> Figure:
    """Viewing directions over the sphere in an equal-area map: an even set gives an even picture.

    Parameters
    ----------
    euler_degrees : array (n, 3)
        rot, tilt, psi; the map is seen along the direction of longitude rot and latitude 90 - tilt.
    """
    figure = new_figure(5.6, 3.3)
    ax = figure.add_subplot(projection="hammer")
    longitude = np.deg2rad((euler_degrees[:, 0] + 180) % 360 - 180)
    latitude = np.pi / 2 - np.deg2rad(euler_degrees[:, 1])
    # cells of equal area: even steps of longitude and of the sine of latitude
    n = int(np.clip(np.sqrt(len(longitude) / 8), 6, 36))
    edges_x, edges_sine = np.linspace(-np.pi, np.pi, 2 * n + 1), np.linspace(-1, 1, n + 1)
    counts, _, _ = np.histogram2d(np.sin(latitude), longitude, bins=(edges_sine, edges_x))
    shown = np.where(counts > 0, counts, np.nan)
    drawn = ax.pcolormesh(
        edges_x, np.arcsin(edges_sine), shown, cmap=DENSITY, norm=LogNorm(1, max(counts.max(), 2.0))
    )
    ax.grid(color="white", linewidth=0.4, alpha=0.6)
    ax.tick_params(labelsize=6.5, colors=MUTED)
    ax.set_xticks(np.deg2rad([-120, -60, 0, 60, 120]))
    ax.set_title(title or f"Viewing directions of {len(longitude):,} particles")
    bar = figure.colorbar(drawn, ax=ax, shrink=0.8, pad=0.03)
    bar.set_label("Particles per cell of equal area", color=MUTED)
    bar.outline.set_visible(False)
    return figure
