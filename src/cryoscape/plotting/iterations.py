"""Course of training of the engines that judge themselves on images not trained on."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cryoscape.plotting.style import ACCENT, HIGHLIGHT, INK, MUTED, OKABE_ITO, new_figure, styled


@styled
def plot_subspace_course(
    metrics: Mapping[str, Float[np.ndarray, " i"]], nyquist_radius: float, extent_angstrom: float | None
) -> Figure:
    """Held-out information, radius of the frequencies used, and noise, by iteration.

    Parameters
    ----------
    metrics : numbers of metrics.jsonl, see `analysis.iteration_log`.
    nyquist_radius : highest radius of the box, cycles a box.
    extent_angstrom : side of the box, for radii as resolutions; None where not known.
    """
    figure = new_figure(5.8, 5.2)
    top, middle, low = figure.subplots(3, 1, sharex=True, height_ratios=(1.5, 1, 1))
    iteration = metrics["iteration"]
    top.plot(iteration, metrics["held_out_information"], color=ACCENT, marker="o", markersize=3.2)
    top.axhline(0, color="#9aa4b0", linewidth=0.8, zorder=0)
    top.set(ylabel="Held-out information\n(nats an image)", title="Course of training")
    radius = metrics["radius"]
    middle.step(iteration, radius, where="mid", color=OKABE_ITO[5], linewidth=1.6)
    middle.axhline(nyquist_radius, color="#9aa4b0", linewidth=0.8, linestyle=(0, (4, 3)))
    middle.set(ylabel="Radius\n(cycles a box)", ylim=(0, 1.12 * nyquist_radius))
    middle.annotate(
        "Nyquist",
        (float(iteration[0]), nyquist_radius),
        xytext=(2, -3),
        textcoords="offset points",
        va="top",
        fontsize=7.5,
        color=INK,
    )
    if extent_angstrom is not None:
        _note_resolution(middle, iteration, radius, extent_angstrom)
    low.plot(iteration, metrics["noise"], color=OKABE_ITO[2], marker="o", markersize=3.2)
    low.set(ylabel="Noise variance\n(relative)", xlabel="Iteration")
    for ax in (top, middle, low):
        ax.grid(axis="y")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels()
    return figure


def _note_resolution(ax: Axes, iteration: np.ndarray, radius: np.ndarray, extent_angstrom: float) -> None:
    """The resolution beside each step of the radius."""
    steps = np.flatnonzero(np.diff(radius, prepend=-1))
    for first, last in zip(steps, [*(steps[1:] - 1), len(radius) - 1], strict=True):
        ax.annotate(
            f"{extent_angstrom / radius[first]:.0f} Å",
            (float(iteration[first] + iteration[last]) / 2, float(radius[first])),
            xytext=(0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7.5,
            color=INK,
        )


@styled
def plot_states_course(metrics: Mapping[str, Float[np.ndarray, " i"]]) -> Figure:
    """What each merger of states cost its smaller state; it jumps where states are merged that differ."""
    figure = new_figure(5.6, 3.4)
    ax = figure.add_subplot()
    cost, left = metrics["nats_a_particle"], metrics["n_states"]
    merged = np.isfinite(cost)
    ax.plot(left[merged], cost[merged], color=ACCENT, marker="o", markersize=3.6)
    ax.axvline(left[-1], color=OKABE_ITO[5], linewidth=1.1, linestyle=(0, (4, 3)))
    ax.invert_xaxis()
    ax.set(
        xlabel="States left after the merger",
        ylabel="Cost of the merger\n(nats a particle of the smaller state)",
        title=f"Merging of states (dashed: {left[-1]:.0f} kept)",
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y")
    return figure


@styled
def plot_networks_course(
    metrics: Mapping[str, Float[np.ndarray, " e"]],
    linear_log_likelihood: float | None = None,
    analysed: int | None = None,
) -> Figure:
    """What images say of networks that start from a subspace, trained on and held out, and their KL term.

    Parameters
    ----------
    metrics : numbers of metrics.jsonl by epoch; a rise of ``round`` is where maps were made again, from which
        on values are of other maps.
    linear_log_likelihood : of the linear subspace, with the last maps and the same images; if known.
    analysed : epoch to be marked.
    """
    figure = new_figure(5.8, 4.8)
    top, low = figure.subplots(2, 1, sharex=True, height_ratios=(1.7, 1))
    epoch, rounds = metrics["epoch"], metrics["round"]
    for number in np.unique(rounds):
        of_round, named = rounds == number, number == rounds[-1]
        for name, label, color in (
            ("training_bound", "bound, images trained on", OKABE_ITO[1]),
            ("held_out_bound", "bound, images held out", MUTED),
            ("held_out_log_likelihood", "log-likelihood, images held out", ACCENT),
        ):
            line = {"color": color, "marker": "o", "markersize": 3.0, "label": label if named else None}
            top.plot(epoch[of_round], metrics[name][of_round], **line)
        low.plot(
            epoch[of_round],
            metrics["kl_divergence"][of_round],
            color=OKABE_ITO[2],
            marker="o",
            markersize=3.0,
        )
        if number != rounds[0]:
            _note_new_maps((top, low), float(epoch[of_round][0]) - 0.5)
    if linear_log_likelihood is not None:
        span = epoch[rounds == rounds[-1]][[0, -1]] + (-0.4, 0.4)
        level = [linear_log_likelihood] * 2
        top.plot(
            span, level, color=INK, linewidth=1.1, linestyle=(0, (1, 1.5)), label="the same, linear subspace"
        )
    marked = "" if analysed is None else f" (dashed: epoch {analysed})"
    top.set(ylabel="Nats an image", title=f"Course of training{marked}")
    low.set(ylabel="KL divergence\n(nats)", xlabel="Epoch")
    for ax in (top, low):
        ax.grid(axis="y")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if analysed is not None:
            ax.axvline(analysed, color=HIGHLIGHT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0)
    figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.align_ylabels()
    return figure


def _note_new_maps(axes: tuple[Axes, Axes], place: float) -> None:
    for ax in axes:
        ax.axvline(place, color="#9aa4b0", linewidth=0.9, zorder=0)
    axes[1].annotate(
        "maps made again",
        (place, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-3, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=7.5,
        color=INK,
    )
