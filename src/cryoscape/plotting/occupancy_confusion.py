"""Picture of classes against given labels, as a matrix of shares."""

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure

from cryoscape.plotting.style import INK, MUTED, styled

_MAX_PRINTED = 40
"""Above this many rows or columns no shares are printed: they could not be read."""
_LEAST_PRINTED = 0.005


@styled
def plot_confusion(
    counts: Int[np.ndarray, "k m"],
    classes: Int[np.ndarray, " k"],
    labels: tuple[str, ...],
    adjusted_rand: float,
    class_name: str = "Occupancy class",
) -> Figure:
    """Share of the particles of each label (columns, which add up to 100 %) in each class (rows).

    Parameters
    ----------
    counts
        Particles of each class and label.
    adjusted_rand
        Written above.
    """
    k, m = counts.shape
    share = counts / np.maximum(counts.sum(axis=0), 1)
    cell = 0.36 if max(k, m) <= _MAX_PRINTED else 14.0 / max(k, m)
    longest = max(len(f"{number}") for number in labels)
    left, right, bottom, top = 1.5, 1.25, 0.55 + 0.075 * longest, 0.7
    width, height = max(m * cell + left + right, 4.2), max(k * cell + bottom + top, 2.9)
    bottom = height - top - k * cell
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((left / width, bottom / height, m * cell / width, k * cell / height))
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(np.arange(m), labels, rotation=90 if longest > 3 else 0)
    totals = counts.sum(axis=1)
    ax.set_yticks(np.arange(k), [f"{c}  ({n:,})" for c, n in zip(classes, totals, strict=True)])
    ax.tick_params(length=2)
    ax.set(xlabel="Given label", ylabel=f"{class_name} (particles)" if k > 5 else "Class")
    for spine in ax.spines.values():
        spine.set_visible(True)
    if max(k, m) <= _MAX_PRINTED:
        for i, j in np.argwhere(share >= _LEAST_PRINTED):
            color = "white" if share[i, j] > 0.55 else INK
            ax.text(j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", fontsize=6.5, color=color)
    tall = min(max(k * cell, 1.7), 2.2)
    lowest = max(bottom + k * cell - tall, 0.2)
    bar_axes = figure.add_axes(
        ((left + max(m * cell, 0.75) + 0.15) / width, lowest / height, 0.12 / width, tall / height)
    )
    bar = figure.colorbar(image, cax=bar_axes, format=lambda value, _: f"{100 * value:.0f} %")
    bar.outline.set_linewidth(0.6)
    bar.set_label("Share of the label's particles")
    start = 0.15 / width
    figure.text(start, 1 - 0.28 / height, "Classes against given labels", fontsize=10.5, fontweight="bold")
    note = f"{int(counts.sum()):,} particles, adjusted Rand index {adjusted_rand:.2f}"
    figure.text(start, 1 - 0.5 / height, note, fontsize=8.5, color=MUTED)
    return figure
