"""A mask over the map it was made from."""

from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cryoscape.plotting.style import HIGHLIGHT, OKABE_ITO, new_figure, styled
from cryoscape.typing import Volume

_EDGES: tuple[tuple[float, str, Literal["-", "--"], str], ...] = (
    (0.999, OKABE_ITO[1], "-", "1 within"),
    (0.5, HIGHLIGHT, "-", "0.5"),
    (0.01, OKABE_ITO[4], "--", "0 beyond"),
)
"""Value of the mask, colour and line of a contour, and what the legend says."""


@styled
def plot_mask(volume: Volume, mask: Volume, pixel_size_angstrom: float, caption: str) -> Figure:
    """Three slices through the middle of the mask, with lines where it begins, is a half, and ends.

    Parameters
    ----------
    volume, mask
        Map and mask of one shape; light density.
    caption
        Over the slices.
    """
    figure = new_figure(9.6, 3.9)
    figure.suptitle(caption, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    low, high = np.percentile(volume, (1, 99.9))
    middle = [_middle(mask, axis) for axis in range(3)]
    for column, (axis, name) in enumerate(((0, "xy"), (1, "xz"), (2, "yz"))):
        ax = figure.add_subplot(1, 3, column + 1)
        shown, within = (np.take(each, middle[axis], axis) for each in (volume, mask))
        extent = (0.0, shown.shape[1] * pixel_size_angstrom, 0.0, shown.shape[0] * pixel_size_angstrom)
        ax.imshow(shown, cmap="gray", vmin=low, vmax=max(high, low + 1e-12), origin="lower", extent=extent)
        for level, color, style, _ in _EDGES:
            if within.min() < level < within.max():
                ax.contour(within, [level], colors=[color], linestyles=[style], linewidths=1.3, extent=extent)
        ax.set_title(f"Slice {name}, voxel {middle[axis]} of {'zyx'[axis]}", fontsize=9, fontweight="normal")
        ax.set_xlabel(f"{name[0]} (Å)")
        ax.set_ylabel(f"{name[1]} (Å)")
    lines = [Line2D([], [], color=color, linestyle=style, label=label) for _, color, style, label in _EDGES]
    figure.legend(handles=lines, title="Mask is", loc="outside right center")
    return figure


def _middle(mask: Volume, axis: int) -> int:
    """Slice across ``axis`` at the centre of mass of the mask."""
    others = tuple(other for other in range(3) if other != axis)
    weight = mask.sum(axis=others, dtype=np.float64)
    return round(float((weight * np.arange(len(weight))).sum() / weight.sum()))
