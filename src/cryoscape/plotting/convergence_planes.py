"""Planes of particles by epoch, and the maxima of their density followed through training."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from cryoscape.plotting.labels import number_labels
from cryoscape.plotting.style import (
    DENSITY,
    HIGHLIGHT,
    INK,
    MUTED,
    bare,
    cluster_colors,
    new_figure,
    styled,
)

Plane = Float[np.ndarray, "n 2"]


@styled
def plot_epoch_planes(planes: Sequence[Plane], epochs: Sequence[int], kind: str) -> Figure:
    """Density of the particles at each compared epoch, on one logarithmic scale."""
    figure, panels = _grid(len(planes), extra_width=0.9)
    drawn = [_hexagons(ax, plane) for ax, plane in zip(panels, planes, strict=True)]
    highest = max(float(np.asarray(d.get_array()).max()) for d in drawn)
    norm = LogNorm(1, max(highest, 2.0))
    for ax, hexagons, epoch in zip(panels, drawn, epochs, strict=True):
        hexagons.set_norm(norm)
        ax.set_title(f"Epoch {epoch}")
    bar = figure.colorbar(drawn[-1], ax=panels, shrink=0.6, pad=0.02)
    bar.set_label("Particles per hexagon", color=MUTED)
    bar.outline.set_visible(False)
    figure.suptitle(f"{kind} of {len(planes[0]):,} particles", x=0.01, ha="left", fontsize=9)
    return figure


@styled
def plot_sketch(
    plane: Plane,
    histograms: tuple[Float[np.ndarray, "b b"], Float[np.ndarray, "b b"]],
    edges: tuple[Float[np.ndarray, " e"], Float[np.ndarray, " e"]],
    maxima: tuple[Float[np.ndarray, "m 2"], Float[np.ndarray, "k 2"]],
    members: Sequence[Int[np.ndarray, " _"]],
    medians: Int[np.ndarray, " k"],
    labels: Sequence[str],
) -> Figure:
    """The UMAP local maxima method in four panels: histogram, smoothed, maxima, particles about the maxima.

    Parameters
    ----------
    histograms : [x, y] as counted, and smoothed.
    edges : of the bins along x and y.
    maxima : places of all that were found, and of those kept.
    members : rows of the plane about each maximum kept.
    medians : row of the on-data median of each.
    """
    figure = new_figure(12.6, 3.7)
    panels = figure.subplots(1, 4)
    counts, smoothed = histograms
    _histogram(figure, panels[0], counts, edges, f"Particles, {len(counts)} bins an axis")
    _histogram(figure, panels[1], smoothed, edges, "Smoothed")
    _histogram(None, panels[2], smoothed, edges, "Local maxima")
    found, kept = maxima
    panels[2].plot(found[:, 0], found[:, 1], "o", ms=6, mfc="none", mec=INK, mew=1.0, label="found")
    panels[2].plot(kept[:, 0], kept[:, 1], "x", ms=6, color=HIGHLIGHT, mew=1.8, label="kept")
    panels[2].legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, fontsize=8)
    ax = panels[3]
    _particles(ax, plane)
    for rows, color in zip(members, cluster_colors(len(members)), strict=True):
        ax.scatter(
            plane[rows, 0],
            plane[rows, 1],
            s=max(_dot(len(plane)), 2.0),
            color=color,
            linewidths=0,
            rasterized=True,
        )
    ax.set_title("Particles about the maxima")
    for panel in panels:
        panel.set(xlim=_limits(edges[0]), ylim=_limits(edges[1]))
        panel.set_box_aspect(1)
        bare(panel)
    number_labels(ax, plane[medians].astype(np.float64), labels, always_beside=True)
    return figure


@styled
def plot_followed(
    planes: Sequence[Plane],
    epochs: Sequence[int],
    medians: Int[np.ndarray, "k e"],
    labels: Sequence[str],
) -> Figure:
    """The on-data median of each particle set on the plane of each compared epoch."""
    figure, panels = _grid(len(planes))
    colors = cluster_colors(len(labels))
    places = [plane[rows].astype(np.float64) for plane, rows in zip(planes, medians.T, strict=True)]
    for ax, plane, at, epoch in zip(panels, planes, places, epochs, strict=True):
        _particles(ax, plane)
        ax.scatter(at[:, 0], at[:, 1], s=26, color=colors, edgecolors="white", linewidths=0.8, zorder=5)
        ax.set_title(f"Epoch {epoch}")
    for ax, at in zip(panels, places, strict=True):
        number_labels(ax, at, labels, always_beside=True)
    return figure


def _histogram(
    figure: Figure | None,
    ax: Axes,
    histogram: Float[np.ndarray, "b b"],
    edges: tuple[Float[np.ndarray, " e"], Float[np.ndarray, " e"]],
    title: str,
) -> None:
    """Counts as colours, empty bins white; with a colour bar where the figure is given."""
    shown = np.ma.masked_less_equal(histogram.T, 0.01 * histogram.max())
    image = ax.pcolormesh(*edges, shown, cmap=DENSITY, rasterized=True)
    ax.set_title(title)
    if figure is not None:
        bar = figure.colorbar(image, ax=ax, shrink=0.7, pad=0.02)
        bar.set_label("Particles per bin", color=MUTED)
        bar.outline.set_visible(False)


def _particles(ax: Axes, plane: Plane) -> None:
    ax.scatter(plane[:, 0], plane[:, 1], s=_dot(len(plane)), c="#d3d9e0", linewidths=0, rasterized=True)


def _grid(n: int, extra_width: float = 0.0) -> tuple[Figure, list[Axes]]:
    n_columns = min(5, n)
    n_rows = -(-n // n_columns)
    figure = new_figure(2.4 * n_columns + 0.3 + extra_width, 2.55 * n_rows + 0.35)
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for ax in panels[n:]:
        ax.axis("off")
    for ax in panels[:n]:
        ax.set_box_aspect(1)
        ax.margins(0.06)
        bare(ax)
    return figure, panels[:n]


def _hexagons(ax: Axes, plane: Plane) -> PolyCollection:
    gridsize = int(np.clip(np.sqrt(len(plane)) / 1.6, 12, 40))
    return ax.hexbin(
        plane[:, 0], plane[:, 1], gridsize=gridsize, mincnt=1, norm=LogNorm(), cmap=DENSITY, linewidths=0.1
    )


def _dot(n: int) -> float:
    return float(np.clip(1.5e4 / n, 0.4, 8.0))


def _limits(edges: Float[np.ndarray, " e"]) -> tuple[float, float]:
    margin = 0.07 * float(edges[-1] - edges[0])
    return float(edges[0]) - margin, float(edges[-1]) + margin
