"""Curves of convergence by epoch: loss, shifts of latents, agreement and noise of maps, plateaus."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cryoscape.plotting.style import (
    ACCENT,
    HIGHLIGHT,
    INK,
    MUTED,
    SEQUENCE,
    cluster_colors,
    new_figure,
    styled,
)

_DASHED = (0, (4, 3))
_MARKED_UP_TO = 60


@styled
def plot_loss(
    epoch: Int[np.ndarray, " e"], total: Float[np.ndarray, " e"], plateau_epoch: int | None
) -> Figure:
    """Total loss per epoch; beyond 8 epochs a second panel leaves the first ones out, which hide the rest."""
    late = epoch >= epoch[0] + max(2, len(epoch) // 5)
    zoomed = len(epoch) > 8
    figure = new_figure(8.6 if zoomed else 5.2, 3.3)
    panels = figure.subplots(1, 2 if zoomed else 1, squeeze=False)[0]
    for number, (ax, shown) in enumerate(zip(panels, (np.ones_like(late), late), strict=False)):
        _line(ax, epoch[shown], total[shown])
        ax.set_ylabel("Total loss per image")
        ax.set_title("Total loss" if number == 0 else f"From epoch {epoch[shown][0]}")
        _epochs(ax)
        _plateau(ax, plateau_epoch, number == 0)
    return figure


@styled
def plot_shifts(
    epoch: Int[np.ndarray, " e"],
    dot: Float[np.ndarray, " e"],
    magnitude: Float[np.ndarray, " e"],
    cosine_distance: Float[np.ndarray, " e"],
    plateau_epochs: tuple[int | None, int | None, int | None],
    step: int = 1,
) -> Figure:
    """Medians over particles of successive shifts in latent space, with their rolling means."""
    figure = new_figure(10.8, 3.4)
    panels = figure.subplots(1, 3)
    shown = (
        (dot, "Median dot product", "Dot product", 0.0, "random directions"),
        (magnitude, "Median length (latent units)", "Magnitude", None, ""),
        (cosine_distance, "Median cosine distance", "Cosine distance", 1.0, "random directions"),
    )
    for ax, (values, label, title, reference, name), start in zip(panels, shown, plateau_epochs, strict=True):
        _line(ax, epoch, values, with_mean=True)
        if reference is not None:
            ax.axhline(reference, color=MUTED, linewidth=0.9, linestyle=_DASHED, zorder=1, label=name)
        ax.set_ylabel(label)
        ax.set_title(title)
        ax.margins(y=0.2)  # room for the legend
        _epochs(ax)
        _plateau(ax, start, False)
        if start is not None or reference is not None or len(epoch) >= 8:
            ax.legend(loc="best", fontsize=7.5, frameon=True, edgecolor="none", framealpha=0.85)
    between = "successive epochs" if step == 1 else f"epochs {step} apart"
    figure.suptitle(f"Shifts of particles in latent space between {between}", x=0.01, ha="left", fontsize=9)
    return figure


@styled
def plot_by_map(
    epoch: Int[np.ndarray, " e"],
    values: Float[np.ndarray, "m e"],
    labels: Sequence[str],
    y_label: str,
    title: str,
    *,
    solid_from: int | None,
) -> Figure:
    """One thin line a map and their median; dotted up to `solid_from` (throughout where it is None)."""
    figure = new_figure(6.2, 3.9)
    ax = figure.add_subplot()
    _by_map(ax, epoch, values, labels, solid_from)
    ax.set(ylabel=y_label, title=title)
    _epochs(ax)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return figure


@styled
def plot_fsc_grid(
    frequency: Float[np.ndarray, " s"],
    fsc: Float[np.ndarray, "m p s"],
    pairs: Sequence[tuple[int, int]],
    labels: Sequence[str],
    pixel_size_angstrom: float,
) -> Figure:
    """FSC between maps of successive compared epochs, one panel a map, later epochs lighter.

    Parameters
    ----------
    frequency : cycles per pixel.
    pairs : (earlier, later) epoch of each curve.
    """
    n_columns = min(5, len(labels))
    n_rows = -(-len(labels) // n_columns)
    figure = new_figure(2.3 * n_columns + 1.0, 2.1 * n_rows + 0.5)
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    colors = SEQUENCE(np.linspace(0, 1, max(len(pairs), 2)))
    for ax, curves, label in zip(panels.flat, fsc, labels, strict=False):
        for curve, color in zip(curves, colors, strict=False):
            ax.plot(frequency, curve, color=color, linewidth=1.2)
        ax.axhline(0.5, color="#9aa4b0", linewidth=0.8, linestyle=_DASHED, zorder=1)
        ax.set_title(label)
        ax.grid(axis="y")
    for ax in panels.flat[len(labels) :]:
        ax.axis("off")
    low = float(np.nanmin(fsc)) if np.isfinite(fsc).any() else 0.0
    ticks = np.array([0.125, 0.25, 0.375, 0.5])
    panels[0, 0].set(xlim=(0, 0.5), ylim=(max(min(0.0, low) - 0.03, -0.4), 1.03))
    panels[0, 0].set_xticks(ticks, [f"{pixel_size_angstrom / t:.3g}" for t in ticks])
    figure.supxlabel("Resolution (Å)", fontsize=9.5)
    figure.supylabel("Fourier shell correlation", fontsize=9.5)
    handles = [panels[0, 0].plot([], [], color=c)[0] for c in colors[: len(pairs)]]
    handles += panels[0, 0].plot([], [], color="#9aa4b0", linewidth=0.8, linestyle=_DASHED)
    names = [*(f"{a} and {b}" for a, b in pairs), "FSC 0.5"]
    figure.legend(handles, names, title="Epochs", loc="outside right center", fontsize=8)
    return figure


@styled
def plot_map_noise(
    epoch: Int[np.ndarray, " e"],
    solvent_noise: Float[np.ndarray, "m e"],
    high_frequency_noise: Float[np.ndarray, "m p"],
    labels: Sequence[str],
) -> Figure:
    """What grows when training goes on for too long: noise outside the particle, and at high frequencies.

    The second compares each epoch with the one before, so the first has no value.
    """
    figure = new_figure(10.2, 3.8)
    panels = figure.subplots(1, 2)
    shown = (
        (epoch, solvent_noise, "Std outside / std inside the mask", "Noise outside the particle"),
        (
            epoch[1:],
            100 * high_frequency_noise,
            "Share of the power of the map (%)",
            "Not reproduced above 2/3 of Nyquist",
        ),
    )
    for ax, (at, values, y_label, title) in zip(panels, shown, strict=True):
        _by_map(ax, at, values, labels, int(at[0]))
        ax.set(ylabel=y_label, title=title)
        ax.margins(y=0.12)
        ax.set_ylim(bottom=0)
        _epochs(ax)
    panels[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return figure


@styled
def plot_plateaus(
    names: Sequence[str],
    plateau_epochs: Sequence[int | None],
    judged: Sequence[bool],
    first_epoch: int,
    last_epoch: int,
    converged: int | None,
) -> Figure:
    """A bar from the epoch since which each measure has been flat to the last one."""
    n = len(names)
    figure = new_figure(7.2, 0.36 * n + 1.1)
    ax = figure.add_subplot()
    for i, (start, known) in enumerate(zip(plateau_epochs, judged, strict=True)):
        ax.plot([first_epoch, last_epoch], [i, i], color="#e4e8ed", linewidth=9, solid_capstyle="butt")
        if start is not None:
            end = max(last_epoch, start + 0.4)
            ax.plot([start, end], [i, i], color=ACCENT, linewidth=9, solid_capstyle="butt")
        else:
            text = "still changing" if known else "too few epochs"
            color = HIGHLIGHT if known else MUTED
            ax.text(
                (first_epoch + last_epoch) / 2, i, text, ha="center", va="center", fontsize=8, color=color
            )
    if converged is not None:
        ax.axvline(converged, color=HIGHLIGHT, linewidth=1.2, linestyle=_DASHED)
    ax.set_yticks(range(n), names)
    ax.set_ylim(n - 0.4, -0.6)
    ax.set_xlim(first_epoch, max(last_epoch, first_epoch + 1))
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    _epochs(ax)
    ax.grid(visible=False)
    marked = "" if converged is None else f" (dashed: most of them, epoch {converged})"
    ax.set_title(f"Where each measure is flat{marked}")
    return figure


def _line(ax: Axes, epoch: np.ndarray, values: np.ndarray, with_mean: bool = False) -> None:
    marker = "o" if len(epoch) <= _MARKED_UP_TO else ""
    if not with_mean or len(epoch) < 8:
        ax.plot(epoch, values, color=ACCENT, marker=marker, markersize=3)
        return
    ax.plot(epoch, values, color="#93bbdf", marker=marker, markersize=2.5, linewidth=0.9)
    mean = np.convolve(values, np.ones(3) / 3, mode="valid")
    ax.plot(epoch[1:-1], mean, color=ACCENT, label="rolling mean of 3")


def _by_map(
    ax: Axes, epoch: np.ndarray, values: np.ndarray, labels: Sequence[str], solid_from: int | None
) -> None:
    place = len(epoch) - 1 if solid_from is None else int(np.searchsorted(epoch, solid_from))
    median = np.full(values.shape[1], np.nan)
    known = np.isfinite(values).any(axis=0)
    if known.any():
        median[known] = np.nanmedian(values[:, known], axis=0)
    rows = [*values, median] if len(labels) > 1 else [*values]
    colors = [*cluster_colors(len(labels)), INK]
    for i, row in enumerate(rows):
        color, width = colors[i], 1.2 if i < len(labels) else 2.4
        label = labels[i] if i < len(labels) else "median"
        before, since = slice(None, place + 1), slice(place, None)
        ax.plot(epoch[before], row[before], color=color, linewidth=0.8 * width, linestyle=(0, (1, 1.8)))
        ax.plot(epoch[since], row[since], color=color, linewidth=width, marker="o", markersize=3, label=label)


def _epochs(ax: Axes) -> None:
    ax.set_xlabel("Epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y")


def _plateau(ax: Axes, start: int | None, legend: bool) -> None:
    if start is None:
        return
    ax.axvline(start, color=HIGHLIGHT, linewidth=1.0, linestyle=_DASHED, label=f"flat since epoch {start}")
    if legend:
        ax.legend(loc="upper right", fontsize=8)
