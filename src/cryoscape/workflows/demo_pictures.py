"""Pictures of the demonstration: images, latent space and maps, each as a figure of its own and together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryoscape.plotting.style import INK, MUTED, OKABE_ITO, bare, new_figure, styled
from cryoscape.plotting.surface import Camera, contour_level, render_surface

_LIGHTEN = 0.68, 0.24
"""Map colours are a little lighter than those of small points, which need more contrast."""


@dataclass(frozen=True)
class StatePicture:
    """A state with its colour, its maps as pictures (the recovered one may be missing) and numbers."""

    name: str
    color: tuple[float, float, float]
    true: Float[np.ndarray, "h w 4"]
    recovered: Float[np.ndarray, "h w 4"] | None
    n_true: int
    n_found: int
    correlation: float


def state_colors(n: int) -> list[tuple[float, float, float]]:
    """Colours of states, apart for colour-blind readers too."""
    from matplotlib.colors import to_rgb

    return [to_rgb(OKABE_ITO[i % len(OKABE_ITO)]) for i in range(n)]


def demo_camera(volumes: Sequence[np.ndarray], level: float) -> Camera:
    """A view from the side and a little from above on all the maps."""
    turn, tilt = np.deg2rad(20.0), np.deg2rad(22.0)
    right = np.array([np.cos(turn), np.sin(turn), 0.0])
    back = np.array([-np.sin(turn), np.cos(turn), 0.0])
    up = np.cos(tilt) * np.array([0.0, 0.0, 1.0]) + np.sin(tilt) * back
    axes = np.stack([right, up, np.cross(right, up)])
    dense = np.argwhere(np.max(np.stack(volumes), axis=0) > level)[:, ::-1].astype(np.float64)
    if not len(dense):
        return Camera(axes, np.array(volumes[0].shape[::-1]) / 2, max(volumes[0].shape) / 2)
    seen = dense @ axes.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    half_width = 0.5 * float((high - low)[:2].max()) + 1.5
    return Camera(axes, (low + high) / 2 @ axes, half_width)


def render_states(
    volumes: Sequence[np.ndarray],
    colors: Sequence[tuple[float, float, float]],
    camera: Camera,
    size_px: int = 256,
) -> list[Float[np.ndarray, "h w 4"]]:
    """Pictures of maps from one viewpoint at one contour level."""
    level = contour_level(list(volumes))
    scale, shift = _LIGHTEN
    return [
        render_surface(
            np.ascontiguousarray(v, dtype=np.float32),
            level,
            camera,
            size_px=size_px,
            color=(scale * c[0] + shift, scale * c[1] + shift, scale * c[2] + shift),
        )
        for v, c in zip(volumes, colors, strict=True)
    ]


@styled
def plot_layout(
    layout: Float[np.ndarray, "n 2"],
    labels: Int[np.ndarray, " n"],
    names: Sequence[str],
    colors: Sequence[tuple[float, float, float]],
    title: str,
) -> Figure:
    """Particles on a plane coloured by group, with a legend beside the plane."""
    figure = new_figure(5.9, 4.2)
    ax = figure.add_subplot()
    scatter_groups(ax, layout, labels, colors)
    ax.set_title(title)
    for name, color in zip(names, colors, strict=True):
        ax.scatter([], [], color=[color], s=22, label=name)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2)
    return figure


def scatter_groups(
    ax: Axes,
    layout: Float[np.ndarray, "n 2"],
    labels: Int[np.ndarray, " n"],
    colors: Sequence[tuple[float, float, float]],
) -> None:
    """Points in random order, so that no group hides another; no ticks, distances mean little."""
    order = np.random.default_rng(0).permutation(len(layout))
    ax.scatter(
        layout[order, 0],
        layout[order, 1],
        c=np.asarray(colors)[labels[order]],
        s=float(np.clip(2.5e4 / len(layout), 1.5, 14)),
        alpha=0.75,
        linewidths=0,
        rasterized=True,
    )
    ax.set(xlabel="UMAP 1", ylabel="UMAP 2")
    ax.set_box_aspect(1)
    bare(ax)


@styled
def plot_confusion(
    confusion: Int[np.ndarray, "s k"], states: Sequence[str], clusters: Sequence[str]
) -> Figure:
    """Particles of each true state in each cluster, as shares of the state with counts."""
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    figure = new_figure(1.9 + 0.62 * len(clusters), 1.3 + 0.48 * len(states))
    ax = figure.add_subplot()
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(*confusion.shape):
        if confusion[i, j]:
            ink = "white" if share[i, j] > 0.55 else INK
            ax.text(j, i, f"{confusion[i, j]:,}", ha="center", va="center", color=ink, fontsize=8)
    ax.set_xticks(range(len(clusters)), clusters)
    ax.set_yticks(range(len(states)), states)
    ax.set(xlabel="Found cluster", title="Particles by state and cluster")
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    return figure


@styled
def plot_overview(
    images: Float[np.ndarray, "m y x"],
    layout: Float[np.ndarray, "n 2"],
    labels: Int[np.ndarray, " n"],
    states: Sequence[StatePicture],
    score: float,
) -> Figure:
    """From left to right: particle images, latent space coloured by true state, recovered and true maps."""
    n = len(states)
    tile, top, foot = 1.42, 0.52, 0.22
    left, middle = 2.84, 2.84
    height = top + 2 * tile + foot
    gap, side = 0.3, 0.72
    width = 0.15 + left + gap + middle + gap + side + n * tile + 0.1
    figure = Figure(figsize=(width, height))

    def axes(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, y / height, w / width, h / height))

    def heading(x: float, text: str, note: str) -> None:
        figure.text(
            x / width, 1 - 0.15 / height, text, fontsize=11, fontweight="bold", va="center", color=INK
        )
        figure.text(x / width, 1 - 0.35 / height, note, fontsize=8, va="center", color=MUTED)

    x = 0.15
    heading(x, "Particle images", f"{len(layout):,} noisy projections, unknown states")
    _draw_images(axes, images, x, foot, 2 * tile)
    x += left + gap
    heading(x, "Latent space", f"coloured by true state; agreement (AMI) {score:.2f}")
    ax = axes(x, foot, middle, 2 * tile)
    scatter_groups(ax, layout, labels, [s.color for s in states])
    ax.set(xlabel="", ylabel="")
    for spine in ax.spines.values():
        spine.set_visible(False)
    x += middle + gap
    heading(x, "Maps of the states", "decoded from latent space, and the truth")
    for row, word in enumerate(("recovered", "true")):
        y = foot + (1 - row) * tile + tile / 2
        figure.text(x / width, y / height, word, fontsize=9, va="center", color=MUTED)
    x += side
    for i, state in enumerate(states):
        for row, picture in enumerate((state.recovered, state.true)):
            if picture is not None:
                ax = axes(x + i * tile, foot + (1 - row) * tile + 0.04, tile, tile - 0.08)
                ax.imshow(picture, interpolation="antialiased")
                ax.axis("off")
        figure.text(
            (x + (i + 0.5) * tile) / width,
            (foot - 0.08) / height,
            f"{state.name}  {100 * state.n_true / len(layout):.0f} %",
            fontsize=8,
            ha="center",
            va="center",
            color=INK,
        )
    return figure


def _draw_images(axes: object, images: np.ndarray, x: float, y: float, size: float) -> None:
    n = int(np.sqrt(len(images)))
    cell = size / n
    low, high = np.percentile(images, [0.5, 99.5])
    for i in range(n * n):
        row, column = divmod(i, n)
        ax = axes(x + column * cell, y + (n - 1 - row) * cell, cell * 0.96, cell * 0.96)  # type: ignore[operator]
        ax.imshow(images[i], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        ax.axis("off")
