"""Diagrams of two or three overlapping sets, drawn to scale as far as circles allow."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from cryoscape.errors import InputError
from cryoscape.plotting.style import INK, MUTED, OKABE_ITO, new_figure, styled

COLORS = (OKABE_ITO[5], OKABE_ITO[2], OKABE_ITO[0])
"""Vermilion, green and blue: in the order of the published figure, and safe for colour-blind readers."""
Regions = Mapping[tuple[int, ...], int]
_GRID = 700


@styled
def plot_venn(
    names: Sequence[str], sizes: Sequence[int], regions: Regions, title: str = "", subtitle: str = ""
) -> Figure:
    """Two or three sets as circles; areas of circles, and of what each two share, are to scale.

    Three circles cannot show every combination to scale: the numbers are what counts. A region too small
    for its number has it outside, with a line.

    Parameters
    ----------
    sizes : elements of each set.
    regions : elements that are in just these sets, by the tuple of their places, as `Agreement.regions`.
    """
    if len(names) not in (2, 3):
        raise InputError(f"the diagram takes 2 or 3 sets, found {len(names)}.")
    radii, centres = circle_layout(sizes, regions)
    figure = new_figure(5.6, 5.2)
    ax = figure.add_subplot()
    ax.set_aspect("equal")
    ax.axis("off")
    for i, (radius, centre) in enumerate(zip(radii, centres, strict=True)):
        ax.add_patch(Circle(tuple(centre), radius, facecolor=COLORS[i], alpha=0.30, linewidth=0))
        ax.add_patch(Circle(tuple(centre), radius, facecolor="none", edgecolor=COLORS[i], linewidth=1.8))
    extent = _frame(ax, radii, centres)
    _region_numbers(ax, radii, centres, regions, extent)
    _legend(figure, names, sizes)
    if title:
        ax.set_title(title, pad=20 if subtitle else None)
    if subtitle:
        ax.text(0, 1.02, subtitle, transform=ax.transAxes, va="bottom", fontsize=8.5, color=MUTED)
    return figure


def circle_layout(
    sizes: Sequence[int], regions: Regions
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k 2"]]:
    """Radii (k,) and centres (k, 2) of circles whose areas and pairwise overlaps are to scale.

    The largest circle has the area 1. Where three distances make no triangle the centres are the nearest
    to it in the sense of least squares.
    """
    k = len(sizes)
    areas = np.maximum(np.asarray(sizes, dtype=np.float64), 1e-3 * max(1, *sizes)) / max(1, *sizes)
    radii = np.sqrt(areas / np.pi)
    distance = np.zeros((k, k))
    for i in range(k):
        for j in range(i):
            shared = sum(count for places, count in regions.items() if i in places and j in places)
            distance[i, j] = distance[j, i] = _distance(radii[i], radii[j], shared / max(1, *sizes))
    if k == 2:
        return radii, np.array([[-distance[0, 1] / 2, 0.0], [distance[0, 1] / 2, 0.0]])
    return radii, _place_three(distance)


def _place_three(distance: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k 2"]:
    """The first above, the second below left, the third below right."""
    from scipy.optimize import least_squares

    pairs = ((0, 1), (0, 2), (1, 2))
    wanted = np.array([distance[i, j] for i, j in pairs])

    def misfit(flat: np.ndarray) -> np.ndarray:
        points = flat.reshape(3, 2)
        found = np.array([np.hypot(*(points[i] - points[j])) for i, j in pairs])
        return np.asarray(found - wanted)

    spread = max(float(wanted.mean()), 1e-3)
    start = spread * np.array([[0.0, 0.58], [-0.5, -0.29], [0.5, -0.29]])
    centres = least_squares(misfit, start.ravel()).x.reshape(3, 2)
    centres -= centres.mean(axis=0)
    turn = np.pi / 2 - np.arctan2(centres[0, 1], centres[0, 0])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(centres @ rotation.T)


def _distance(a: float, b: float, shared: float) -> float:
    """Distance of the centres of circles of radii a and b that share an area."""
    from scipy.optimize import brentq

    nearest, farthest = abs(a - b), a + b
    if shared <= 1e-9:
        return 1.06 * farthest
    if shared >= np.pi * min(a, b) ** 2 * (1 - 1e-6):
        return 0.9 * nearest
    return float(brentq(lambda d: lens_area(a, b, d) - shared, nearest, farthest))


def lens_area(a: float, b: float, distance: float) -> float:
    """Area that two circles of radii a and b share."""
    if distance >= a + b:
        return 0.0
    if distance <= abs(a - b):
        return float(np.pi * min(a, b) ** 2)
    x = (distance**2 + a**2 - b**2) / (2 * distance)
    y = (distance**2 - a**2 + b**2) / (2 * distance)
    half_chord = np.sqrt(max(a**2 - x**2, 0.0))
    return float(
        a**2 * np.arccos(np.clip(x / a, -1, 1))
        + b**2 * np.arccos(np.clip(y / b, -1, 1))
        - distance * half_chord
    )


def _frame(ax: Axes, radii: np.ndarray, centres: np.ndarray) -> tuple[float, float, float, float]:
    """Limits of the axes with room for numbers outside the circles."""
    low = (centres - radii[:, None]).min(axis=0)
    high = (centres + radii[:, None]).max(axis=0)
    room = 0.13 * (high - low).max()
    middle, half = (low + high) / 2, (high - low).max() / 2 + room
    limits = (middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half)
    ax.set_xlim(limits[:2])
    ax.set_ylim(limits[2:])
    return limits


def _region_numbers(
    ax: Axes,
    radii: np.ndarray,
    centres: np.ndarray,
    regions: Regions,
    extent: tuple[float, float, float, float],
) -> None:
    """Each count where its region is widest, or beside the circles where there is no room."""
    from scipy.ndimage import distance_transform_edt

    x = np.linspace(extent[0], extent[1], _GRID)
    y = np.linspace(extent[2], extent[3], _GRID)
    step = x[1] - x[0]
    inside = [np.hypot(x[None, :] - c[0], y[:, None] - c[1]) < r for r, c in zip(radii, centres, strict=True)]
    outside_of_all = np.asarray(distance_transform_edt(~np.logical_or.reduce(inside))) * step
    unplaced = []
    for places, count in regions.items():
        depth = np.asarray(distance_transform_edt(_region(inside, places))) * step
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        at = float(x[column]), float(y[row])
        text = f"{count:,}"
        room = depth[row, column] / (extent[1] - extent[0])
        if room > 0.006 + 0.009 * len(text):
            ax.text(*at, text, ha="center", va="center", fontsize=10, color=INK)
        elif count:
            unplaced.append((text, at if room > 0 else None, places))
    _numbers_outside(ax, unplaced, outside_of_all, (x, y), centres)


def _region(inside: Sequence[Bool[np.ndarray, "g g"]], places: tuple[int, ...]) -> Bool[np.ndarray, "g g"]:
    found = np.ones_like(inside[0])
    for i, circle in enumerate(inside):
        found &= circle if i in places else ~circle
    return found


def _numbers_outside(
    ax: Axes,
    unplaced: Sequence[tuple[str, tuple[float, float] | None, tuple[int, ...]]],
    outside: np.ndarray,
    grid: tuple[np.ndarray, np.ndarray],
    centres: np.ndarray,
) -> None:
    """Counts whose region is narrow: on the outside nearest to it, joined by a line."""
    x, y = grid
    taken: list[np.ndarray] = []
    extent = x[-1] - x[0]
    for text, at, places in unplaced:
        target = np.asarray(at if at is not None else centres[list(places)].mean(axis=0))
        distance = np.hypot(x[None, :] - target[0], y[:, None] - target[1])
        distance = np.where(outside > 0.05 * extent, distance, np.inf)
        border = 0.06 * extent
        distance[:, (x < x[0] + border) | (x > x[-1] - border)] = np.inf
        for other in taken:
            distance[np.hypot(x[None, :] - other[0], y[:, None] - other[1]) < 0.12 * extent] = np.inf
        row, column = np.unravel_index(distance.argmin(), distance.shape)
        spot = float(x[column]), float(y[row])
        taken.append(np.array(spot))
        ax.plot(*np.stack([target, spot], axis=1), color=MUTED, linewidth=0.8)
        ax.text(
            *spot, text, ha="center", va="center", fontsize=9, color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
        )  # fmt: skip


def _legend(figure: Figure, names: Sequence[str], sizes: Sequence[int]) -> None:
    """Names and sizes below the diagram: beside circles that nearly coincide they would cover each other."""
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=9, markerfacecolor=(*to_rgb(color), 0.3),
               markeredgecolor=color, markeredgewidth=1.6)
        for color in COLORS
    ]  # fmt: skip
    labels = [f"{name}: {size:,}" for name, size in zip(names, sizes, strict=True)]
    columns = 1 if max(map(len, labels)) > 28 else len(labels)
    figure.legend(handles[: len(labels)], labels, loc="outside lower center", ncols=columns, fontsize=9)
