"""Particle images in a grid."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from cryoscape.plotting.montage import nice_scale_bar
from cryoscape.plotting.style import INK, MUTED, styled


@styled
def plot_images(
    images: Float[np.ndarray, "n y x"],
    captions: Sequence[str],
    *,
    title: str = "",
    subtitle: str = "",
    pixel_size_angstrom: float | None = None,
    n_columns: int = 5,
) -> Figure:
    """Images in rows from the top left, each with a caption under it.

    Parameters
    ----------
    images
        Grey levels (n, D, D) in 0..1.
    captions
        One each, for example row numbers.
    pixel_size_angstrom
        Draws a scale bar where it is known.
    """
    n = len(images)
    n_columns = max(1, min(n_columns, n))
    n_rows = -(-n // n_columns)
    tile, gap, text, head, foot = 1.5, 0.1, 0.2, 0.66, 0.36
    # a title needs its room also over one column
    width = max(n_columns * (tile + gap) + gap, 4.2)
    height = head + n_rows * (tile + text + gap) + foot
    figure = Figure(figsize=(width, height))
    for i, image in enumerate(images):
        row, column = divmod(i, n_columns)
        left = gap + column * (tile + gap)
        bottom = height - head - (row + 1) * tile - row * (text + gap)
        ax = figure.add_axes((left / width, bottom / height, tile / width, tile / height))
        ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.axis("off")
        place = ((left + tile / 2) / width, (bottom - 0.1) / height)
        figure.text(*place, captions[i], ha="center", va="center", fontsize=8, color=INK)
    x = gap / width
    figure.text(x, 1 - 0.2 / height, title, va="center", fontsize=11, fontweight="bold", color=INK)
    figure.text(x, 1 - 0.43 / height, subtitle, va="center", fontsize=8.5, color=MUTED)
    if pixel_size_angstrom is not None:
        share, label = nice_scale_bar(images.shape[-1] * pixel_size_angstrom)
        ax = figure.add_axes((gap / width, 0.16 / height, share * tile / width, 0.04 / height))
        ax.set_facecolor(INK)
        ax.set(xticks=[], yticks=[])
        figure.text(
            (2 * gap + share * tile) / width, 0.18 / height, label, va="center", fontsize=8, color=INK
        )
    return figure
