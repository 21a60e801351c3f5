"""Densities of particles over a plane of a landscape, and their negative logarithm."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator

from cryoscape.plotting.labels import number_labels
from cryoscape.plotting.style import DENSITY, INK, SEQUENCE, new_figure, styled


@styled
def plot_landscape(
    x_edges: Float[np.ndarray, " e"],
    y_edges: Float[np.ndarray, " e"],
    particles: Float[np.ndarray, "b b"],
    surprise: Float[np.ndarray, "b b"],
    labels: tuple[str, str],
    *,
    centers: Float[np.ndarray, "s 2"] | None = None,
    uncertainty: Float[np.ndarray, "2 2"] | None = None,
) -> Figure:
    """Counts of particles over a plane, and -ln of the density relative to its highest value.

    Parameters
    ----------
    centers : (s, 2) numbered places of states.
    uncertainty : covariance (2, 2) of the place of a typical particle, drawn as an ellipse of one standard
        deviation: wells that are no wider than this have the width of the noise.
    """
    figure = new_figure(10.6, 4.7)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    seen = np.where(particles >= 0.5, particles, np.nan)
    top = max(float(np.nanmax(seen)), 2.0) if np.isfinite(seen).any() else 2.0
    drawn = left.pcolormesh(x_edges, y_edges, seen, norm=LogNorm(0.5, top), cmap=DENSITY, rasterized=True)
    bar = figure.colorbar(drawn, ax=left, shrink=0.85, pad=0.02)
    bar.set_label("Particles per bin")
    bar.outline.set_visible(False)
    left.set_title("Particles")
    highest = float(np.clip(np.nanmax(surprise), 1.0, 8.0)) if np.isfinite(surprise).any() else 1.0
    x, y = (x_edges[1:] + x_edges[:-1]) / 2, (y_edges[1:] + y_edges[:-1]) / 2
    steps = np.linspace(0, highest, 17)
    filled = right.contourf(x, y, np.ma.masked_invalid(surprise), levels=steps, cmap=SEQUENCE, extend="max")
    right.contour(
        x, y, np.ma.masked_invalid(surprise), levels=steps[::2], colors="white", linewidths=0.4, alpha=0.6
    )
    bar = figure.colorbar(filled, ax=right, shrink=0.85, pad=0.02)
    bar.set_label("−ln (density / highest density)")
    bar.ax.yaxis.set_major_locator(MaxNLocator(5))
    bar.outline.set_visible(False)
    right.set_title("Negative logarithm of the density (not an energy)")
    for ax in (left, right):
        ax.set(xlabel=labels[0], ylabel=labels[1])
        ax.set_box_aspect(1)
        if uncertainty is not None:
            _ellipse(ax, uncertainty)
        if centers is not None:
            number_labels(ax, centers, [str(i) for i in range(len(centers))])
    return figure


def _ellipse(ax: Axes, covariance: np.ndarray) -> None:
    """One standard deviation of a particle's place, in the lower left corner of the axes."""
    variance, turn = np.linalg.eigh(covariance)
    width, height = 2 * np.sqrt(np.maximum(variance[::-1], 0))
    angle = float(np.degrees(np.arctan2(turn[1, 1], turn[0, 1])))
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    half = np.sqrt(np.diag(covariance))
    at = (x0 + 0.04 * (x1 - x0) + half[0], y0 + 0.10 * (y1 - y0) + half[1])
    ax.add_patch(Ellipse(at, width, height, angle=angle, facecolor="none", edgecolor=INK, linewidth=1.3))
    ax.text(
        x0 + 0.03 * (x1 - x0),
        y0 + 0.03 * (y1 - y0),
        "ellipse: 1 s.d. of one particle",
        fontsize=7.5,
        color=INK,
    )
