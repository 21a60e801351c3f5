"""Pictures of particles in two dimensions: points, densities, marginals, clusters and paths."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from cryoscape.plotting.labels import number_labels
from cryoscape.plotting.style import (
    ACCENT,
    DENSITY,
    HIGHLIGHT,
    INK,
    MUTED,
    SEQUENCE,
    bare,
    cluster_colors,
    new_figure,
    styled,
)


@dataclass(frozen=True)
class Plane:
    """Particles in a plane, with what its axes are called.

    Attributes
    ----------
    points : array (n, 2)
    x_label, y_label : names of the axes.
    unitless : no ticks are drawn, because distances mean nothing (UMAP).
    """

    points: Float[np.ndarray, "n 2"]
    x_label: str
    y_label: str
    unitless: bool = False

    def __len__(self) -> int:
        return len(self.points)


def umap_plane(layout: Float[np.ndarray, "n 2"]) -> Plane:
    """UMAP coordinates as a plane."""
    return Plane(layout, "UMAP 1", "UMAP 2", unitless=True)


def pca_plane(
    scores: Float[np.ndarray, "n c"], explained: Float[np.ndarray, " c"], x: int = 1, y: int = 2
) -> Plane:
    """Two principal components (1-based) as a plane; the axes say the share of the variance."""
    points = np.ascontiguousarray(scores[:, [x - 1, y - 1]])
    return Plane(points, pc_label(x, explained), pc_label(y, explained))


def pc_label(component: int, explained: Float[np.ndarray, " c"]) -> str:
    """Axis label of a principal component (1-based) with its share of the variance."""
    return f"PC{component} ({100 * explained[component - 1]:.1f} % of variance)"


@styled
def plot_points(plane: Plane, title: str = "") -> Figure:
    """All particles as points."""
    figure = new_figure()
    ax = _axes(figure, plane, title or f"{len(plane):,} particles")
    _points(ax, plane, ACCENT)
    return figure


@styled
def plot_hexbin(plane: Plane, title: str = "") -> Figure:
    """Particles per hexagon on a logarithmic colour scale."""
    figure = new_figure(5.7, 4.2)
    ax = _axes(figure, plane, title or f"{len(plane):,} particles")
    _hexagons(figure, ax, plane)
    return figure


@styled
def plot_marginals(plane: Plane, title: str = "") -> Figure:
    """Points with a histogram along each axis."""
    figure = new_figure(4.9, 4.9)
    grid = figure.add_gridspec(2, 2, width_ratios=(5, 1), height_ratios=(1, 5), wspace=0.02, hspace=0.02)
    ax = figure.add_subplot(grid[1, 0])
    _dress(ax, plane)
    _points(ax, plane, ACCENT)
    top = figure.add_subplot(grid[0, 0], sharex=ax)
    right = figure.add_subplot(grid[1, 1], sharey=ax)
    bins = int(np.clip(np.sqrt(len(plane)), 10, 80))
    top.hist(plane.points[:, 0], bins=bins, color=ACCENT, alpha=0.75)
    right.hist(plane.points[:, 1], bins=bins, color=ACCENT, alpha=0.75, orientation="horizontal")
    for side in (top, right):
        side.axis("off")
    top.set_title(title or f"{len(plane):,} particles")
    return figure


@styled
def plot_clusters(
    plane: Plane,
    labels: Int[np.ndarray, " n"],
    center_rows: Int[np.ndarray, " k"],
    title: str = "",
    numbers: Sequence[str] | None = None,
) -> Figure:
    """Particles coloured by cluster, on-data centres numbered as the files are (or as given)."""
    k = len(center_rows)
    figure = new_figure()
    ax = _axes(figure, plane, title or f"k-means, {k} clusters")
    colors = cluster_colors(k)
    order = np.random.default_rng(0).permutation(len(plane))  # no cluster hides the others
    _points(ax, plane, colors[labels[order]], order)
    number_labels(ax, plane.points[center_rows], numbers or [str(i) for i in range(k)])
    return figure


@styled
def plot_cluster_hexbin(plane: Plane, center_rows: Int[np.ndarray, " k"], title: str = "") -> Figure:
    """Particle density with the numbered on-data centres of the clusters."""
    k = len(center_rows)
    figure = new_figure(5.7, 4.2)
    ax = _axes(figure, plane, title or f"k-means, {k} clusters")
    _hexagons(figure, ax, plane)
    number_labels(ax, plane.points[center_rows], [str(i) for i in range(k)])
    return figure


@styled
def plot_path(
    plane: Plane,
    path: Float[np.ndarray, "p 2"],
    title: str = "",
    *,
    connected: bool = True,
    density: bool = False,
    first_number: int = 0,
) -> Figure:
    """A path through the particles, its points numbered as the map files are."""
    figure = new_figure(5.7, 4.2) if density else new_figure()
    ax = _axes(figure, plane, title)
    if density:
        _hexagons(figure, ax, plane)
    else:
        _points(ax, plane, "#aeb7c2")
    colors = SEQUENCE(np.linspace(0, 1, len(path)))
    if connected:
        ax.plot(path[:, 0], path[:, 1], color="white", linewidth=3.6, zorder=4)
        ax.plot(path[:, 0], path[:, 1], color=INK, linewidth=1.3, zorder=4)
    ax.scatter(path[:, 0], path[:, 1], c=colors, s=44, edgecolors="white", linewidths=0.9, zorder=5)
    number_labels(ax, path, [str(first_number + i) for i in range(len(path))], always_beside=True)
    return figure


@styled
def plot_colored(plane: Plane, values: Float[np.ndarray, " n"], value_label: str, title: str = "") -> Figure:
    """Particles coloured by a number, limits at its 1st and 99th percentile."""
    figure = new_figure(5.7, 4.2)
    ax = _axes(figure, plane, title)
    order = np.argsort(values, kind="stable")
    low, high = np.percentile(values, [1, 99])
    drawn = ax.scatter(
        plane.points[order, 0],
        plane.points[order, 1],
        c=values[order],
        cmap=SEQUENCE,
        vmin=low,
        vmax=high if high > low else low + 1,
        s=_size(len(plane)),
        linewidths=0,
        rasterized=True,
    )
    figure.colorbar(drawn, ax=ax, label=value_label, shrink=0.85, pad=0.02).outline.set_visible(False)
    return figure


@styled
def plot_histogram(
    values: Float[np.ndarray, " n"],
    label: str,
    title: str = "",
    *,
    marks: Float[np.ndarray, " m"] | None = None,
    first_number: int = 0,
) -> Figure:
    """Distribution of one latent coordinate, with numbered marks (cluster centres, points of a path)."""
    figure = new_figure(5.4, 3.2)
    ax = figure.add_subplot()
    bins = int(np.clip(np.sqrt(len(values)), 10, 100))
    ax.hist(values, bins=bins, color=ACCENT, alpha=0.45 if marks is not None else 0.8)
    ax.set(xlabel=label, ylabel="Particles", title=title or f"{len(values):,} particles")
    ax.grid(axis="y")
    if marks is not None:
        top = ax.get_ylim()[1]
        ax.vlines(marks, 0, 0.9 * top, color=HIGHLIGHT, linewidth=1.0)
        at = np.column_stack([marks, np.full(len(marks), 0.94 * top)])
        number_labels(ax, at, [str(first_number + i) for i in range(len(marks))])
    return figure


def _axes(figure: Figure, plane: Plane, title: str) -> Axes:
    ax = figure.add_subplot()
    _dress(ax, plane)
    ax.set_title(title)
    return ax


def _dress(ax: Axes, plane: Plane) -> None:
    ax.set(xlabel=plane.x_label, ylabel=plane.y_label)
    ax.set_box_aspect(1)
    ax.margins(0.06)
    if plane.unitless:
        bare(ax)


def _size(n: int) -> float:
    """Marker area in points squared: large enough for few particles, no blot for many."""
    return float(np.clip(4.0e4 / n, 0.6, 14.0))


def _points(ax: Axes, plane: Plane, color: object, order: Int[np.ndarray, " n"] | None = None) -> None:
    points = plane.points if order is None else plane.points[order]
    alpha = float(np.clip(8.0e3 / len(plane), 0.18, 0.8))
    ax.scatter(
        points[:, 0],
        points[:, 1],
        c=color,  # type: ignore[arg-type]
        s=_size(len(plane)),
        alpha=alpha,
        linewidths=0,
        rasterized=True,
    )


def _hexagons(figure: Figure, ax: Axes, plane: Plane) -> None:
    # so that the densest hexagons of an even cloud still hold a few particles
    gridsize = int(np.clip(np.sqrt(len(plane)) / 1.6, 12, 70))
    drawn = ax.hexbin(
        plane.points[:, 0],
        plane.points[:, 1],
        gridsize=gridsize,
        mincnt=1,
        norm=LogNorm(),
        cmap=DENSITY,
        linewidths=0.1,
    )
    counts = np.asarray(drawn.get_array())
    drawn.set_norm(LogNorm(1, max(float(counts.max()), 2.0)))
    bar = figure.colorbar(drawn, ax=ax, shrink=0.85, pad=0.02)
    bar.set_label("Particles per hexagon", color=MUTED)
    bar.outline.set_visible(False)
