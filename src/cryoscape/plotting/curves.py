"""Curves and bars of a run: losses per epoch, variance per component, particles per cluster."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from cryoscape.plotting.style import (
    ACCENT,
    HIGHLIGHT,
    INK,
    MUTED,
    OKABE_ITO,
    cluster_colors,
    new_figure,
    styled,
)


@styled
def plot_learning_curve(
    epoch: Int[np.ndarray, " e"],
    total: Float[np.ndarray, " e"],
    reconstruction: Float[np.ndarray, " e"] | None = None,
    kl: Float[np.ndarray, " e"] | None = None,
    *,
    analysed: int | None = None,
) -> Figure:
    """Average losses per epoch; the analysed epoch is marked, the KL term has its own panel.

    NaN values (terms that were not recorded) are left out.
    """
    has_kl = kl is not None and bool(np.isfinite(kl).any())
    figure = new_figure(5.6, 4.6 if has_kl else 3.4)
    panels = figure.subplots(2 if has_kl else 1, 1, sharex=True, squeeze=False)[:, 0]
    marker = "o" if len(epoch) < 60 else ""
    main = panels[0]
    main.plot(epoch, total, color=ACCENT, marker=marker, markersize=3.2, label="total")
    if reconstruction is not None and np.isfinite(reconstruction).any():
        main.plot(epoch, reconstruction, color=OKABE_ITO[1], linewidth=1.3, label="reconstruction")
        main.legend(loc="best")
    marked = "" if analysed is None else f" (dashed: epoch {analysed})"
    main.set(ylabel="Loss per image", title=f"Learning curve{marked}")
    if kl is not None and has_kl:
        panels[1].plot(epoch, kl, color=OKABE_ITO[2], marker=marker, markersize=3.2)
        panels[1].set_ylabel("KL divergence")
    for ax in panels:
        ax.grid(axis="y")
        if analysed is not None:
            ax.axvline(analysed, color=HIGHLIGHT, linewidth=1.0, linestyle=(0, (4, 3)))
    panels[-1].set_xlabel("Epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


@styled
def plot_explained_variance(explained: Float[np.ndarray, " c"]) -> Figure:
    """Share of the latent variance by principal component, and the running sum."""
    n = len(explained)
    number = np.arange(1, n + 1)
    figure = new_figure(max(3.6, min(0.42 * n + 2.0, 8.0)), 3.3)
    ax = figure.add_subplot()
    ax.bar(number, explained, color=ACCENT, width=0.72)
    ax.plot(number, np.cumsum(explained), color=MUTED, marker="o", markersize=3.5, linewidth=1.2)
    if n <= 12:
        for x, share in zip(number, explained, strict=True):
            inside = share > 0.12
            ax.annotate(
                f"{100 * share:.0f}",
                (float(x), float(share)),
                xytext=(0, -9 if inside else 4),
                textcoords="offset points",
                ha="center",
                va="center" if inside else "bottom",
                fontsize=8,
                color="white" if inside else INK,
            )
    ax.set(xlabel="Principal component", ylabel="Share of latent variance", ylim=(0, 1.06))
    ax.set_title("Variance by component (line: sum)")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if n <= 12:
        ax.set_xticks(number)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y")
    return figure


@styled
def plot_cluster_sizes(counts: Int[np.ndarray, " k"]) -> Figure:
    """Particles in each cluster, coloured and numbered as everywhere else."""
    k = len(counts)
    figure = new_figure(float(np.clip(0.28 * k + 1.6, 4.4, 10.0)), 2.9)
    ax = figure.add_subplot()
    ax.bar(np.arange(k), counts, color=cluster_colors(k), width=0.8)
    ax.axhline(counts.mean(), color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.set(xlabel="Cluster", ylabel="Particles", title="Particles per cluster (dashed: mean)")
    if k <= 40:
        ax.set_xticks(np.arange(k))
        ax.tick_params(axis="x", labelsize=7.5)
    ax.set_xlim(-0.7, k - 0.3)
    ax.grid(axis="y")
    return figure
