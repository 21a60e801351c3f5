"""Figures of a landscape of maps: components, tree, states, densities, mask."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from cryoscape.plotting.labels import number_labels
from cryoscape.plotting.style import (
    ACCENT,
    HIGHLIGHT,
    INK,
    MUTED,
    cluster_colors,
    new_figure,
    styled,
)


def volume_pc_label(component: int, explained: Float[np.ndarray, " r"]) -> str:
    """Axis label of a component of maps (1-based) with its share of their variance."""
    return f"Volume PC{component} ({100 * explained[component - 1]:.1f} %)"


@styled
def plot_maps_in_plane(
    coordinates: Float[np.ndarray, "k c"],
    explained: Float[np.ndarray, " r"],
    counts: Int[np.ndarray, " k"],
    states: Int[np.ndarray, " k"],
    pair: tuple[int, int] = (1, 2),
) -> Figure:
    """Compared maps in the plane of two components (1-based), area by particles, coloured by state."""
    figure = new_figure(5.2, 5.0)
    ax = figure.add_subplot()
    _maps(ax, coordinates, counts, states, pair)
    ax.set(xlabel=volume_pc_label(pair[0], explained), ylabel=volume_pc_label(pair[1], explained))
    ax.set_title(f"{len(coordinates):,} maps, {int(states.max()) + 1} states (area: particles)")
    ax.set_box_aspect(1)
    centers = _centers(coordinates, counts, states)[:, [pair[0] - 1, pair[1] - 1]]
    number_labels(ax, centers, [str(i) for i in range(len(centers))])
    return figure


@styled
def plot_component_grid(
    coordinates: Float[np.ndarray, "k c"],
    explained: Float[np.ndarray, " r"],
    counts: Int[np.ndarray, " k"],
    states: Int[np.ndarray, " k"],
    n_components: int,
) -> Figure:
    """Compared maps on every pair of the first components, histograms of particles on the diagonal."""
    n = min(n_components, coordinates.shape[1])
    figure = new_figure(1.0 + 1.75 * n, 0.9 + 1.75 * n)
    axes = figure.subplots(n, n, squeeze=False)
    for row in range(n):
        for column in range(n):
            ax = axes[row, column]
            if column > row:
                ax.axis("off")
                continue
            if column == row:
                ax.hist(coordinates[:, row], bins=40, weights=counts, color=ACCENT, alpha=0.8)
                ax.set_yticks([])
                ax.spines["left"].set_visible(False)
            else:
                _maps(ax, coordinates, counts, states, (column + 1, row + 1), size=0.45)
            ax.set_box_aspect(1)
            ax.xaxis.set_major_locator(MaxNLocator(4))
            if column < row:
                ax.yaxis.set_major_locator(MaxNLocator(4))
            ax.tick_params(labelsize=7, labelbottom=row == n - 1, labelleft=column == 0 and row > 0)
            if row == n - 1:
                ax.set_xlabel(f"PC{column + 1} ({100 * explained[column]:.1f} %)")
            if column == 0 and row > 0:
                ax.set_ylabel(f"PC{row + 1} ({100 * explained[row]:.1f} %)")
    figure.suptitle("Components of the maps, coloured by state", x=0.02, ha="left", fontweight="bold")
    return figure


def _maps(
    ax: Axes,
    coordinates: np.ndarray,
    counts: np.ndarray,
    states: np.ndarray,
    pair: tuple[int, int],
    size: float = 1.0,
) -> None:
    colors = cluster_colors(int(states.max()) + 1)
    area = size * np.clip(2.4e4 / len(counts), 8.0, 90.0) * counts / counts.mean()
    order = np.argsort(-counts, kind="stable")  # small ones on top
    ax.scatter(
        coordinates[order, pair[0] - 1],
        coordinates[order, pair[1] - 1],
        s=np.clip(area[order], 2.0, 400.0),
        c=colors[states[order]],
        alpha=0.75,
        linewidths=0.3,
        edgecolors="white",
        rasterized=True,
    )
    ax.margins(0.06)


def _centers(coordinates: np.ndarray, counts: np.ndarray, states: np.ndarray) -> np.ndarray:
    total = np.bincount(states, weights=counts)
    return np.stack([np.bincount(states, weights=counts * c) / total for c in coordinates.T], axis=1)


@styled
def plot_map_variance(explained: Float[np.ndarray, " r"], n_kept: int) -> Figure:
    """Share of the variance of the maps by component, and the running sum."""
    share = explained[:n_kept]
    number = np.arange(1, len(share) + 1)
    figure = new_figure(float(np.clip(0.3 * len(share) + 2.2, 3.8, 8.0)), 3.3)
    ax = figure.add_subplot()
    ax.bar(number, share, color=ACCENT, width=0.72)
    ax.plot(number, np.cumsum(share), color=MUTED, marker="o", markersize=3.5, linewidth=1.2)
    ax.set(xlabel="Component of the maps", ylabel="Share of the variance of maps", ylim=(0, 1.06))
    ax.set_title("Variance by component (line: sum)")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y")
    return figure


@styled
def plot_tree(links: Float[np.ndarray, "m 4"], particles: Int[np.ndarray, " s"], linkage: str) -> Figure:
    """The top of the tree of maps down to the states, which are coloured and told with their particles."""
    from scipy.cluster.hierarchy import dendrogram

    n = len(particles)
    figure = new_figure(float(np.clip(0.42 * n + 1.8, 4.2, 12.0)), 4.0)
    ax = figure.add_subplot()
    colors = cluster_colors(n)
    if n > 1:
        drawn = dendrogram(links, p=n, truncate_mode="lastp", no_plot=True)
        for x, y in zip(drawn["icoord"], drawn["dcoord"], strict=True):
            ax.plot((np.array(x) - 5) / 10, y, color=INK, linewidth=1.2)
        ax.set_ylim(0, 1.05 * max(max(y) for y in drawn["dcoord"]))
    ax.scatter(np.arange(n), np.zeros(n), s=90, c=colors, zorder=5, clip_on=False, edgecolors="white")
    ax.set_xticks(np.arange(n), [f"{i}\n{count:,}" for i, count in enumerate(particles)])
    ax.tick_params(axis="x", length=0, pad=7, labelsize=8 if n <= 16 else 6.5)
    ax.set_xlim(-0.6, n - 0.4)
    ax.set(xlabel="State, particles", ylabel=f"Distance of groups ({linkage})")
    ax.set_title("Tree of the maps, down to the states")
    return figure


@styled
def plot_suggestion(
    numbers: Int[np.ndarray, " m"], silhouette: Float[np.ndarray, " m"], chosen: int
) -> Figure:
    """How clearly the maps part into each number of states; the suggested number is marked."""
    figure = new_figure(4.6, 3.3)
    ax = figure.add_subplot()
    ax.plot(numbers, silhouette, color=ACCENT, marker="o", markersize=3.5)
    at = silhouette[numbers == chosen]
    ax.scatter([chosen] * len(at), at, s=70, color=HIGHLIGHT, zorder=5)
    ax.annotate(
        f"{chosen} states", (chosen, float(at[0])), xytext=(0, 11), textcoords="offset points", ha="center"
    )
    low = min(0.0, float(silhouette.min()))
    ax.set(xlabel="Number of states", ylabel="Mean silhouette")
    ax.set_ylim(low, low + 1.25 * (float(silhouette.max()) - low))
    ax.set_title("How clearly the maps part")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y")
    return figure


@styled
def plot_state_counts(counts: Int[np.ndarray, " s"], what: str) -> Figure:
    """Particles or maps of each state, with their numbers; `what` names what is counted."""
    n = len(counts)
    figure = new_figure(float(np.clip(0.42 * n + 1.6, 3.8, 12.0)), 2.9)
    ax = figure.add_subplot()
    ax.bar(np.arange(n), counts, color=cluster_colors(n), width=0.8)
    for i, count in enumerate(counts):
        ax.annotate(
            f"{100 * count / counts.sum():.0f} %",
            (i, float(count)),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5 if n <= 16 else 6,
        )
    ax.set(xlabel="State", ylabel=what, title=f"{what} by state")
    ax.set_xticks(np.arange(n))
    ax.tick_params(axis="x", labelsize=8 if n <= 24 else 6)
    ax.margins(y=0.14)
    ax.set_xlim(-0.7, n - 0.3)
    ax.grid(axis="y")
    return figure


@styled
def plot_mask_slices(
    mean: Float[np.ndarray, "z y x"], mask: Float[np.ndarray, "z y x"], pixel_size_angstrom: float
) -> Figure:
    """Central sections of the mean map with the outline of the mask (solid: 0.5, dotted: its foot)."""
    figure = new_figure(8.4, 3.3)
    middle = len(mean) // 2
    extent = len(mean) * pixel_size_angstrom / 2
    limit = max(float(np.percentile(mean, 99.9)), 1e-12)
    names = (("z", "x", "y"), ("y", "x", "z"), ("x", "y", "z"))
    for i, ax in enumerate(figure.subplots(1, 3)):
        picture, outline = mean.take(middle, axis=i), mask.take(middle, axis=i)
        box = (-extent, extent, -extent, extent)
        ax.imshow(picture, cmap="gray_r", vmin=-0.2 * limit, vmax=limit, origin="lower", extent=box)
        for level, style in ((0.01, ":"), (0.5, "-")):
            if outline.min() < level < outline.max():
                drawn = {"colors": [HIGHLIGHT], "linewidths": 1.2, "linestyles": style, "extent": box}
                ax.contour(outline, levels=[level], origin="lower", **drawn)
        cut, across, up = names[i]
        ax.set(xlabel=f"{across} (Å)", ylabel=f"{up} (Å)", title=f"Section at {cut} = 0")
    return figure


@styled
def plot_r2(held_out: Float[np.ndarray, " c"]) -> Figure:
    """Share of the variance of each component that predictions explain on particles kept aside."""
    n = len(held_out)
    figure = new_figure(float(np.clip(0.32 * n + 2.0, 3.8, 8.0)), 3.0)
    ax = figure.add_subplot()
    ax.bar(np.arange(1, n + 1), np.clip(held_out, 0, 1), color=ACCENT, width=0.72)
    ax.set(xlabel="Component of the maps", ylabel="Held-out R²", ylim=(0, 1.05))
    ax.set_title("Predicted against decoded, particles kept aside")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y")
    return figure
