"""A path over the particles, and how many of them support each of its points."""

from collections.abc import Sequence

import matplotlib.patheffects as effects
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cryoscape.plotting.embedding import Plane
from cryoscape.plotting.labels import number_labels
from cryoscape.plotting.style import HIGHLIGHT, INK, MUTED, SEQUENCE, bare, new_figure, styled

MAX_DRAWN = 200_000
"""Particles drawn, at most; of more, a random part."""


@styled
def plot_path_support(
    planes: Sequence[tuple[Plane, Float[np.ndarray, "p 2"]]],
    particles: Int[np.ndarray, " p"],
    anchors_at: Int[np.ndarray, " a"],
    title: str,
    measure: str,
) -> Figure:
    """Path over the particles in one panel a plane, above bars of its support, point by point.

    Points are numbered as their maps are, and coloured by their order in all panels.

    Parameters
    ----------
    planes : pairs
        The particles in a plane, and the path there.
    particles : array (p,)
        Particles that support each point.
    anchors_at : array (a,)
        Points that are marked and numbered.
    measure : str
        What support means, in words that continue "particles ...".
    """
    n_panels = max(len(planes), 1)
    width = 4.4 * n_panels + (0.6 if n_panels == 1 else 0.0)
    figure = new_figure(width, 6.3 if planes else 2.6)
    figure.suptitle(title, x=0.015, ha="left", fontsize=11, fontweight="bold", color=INK)
    rows = 2 if planes else 1
    grid = figure.add_gridspec(rows, n_panels, height_ratios=(4.2, 1.6)[-rows:])
    colors = SEQUENCE(np.linspace(0, 1, len(particles)))
    panels = [figure.add_subplot(grid[0, i]) for i in range(len(planes))]
    for ax, (plane, path) in zip(panels, planes, strict=True):
        _path(ax, plane, path, anchors_at, colors)
    _bars(figure.add_subplot(grid[rows - 1, :]), particles, anchors_at, colors, measure)
    for ax, (_, path) in zip(panels, planes, strict=True):
        shown = _apart(anchors_at)
        number_labels(ax, path[shown], [str(i) for i in shown], always_beside=True)
    return figure


def _apart(anchors_at: Int[np.ndarray, " a"]) -> Int[np.ndarray, " s"]:
    """Anchors to number: all, or of very many an even part with both ends."""
    if len(anchors_at) <= 40:
        return np.unique(anchors_at)
    return np.unique(anchors_at[np.linspace(0, len(anchors_at) - 1, 40).astype(int)])


def _path(
    ax: Axes,
    plane: Plane,
    path: Float[np.ndarray, "p 2"],
    anchors_at: Int[np.ndarray, " a"],
    colors: np.ndarray,
) -> None:
    points = plane.points
    if len(points) > MAX_DRAWN:
        points = points[np.random.default_rng(0).choice(len(points), MAX_DRAWN, replace=False)]
    size = float(np.clip(4.0e4 / len(points), 0.6, 14.0))
    alpha = float(np.clip(6.0e3 / len(points), 0.12, 0.6))
    ax.scatter(points[:, 0], points[:, 1], s=size, c="#9aa7b5", alpha=alpha, linewidths=0, rasterized=True)
    ax.plot(path[:, 0], path[:, 1], color="white", linewidth=3.2, zorder=4)
    ax.plot(path[:, 0], path[:, 1], color=INK, linewidth=1.0, zorder=4)
    between = np.setdiff1d(np.arange(len(path)), anchors_at)
    small = 26.0 if len(path) <= 40 else 14.0
    ax.scatter(
        path[between, 0],
        path[between, 1],
        c=colors[between],
        s=small,
        edgecolors="white",
        linewidths=0.7,
        zorder=5,
    )
    ax.scatter(
        path[anchors_at, 0],
        path[anchors_at, 1],
        c=colors[anchors_at],
        s=58,
        edgecolors=INK,
        linewidths=1.1,
        zorder=6,
    )
    ax.set(xlabel=plane.x_label, ylabel=plane.y_label)
    ax.set_box_aspect(1)
    ax.margins(0.06)
    if plane.unitless:
        bare(ax)
        ax.set_title("nearest particles of the path", fontweight="normal", fontsize=8.5, color=MUTED)


def _bars(
    ax: Axes,
    particles: Int[np.ndarray, " p"],
    anchors_at: Int[np.ndarray, " a"],
    colors: np.ndarray,
    measure: str,
) -> None:
    """Support by number of the point; a logarithmic scale where it varies much, zeros named."""
    number = np.arange(len(particles))
    some = particles[particles > 0]
    edges = np.where(np.isin(number, anchors_at), INK, "none")
    widths = 0.8 if len(number) <= 60 else 1.0
    ax.bar(number, particles, width=widths, color=colors, edgecolor=edges, linewidth=1.0)
    if len(some) and some.max() > 30 * some.min():
        ax.set_yscale("log")
        ax.set_ylim(bottom=min(0.6 * some.min(), 0.7), top=2.0 * some.max())
    floor = ax.get_ylim()[0]
    halo = [effects.withStroke(linewidth=2.0, foreground="white")]
    for i in number[particles == 0]:
        ax.text(
            i, floor, "0", color=HIGHLIGHT, ha="center", va="bottom", fontsize=8, fontweight="bold",
            path_effects=halo,
        )  # fmt: skip
    ax.set(xlabel="Point of the path (number of its map)", ylabel="Particles")
    ax.set_title(f"Support: particles {measure}", fontweight="normal", fontsize=8.5, color=MUTED)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=16, integer=True))
    ax.set_xlim(-0.8, len(number) - 0.2)
    ax.grid(axis="y")
