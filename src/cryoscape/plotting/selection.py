"""Pictures of selections: where the particles lie, and what their images look like."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from cryoscape.plotting.embedding import Plane
from cryoscape.plotting.style import INK, MUTED, OKABE_ITO, bare, new_figure, styled

KEPT, DROPPED = OKABE_ITO[0], OKABE_ITO[5]
"""Blue and vermilion: apart in hue, and for colour-blind readers."""


@dataclass(frozen=True)
class Group:
    """Particles to be shown in one colour: name, colour, and which they are (n,)."""

    name: str
    color: str
    mask: Bool[np.ndarray, " n"]


@dataclass(frozen=True)
class ImageRow:
    """One row of images: what they are, in bold and plain, a colour, and grey levels (n, y, x) in 0..1."""

    name: str
    detail: str
    color: str
    images: Float[np.ndarray, "n y x"]


@styled
def plot_groups(
    planes: Sequence[Plane],
    groups: Sequence[Group],
    title: str = "",
    outline: tuple[int, Float[np.ndarray, "m 2"]] | None = None,
) -> Figure:
    """Particles of each group in planes side by side, drawn in random order so that none hides another.

    Parameters
    ----------
    outline : number of a plane and the corners of an outline drawn over it, optional.
    """
    figure = new_figure(4.5 * len(planes), 5.2)
    if title:
        figure.suptitle(title, fontsize=10.5, fontweight="bold", x=0.02, ha="left", color=INK)
    for number, plane in enumerate(planes):
        ax = figure.add_subplot(1, len(planes), number + 1)
        _scatter(ax, plane, groups)
        if outline is not None and outline[0] == number:
            closed = np.vstack([outline[1], outline[1][:1]])
            ax.plot(closed[:, 0], closed[:, 1], color="white", linewidth=2.8, zorder=4)
            ax.plot(closed[:, 0], closed[:, 1], color=INK, linewidth=1.2, zorder=5)
    _legend(figure, groups)
    return figure


@styled
def plot_groups_apart(plane: Plane, groups: Sequence[Group], title: str = "") -> Figure:
    """One panel a group, its particles in colour over all others in grey: for groups that share particles."""
    figure = new_figure(3.5 * len(groups), 3.9)
    if title:
        figure.suptitle(title, fontsize=10.5, fontweight="bold", x=0.01, ha="left", color=INK)
    for number, group in enumerate(groups):
        ax = figure.add_subplot(1, len(groups), number + 1)
        _scatter(ax, plane, [group])
        ax.set_title(f"{group.name}\n{int(group.mask.sum()):,} particles", fontsize=9, color=INK)
        if number:
            ax.set_ylabel("")
    return figure


def _scatter(ax: Axes, plane: Plane, groups: Sequence[Group]) -> None:
    n = len(plane)
    color = np.tile(np.array(to_rgb("#c3cad2"), dtype=np.float32), (n, 1))
    grouped = np.zeros(n, dtype=bool)
    for group in groups:
        color[group.mask] = to_rgb(group.color)
        grouped |= group.mask
    order = np.random.default_rng(0).permutation(n)
    order = np.concatenate([order[~grouped[order]], order[grouped[order]]])
    ax.scatter(
        plane.points[order, 0],
        plane.points[order, 1],
        c=color[order],
        s=float(np.clip(4.0e4 / n, 0.6, 14.0)),
        alpha=float(np.clip(1.6e4 / n, 0.25, 0.8)),
        linewidths=0,
        rasterized=True,
    )
    ax.set(xlabel=plane.x_label, ylabel=plane.y_label)
    ax.set_box_aspect(1)
    ax.margins(0.05)
    if plane.unitless:
        bare(ax)


def _legend(figure: Figure, groups: Sequence[Group]) -> None:
    n = len(groups[0].mask)
    handles = [Line2D([], [], marker="o", linestyle="", markersize=6, color=g.color) for g in groups]
    labels = []
    for group in groups:
        count = int(group.mask.sum())
        labels.append(f"{group.name}: {count:,} ({100 * count / n:.1f} %)")
    figure.legend(handles, labels, loc="outside lower center", ncols=len(groups), handletextpad=0.3)


@styled
def plot_image_rows(
    rows: Sequence[ImageRow],
    title: str = "",
    scale_bar: tuple[float, str] | None = None,
) -> Figure:
    """Particle images in rows, the same particles below each other where rows belong together.

    Parameters
    ----------
    scale_bar : (fraction of an image's width, label), optional
    """
    n_columns = max(len(row.images) for row in rows)
    side = 0.45 + 0.078 * max(len(text) for row in rows for text in (row.name, row.detail))
    tile, gap, head = 1.0, 0.05, 0.45 if title else 0.1
    foot = 0.34 if scale_bar else 0.1
    between = [0.2 if i and rows[i].name != rows[i - 1].name else gap for i in range(len(rows))]
    width = side + n_columns * (tile + gap) + gap
    height = head + len(rows) * tile + sum(between) + foot
    figure = Figure(figsize=(width, height))
    top = height - head
    for row, space in zip(rows, between, strict=True):
        top -= tile + space
        _image_row(figure, row, (side, top, tile, gap), (width, height))
    if title:
        figure.text(
            0.1 / width, 1 - 0.24 / height, title, va="center", fontsize=10.5, fontweight="bold", color=INK
        )
    if scale_bar:
        bar = (side / width, 0.2 / height, scale_bar[0] * tile / width, 0.035 / height)
        figure.add_artist(Rectangle(bar[:2], *bar[2:], transform=figure.transFigure, facecolor=INK))
        figure.text(bar[0] + bar[2] + 0.06 / width, bar[1], scale_bar[1], va="center", fontsize=8, color=INK)
    return figure


def _image_row(
    figure: Figure, row: ImageRow, place: tuple[float, float, float, float], size: tuple[float, float]
) -> None:
    left, bottom, tile, gap = place
    width, height = size
    for column, image in enumerate(row.images):
        x = left + column * (tile + gap)
        ax = figure.add_axes((x / width, bottom / height, tile / width, tile / height))
        ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        ax.axis("off")
    mark = Rectangle(
        ((left - 0.13) / width, bottom / height),
        0.05 / width,
        tile / height,
        transform=figure.transFigure,
        facecolor=row.color,
    )
    figure.add_artist(mark)
    middle = bottom + tile / 2
    text = {"ha": "right", "va": "center", "fontsize": 8.5}
    x = (left - 0.2) / width
    figure.text(x, (middle + 0.09) / height, row.name, fontweight="bold", color=INK, **text)  # type: ignore[arg-type]
    figure.text(x, (middle - 0.09) / height, row.detail, color=MUTED, **text)  # type: ignore[arg-type]
