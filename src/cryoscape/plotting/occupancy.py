"""Pictures of occupancies: the heat map with both trees, and how many classes a tree suggests."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, StrMethodFormatter

from cryoscape.plotting.style import ACCENT, HIGHLIGHT, INK, MUTED, cluster_colors, styled

_ABOVE = "#9aa4b0"
"""Links that join classes."""
_MAX_NAMED = 250
"""Above this many columns or rows names could not be read."""


def class_colors(k: int) -> Float[np.ndarray, "k 3"]:
    """Colours of classes of maps, sRGB in 0..1; numbers stand beside them, as many colours are alike."""
    return cluster_colors(k)


def block_colors(k: int) -> Float[np.ndarray, "k 3"]:
    """Colours of structural blocks, from dark blue to yellow with the number (viridis)."""
    return np.asarray(mpl.colormaps["viridis"](np.linspace(0, 1, k) if k > 1 else [0.0])[:, :3])


def hex_color(color: Float[np.ndarray, " 3"]) -> str:
    """``#rrggbb``."""
    return to_hex((float(color[0]), float(color[1]), float(color[2])))


@styled
def plot_occupancies(
    values: Float[np.ndarray, "n e"],
    names: Sequence[str],
    map_names: Sequence[str],
    classes: "TreePicture",
    blocks: "TreePicture",
    value_label: str = "Occupancy, rescaled",
) -> Figure:
    """Heat map of maps (rows) by elements (columns), with the trees of both.

    Parameters
    ----------
    values
        Rescaled occupancies, in the order of the table.
    names, map_names
        Of elements and maps.
    classes, blocks
        Trees of maps, drawn at the right, and of elements, drawn on top; both coloured below their cut.
    """
    n, e = values.shape
    width = float(np.clip(2.6 + 0.098 * e, 6.0, 18.0))
    height = float(np.clip(2.9 + (0.17 * n if n <= 40 else 6.8), 4.0, 9.7))
    figure = Figure(figsize=(width, height))
    left, right, bottom, top = 0.62 / width, 1 - 1.75 / width, 1.05 / height, 1 - 1.72 / height
    strip, gap = 0.13, 0.04
    heat = figure.add_axes((left, bottom, right - left, top - bottom))
    block_strip = figure.add_axes((left, top + gap / height, right - left, strip / height))
    above = figure.add_axes((left, top + (2 * gap + strip) / height, right - left, 0.95 / height))
    class_strip = figure.add_axes((right + gap / width, bottom, strip / width, top - bottom))
    beside = figure.add_axes((right + (gap + strip + 0.26) / width, bottom, 1.2 / width, top - bottom))
    image = _heat(heat, values[classes.order][:, blocks.order])
    _name_axes(heat, [names[i] for i in blocks.order], [map_names[i] for i in classes.order])
    _strip(block_strip, blocks, along_x=True)
    _strip(class_strip, classes, along_x=False)
    _tree(above, blocks, along_x=True)
    _tree(beside, classes, along_x=False)
    bar_axes = figure.add_axes((left, 0.3 / height, min(1.8 / width, right - left), 0.1 / height))
    bar = figure.colorbar(image, cax=bar_axes, orientation="horizontal")
    bar.outline.set_linewidth(0.6)
    bar_axes.tick_params(labelsize=7, length=2)
    bar_axes.set_title(value_label, fontsize=8, fontweight="normal", pad=3)
    figure.text(left, 1 - 0.24 / height, f"{n} maps, {e} elements", fontsize=10.5, fontweight="bold")
    figure.text(left, 1 - 0.42 / height, _subtitle(classes, blocks), fontsize=8.5, color=MUTED)
    return figure


class TreePicture:
    """A hierarchical clustering as it is drawn.

    Parameters
    ----------
    links
        (n - 1, 4) as scipy's `linkage` returns.
    order
        (n,) items in the order of the leaves.
    labels
        (n,) class of each item, counted from 0.
    threshold
        Distance at which the tree is cut.
    colors
        (k, 3) of the classes.
    """

    def __init__(
        self,
        links: Float[np.ndarray, "m 4"],
        order: Int[np.ndarray, " n"],
        labels: Int[np.ndarray, " n"],
        threshold: float,
        colors: Float[np.ndarray, "k 3"],
    ) -> None:
        self.links, self.order, self.labels = links, order, labels
        self.threshold, self.colors = threshold, colors

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1

    def branches(self) -> tuple[Float[np.ndarray, "m 4 2"], Int[np.ndarray, " m"]]:
        """Each link as a bracket of four points (place among the leaves, distance), and its class.

        The class is -1 for links between classes.
        """
        n = len(self.order)
        place = np.empty(2 * n - 1)
        place[self.order] = np.arange(n) + 0.5
        height = np.concatenate([np.zeros(n), self.links[:, 2]])
        kind = np.concatenate([self.labels, np.full(n - 1, -1)])
        brackets = np.empty((n - 1, 4, 2))
        for i, (a, b) in enumerate(self.links[:, :2].astype(np.int64)):
            place[n + i] = (place[a] + place[b]) / 2
            kind[n + i] = kind[a] if kind[a] == kind[b] else -1
            top = height[n + i]
            brackets[i] = ((place[a], height[a]), (place[a], top), (place[b], top), (place[b], height[b]))
        return brackets, kind[n:]


def _heat(ax: Axes, values: Float[np.ndarray, "n e"]) -> mpl.image.AxesImage:
    n, e = values.shape
    low, high = (0.0, 1.0) if values.min() >= 0 and values.max() <= 1 else (values.min(), values.max())
    image = ax.imshow(
        values, aspect="auto", cmap="Blues", vmin=low, vmax=high, interpolation="nearest", extent=(0, e, n, 0)
    )
    for spine in ax.spines.values():
        spine.set_visible(True)
    return image


def _name_axes(ax: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    if len(columns) <= _MAX_NAMED:
        size = float(np.clip(900 / len(columns), 4.0, 8.0))
        ax.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90, fontsize=size)
        ax.tick_params(axis="x", length=1.5, pad=1.5)
    else:
        ax.set_xticks([])
    if len(rows) <= 40:
        ax.set_yticks(np.arange(len(rows)) + 0.5, rows, fontsize=7)
        ax.tick_params(axis="y", length=1.5, pad=1.5)
    else:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(rows)} maps")


def _strip(ax: Axes, tree: TreePicture, along_x: bool) -> None:
    """Colours of the classes along the heat map, and their numbers."""
    n = len(tree.order)
    labels = tree.labels[tree.order]
    colors = ListedColormap(tree.colors)
    extent = (0, n, 0, 1) if along_x else (0, 1, n, 0)
    ax.imshow(
        labels[None] if along_x else labels[:, None],
        aspect="auto", cmap=colors, vmin=-0.5, vmax=len(tree.colors) - 0.5, interpolation="nearest",
        extent=extent,
    )  # fmt: skip
    ax.set_axis_off()
    edges = np.flatnonzero(np.diff(labels)) + 1
    for low, high in zip(np.concatenate([[0], edges]), np.concatenate([edges, [n]]), strict=True):
        middle, number = (low + high) / 2, str(labels[low])
        for edge in (low, high):
            line = ax.axvline if along_x else ax.axhline
            line(edge, color="white", linewidth=0.6)
        if along_x:
            bright = float(tree.colors[labels[low]] @ [0.3, 0.59, 0.11]) > 0.55
            ax.text(middle, 0.46, number, ha="center", va="center", fontsize=6.5,
                    fontweight="bold", color=INK if bright else "white")  # fmt: skip
        else:
            ax.text(1.35, middle, number, ha="left", va="center", fontsize=7, color=INK)


def _tree(ax: Axes, tree: TreePicture, along_x: bool) -> None:
    brackets, kind = tree.branches()
    colors = [hex_color(tree.colors[k]) if k >= 0 else _ABOVE for k in kind]
    lines = brackets if along_x else brackets[:, :, ::-1]
    ax.add_collection(LineCollection(list(lines), colors=colors, linewidths=0.9, capstyle="projecting"))
    n, top = len(tree.order), 1.04 * float(tree.links[:, 2].max() or 1.0)
    dashed: Any = {"color": HIGHLIGHT, "linewidth": 0.9, "linestyle": (0, (4, 3))}
    if along_x:
        ax.set(xlim=(0, n), ylim=(0, top), xticks=[])
        ax.axhline(tree.threshold, **dashed)
        ax.set_ylabel("distance\n(square root)", fontsize=7)
    else:
        ax.set(ylim=(n, 0), xlim=(0, top), yticks=[])
        ax.axvline(tree.threshold, **dashed)
        ax.set_xlabel("distance (square root)", fontsize=7)
    # square roots, or the links within classes, whose colours matter, could not be seen
    axis = ax.yaxis if along_x else ax.xaxis
    (ax.set_yscale if along_x else ax.set_xscale)("function", functions=(_root, np.square))
    axis.set_major_locator(FixedLocator(_ticks(top)))
    ax.tick_params(labelsize=6.5, length=2, pad=1.5)
    for side in ("bottom",) if along_x else ("left",):
        ax.spines[side].set_visible(False)


def _root(distance: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(distance, 0)))


def _ticks(top: float) -> list[float]:
    """0 and two round distances, evenly spaced to the eye on the scale of square roots."""
    found = [0.0]
    for share in (0.2, 0.75):
        step = 10 ** np.floor(np.log10(share * top))
        found.append(float(np.floor(share * top / step) * step))
    return found


def _subtitle(classes: TreePicture, blocks: TreePicture) -> str:
    return (
        f"{_count(classes.n_classes, 'class', 'classes')} of maps (right), "
        f"{_count(blocks.n_classes, 'structural block', 'structural blocks')} (top)"
    )


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


@styled
def plot_cuts(heights: Sequence[tuple[str, Float[np.ndarray, " _"], int, int]]) -> Figure:
    """Height of the links against the number of classes a cut there leaves, with the cut that was made.

    Parameters
    ----------
    heights
        One panel each: title, heights of the links, number of classes used, number suggested.
    """
    figure = Figure(figsize=(3.6 * len(heights), 3.0), layout="constrained")
    panels = figure.subplots(1, len(heights), squeeze=False)[0]
    for ax, (title, values, used, suggested) in zip(panels, heights, strict=True):
        top = np.sort(values)[::-1][:40]
        numbers = np.arange(2, len(top) + 2)
        ax.plot(numbers, top, "o-", markersize=3, linewidth=1, color=ACCENT)
        ax.axvline(used + 0.5, color=HIGHLIGHT, linestyle=(0, (4, 3)), linewidth=1.1, label=f"used: {used}")
        if suggested != used:
            ax.axvline(
                suggested + 0.5, color=MUTED, linewidth=1.1, linestyle=":", label=f"suggested: {suggested}"
            )
        ax.set(title=title, xlabel="number of groups", ylabel="distance of the link that is cut")
        if top.min() > 0 and top.max() > 8 * top.min():
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            ax.yaxis.set_minor_formatter(NullFormatter())
        ax.legend()
    return figure
