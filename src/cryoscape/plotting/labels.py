"""Numbers beside points that neither cover each other nor leave the axes."""

from collections.abc import Sequence

import matplotlib.patheffects as effects
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryoscape.plotting.style import INK

MAX_NUMBERED = 120
"""Above this many points numbers are left out: they could not be read."""


def number_labels(
    ax: Axes, at: Float[np.ndarray, "k 2"], texts: Sequence[str], *, always_beside: bool = False
) -> None:
    """Write a text at each point, moved apart until they are all legible, with a leader to its point.

    Draws nothing but small dots where there are more than MAX_NUMBERED texts.
    """
    if len(texts) > MAX_NUMBERED:
        ax.scatter(at[:, 0], at[:, 1], s=5, c=INK, linewidths=0, zorder=6)
        return
    font = 8.0 if len(texts) <= 30 else 6.0
    figure = ax.get_figure()
    while figure is not None and not isinstance(figure, Figure):
        figure = figure.get_figure()  # sub-figures
    if figure is None:
        return
    figure.draw_without_rendering()  # the layout decides where data lies on the page
    per_point = figure.dpi / 72
    targets = np.asarray(ax.transData.transform(at)) / per_point
    box = ax.get_window_extent()
    low = np.array([box.x0, box.y0]) / per_point + font
    high = np.array([box.x1, box.y1]) / per_point - font
    start = targets + _beside(targets) if always_beside else targets
    extent = np.array([[0.66 * font * max(len(t), 1) + 3.0, 1.25 * font] for t in texts])
    obstacles = targets if always_beside else np.empty((0, 2))
    places = spread_apart(start, extent, low, high, obstacles)
    halo = [effects.withStroke(linewidth=2.4, foreground="white")]
    for target, place, text, xy in zip(targets, places, texts, at, strict=True):
        offset = place - target
        far = float(np.hypot(*offset)) > (14.0 if always_beside else 7.0)
        ax.annotate(
            text,
            xy=(float(xy[0]), float(xy[1])),
            xytext=(float(offset[0]), float(offset[1])),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=font,
            fontweight="bold",
            color=INK,
            zorder=7,
            path_effects=halo,
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.6, "shrinkA": 3, "shrinkB": 0}
            if far
            else None,
            annotation_clip=False,
        )
        if far and not always_beside:
            ax.scatter(xy[0], xy[1], s=8, c=INK, edgecolors="white", linewidths=0.5, zorder=6)


def _beside(targets: Float[np.ndarray, "k 2"]) -> Float[np.ndarray, " 2"]:
    """Where numbers of a path go: above a path across the page, to the right of one that runs up."""
    width, height = np.ptp(targets, axis=0)
    return np.array([0.0, 10.0]) if width >= height else np.array([11.0, 0.0])


def spread_apart(
    start: Float[np.ndarray, "k 2"],
    extent: Float[np.ndarray, "k 2"],
    low: Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
    obstacles: Float[np.ndarray, "m 2"],
    n_rounds: int = 400,
) -> Float[np.ndarray, "k 2"]:
    """Centres of boxes moved from `start` until no two overlap (where room allows), kept in low..high.

    Parameters
    ----------
    start, extent : arrays (k, 2)
        Wanted centres, and width and height of the boxes, in one unit of length.
    obstacles : array (m, 2)
        Points that boxes should not cover.
    """
    places = np.clip(start, low, high)
    k = len(places)
    # ties (labels at the same point) need a direction to part in
    places = places + 0.01 * np.stack([np.cos(2.4 * np.arange(k)), np.sin(2.4 * np.arange(k))], axis=1)
    for _ in range(n_rounds):
        push = _push(places, places, extent[:, None], extent[None], skip_self=True)
        if len(obstacles):
            push += _push(places, obstacles, extent[:, None], np.full((1, len(obstacles), 2), 5.0))
        if not np.any(push):
            break
        places = np.clip(places + 0.55 * push, low, high)
    return np.asarray(places)


def _push(
    places: np.ndarray,
    others: np.ndarray,
    extent: np.ndarray,
    other_extent: np.ndarray,
    *,
    skip_self: bool = False,
) -> np.ndarray:
    """Sum of the smallest moves, along one axis each, that free boxes from what they overlap."""
    apart = places[:, None] - others[None]
    overlap = (extent + other_extent) / 2 - np.abs(apart)
    hit = (overlap > 0).all(axis=2)
    if skip_self:
        np.fill_diagonal(hit, False)
    along_y = overlap[..., 1] <= overlap[..., 0]
    move = np.where(np.stack([~along_y, along_y], axis=2), np.where(apart >= 0, 1.0, -1.0) * overlap, 0.0)
    return np.asarray((move * hit[..., None]).sum(axis=1)) * (0.5 if skip_self else 1.0)
