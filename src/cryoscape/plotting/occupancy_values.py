"""Distributions of occupancies of some elements, over maps and over particles."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from cryoscape.plotting.style import ACCENT, DENSITY, HIGHLIGHT, INK, MUTED, new_figure, styled

_BINS, _MOST_COLUMNS = 40, 4
_TAIL_PERCENT = 0.1


@styled
def plot_occupancy_histograms(
    maps: Mapping[str, Float[np.ndarray, " n"]], particles: Mapping[str, Float[np.ndarray, " p"]]
) -> Figure:
    """A histogram an element: share of maps (bars) and of particles (line) by occupancy.

    Parameters
    ----------
    maps
        Values of the maps by element.
    particles
        Of the particles, for the same elements or none.
    """
    columns = min(len(maps), _MOST_COLUMNS)
    rows = math.ceil(len(maps) / columns)
    figure = new_figure(2.5 * columns + 0.4, 1.9 * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, (name, values) in zip(panels, maps.items(), strict=False):
        others = particles.get(name, values[:0])
        low, high = _limits(np.concatenate([values, others]))
        edges = np.linspace(low, high, _BINS + 1)
        ax.hist(
            np.clip(values, low, high), edges, weights=np.full(len(values), 100 / len(values)),
            color=ACCENT, alpha=0.55, label="maps",
        )  # fmt: skip
        if len(others):
            share = np.histogram(np.clip(others, low, high), edges)[0] * 100 / len(others)
            ax.stairs(share, edges, color=INK, linewidth=1.1, label="particles")
        ax.set_title(name, fontsize=9)
        ax.set_yscale("symlog", linthresh=1.0)
        ax.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
        ax.set_ylim(0, 130)
        ax.tick_params(labelsize=7.5)
    for ax in panels[len(maps) :]:
        ax.set_axis_off()
    panels[0].legend(fontsize=7.5)
    figure.supxlabel("Occupancy, rescaled", fontsize=9)
    figure.supylabel("Share (%)", fontsize=9)
    return figure


@styled
def plot_occupancy_pair(
    maps: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    particles: tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]] | None,
    names: tuple[str, str],
    numbers: Sequence[int],
    marked: Float[np.ndarray, " n"],
) -> Figure:
    """Occupancy of one element against another: maps as points, particles as a density below them.

    Parameters
    ----------
    numbers
        Of the maps; written beside those that are marked.
    marked
        1 for maps that are marked, such as those of a minor state; else 0.
    """
    figure = new_figure(5.4, 4.4)
    ax = figure.subplots()
    if particles is not None:
        limits = [_limits(np.concatenate(both)) for both in zip(maps, particles, strict=True)]
        counts, x, y = np.histogram2d(*particles, bins=80, range=limits)
        shown = np.where(counts > 0, counts, np.nan).T
        drawn = ax.pcolormesh(
            x, y, shown, norm=LogNorm(1, max(counts.max(), 2)), cmap=DENSITY, rasterized=True
        )
        bar = figure.colorbar(drawn, ax=ax, shrink=0.85)
        bar.set_label("Particles per bin")
        bar.outline.set_visible(False)
    chosen = marked > 0
    ax.scatter(
        maps[0][~chosen], maps[1][~chosen], s=9, color=MUTED, edgecolor="white", linewidth=0.3, label="maps"
    )
    if chosen.any():
        ax.scatter(
            maps[0][chosen], maps[1][chosen], s=20, color=HIGHLIGHT, edgecolor="white", linewidth=0.4,
            label=f"{int(chosen.sum())} chosen",
        )  # fmt: skip
        if chosen.sum() <= 12:
            for i in np.flatnonzero(chosen).tolist():
                ax.annotate(
                    str(numbers[i]), (maps[0][i], maps[1][i]), xytext=(4, 3), textcoords="offset points",
                    fontsize=7, color=INK,
                )  # fmt: skip
    ax.set(xlabel=f"Occupancy of {names[0]}", ylabel=f"Occupancy of {names[1]}")
    ax.legend(loc="upper left", bbox_to_anchor=(0, 1.1), ncols=2, borderaxespad=0)
    return figure


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Range without a few odd values, never empty."""
    low, high = np.percentile(values, [_TAIL_PERCENT, 100 - _TAIL_PERCENT])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)
