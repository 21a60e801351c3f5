"""Rows of rendered maps with captions, as one figure."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cryoscape.plotting.style import INK, MUTED, styled


@styled
def plot_montage(
    pictures: Sequence[Float[np.ndarray, "h w 4"]],
    names: Sequence[str],
    captions: Sequence[str],
    *,
    title: str = "",
    subtitle: str = "",
    n_columns: int = 5,
    swatches: Float[np.ndarray, "k 3"] | None = None,
    scale_bar: tuple[float, str] | None = None,
) -> Figure:
    """Pictures of maps in a grid, each with its name and a caption under it.

    Parameters
    ----------
    pictures : arrays (h, w, 4)
        Renderings with transparency, all of one size.
    names, captions : one each per picture, for example "3" and "1,204 particles".
    swatches : array (k, 3), optional
        Colour patch before each name (the cluster's colour).
    scale_bar : (fraction of a picture's width, label), optional
    """
    n = len(pictures)
    n_columns = max(1, min(n_columns, n))
    n_rows = -(-n // n_columns)
    tile, gap, head, foot = 1.75, 0.08, 0.62 if title else 0.1, 0.36 if scale_bar else 0.1
    text = 0.36
    width = n_columns * tile + (n_columns + 1) * gap
    height = head + n_rows * (tile + text + gap) + foot
    figure = Figure(figsize=(width, height))
    for i, picture in enumerate(pictures):
        row, column = divmod(i, n_columns)
        left = gap + column * (tile + gap)
        bottom = height - head - (row + 1) * tile - row * (text + gap)
        ax = figure.add_axes((left / width, bottom / height, tile / width, tile / height))
        ax.imshow(picture, interpolation="antialiased")
        ax.axis("off")
        middle = left + tile / 2
        place = (middle / width, (bottom - 0.10) / height)
        figure.text(*place, names[i], ha="center", va="center", fontsize=9, fontweight="bold", color=INK)
        figure.text(
            place[0],
            (bottom - 0.26) / height,
            captions[i],
            ha="center",
            va="center",
            fontsize=7.5,
            color=MUTED,
        )
        if swatches is not None:
            x = (middle - 0.10 - 0.045 * len(names[i]) - 0.09) / width
            patch = Rectangle(
                (x, place[1] - 0.045 / height),
                0.09 / width,
                0.09 / height,
                transform=figure.transFigure,
                facecolor=tuple(float(c) for c in swatches[i]),
                edgecolor="none",
            )
            figure.add_artist(patch)
    if title:
        figure.text(
            gap / width, 1 - 0.20 / height, title, va="center", fontsize=11, fontweight="bold", color=INK
        )
        figure.text(gap / width, 1 - 0.42 / height, subtitle, va="center", fontsize=8.5, color=MUTED)
    if scale_bar:
        length, label = scale_bar
        y = 0.2 / height
        figure.add_artist(
            Rectangle(
                (2 * gap / width, y),
                length * tile / width,
                0.03 / height,
                transform=figure.transFigure,
                facecolor=INK,
                edgecolor="none",
            )
        )
        figure.text((3 * gap + length * tile) / width, y, label, va="center", fontsize=8, color=INK)
    return figure


def nice_scale_bar(width_angstrom: float) -> tuple[float, str]:
    """A round length of at most 0.6 of a picture's width: (share of the width, label)."""
    limit = 0.6 * width_angstrom
    decade = 10.0 ** np.floor(np.log10(limit))
    length = float(max(step * decade for step in (1, 2, 5) if step * decade <= limit))
    return length / width_angstrom, f"{length:g} Å"
