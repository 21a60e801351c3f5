"""Picture of regions of a map that come and go together."""

import numpy as np
from jaxtyping import Bool, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cryoscape.plotting.style import INK, cluster_colors, new_figure, styled
from cryoscape.typing import Volume

_VIEWS = ((0, "xy"), (1, "xz"), (2, "yz"))
_FULL_VOXELS = 3
"""Voxels of a region along the line of sight from which on its colour is full."""


@styled
def plot_regions(
    mean: Volume,
    labels: Int[np.ndarray, "z y x"],
    present: Bool[np.ndarray, "n r"],
    voxel_angstrom: float,
) -> Figure:
    """Projections of the mean map (grey) along three axes, with the regions in colour over it.

    Parameters
    ----------
    labels
        Region of each voxel, -1 for none. Where regions lie one over the other the thicker one is shown.
    present
        In which maps each region is there.
    """
    n_regions = present.shape[1]
    colors = cluster_colors(n_regions)
    figure = new_figure(11.2, 4.1)
    figure.suptitle("Regions that come and go together", x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    panels = figure.subplots(1, 3)
    for ax, (axis, name) in zip(panels, _VIEWS, strict=True):
        _view(ax, mean, labels, axis, colors, voxel_angstrom)
        ax.set_title(f"Projection on {name}", fontsize=9, fontweight="normal")
        ax.set(xlabel=f"{name[0]} (Å)", ylabel=f"{name[1]} (Å)")
    handles = [
        Patch(
            facecolor=colors[r],
            label=f"{r}: {100 * present[:, r].mean():.0f} % of maps, "
            f"{(labels == r).sum() * voxel_angstrom**3 / 1000:,.0f} nm³",
        )
        for r in range(n_regions)
    ]
    figure.legend(handles=handles, title="Region", loc="outside right upper", fontsize=7.5)
    return figure


def _view(
    ax: Axes, mean: Volume, labels: np.ndarray, axis: int, colors: np.ndarray, voxel_angstrom: float
) -> None:
    """One projection, cut to the particle."""
    thickness = np.stack([(labels == r).sum(axis=axis) for r in range(len(colors))])
    shadow = np.clip(mean, 0, None).sum(axis=axis)
    shadow = shadow / max(float(np.percentile(shadow, 99.8)), 1e-12)
    picture = np.repeat(1 - 0.55 * np.clip(shadow, 0, 1)[..., None], 3, axis=2)
    front = thickness.argmax(axis=0)
    alpha = 0.85 * np.clip(thickness.max(axis=0) / _FULL_VOXELS, 0, 1)[..., None]
    picture = (1 - alpha) * picture + alpha * colors[front]
    ny, nx = shadow.shape
    extent = (
        -0.5 * voxel_angstrom,
        (nx - 0.5) * voxel_angstrom,
        -0.5 * voxel_angstrom,
        (ny - 0.5) * voxel_angstrom,
    )
    ax.imshow(picture, origin="lower", extent=extent, interpolation="nearest")
    for r in range(len(colors)):
        shown = thickness[r] * (front == r)
        if shown.sum() == 0:
            continue
        y, x = np.unravel_index(int(_smoothed(shown).argmax()), shown.shape)
        ax.text(
            float(x) * voxel_angstrom, float(y) * voxel_angstrom, str(r),
            ha="center", va="center", fontsize=8, fontweight="bold", color=INK,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
        )  # fmt: skip
    seen = np.argwhere((shadow > 0.12) | (alpha[..., 0] > 0))
    (y0, x0), (y1, x1) = seen.min(axis=0) - 2, seen.max(axis=0) + 2
    ax.set_xlim(max(x0, 0) * voxel_angstrom, min(x1, nx - 1) * voxel_angstrom)
    ax.set_ylim(max(y0, 0) * voxel_angstrom, min(y1, ny - 1) * voxel_angstrom)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Sums over 5 x 5 pixels, so that a number stands amid a region rather than on a lone thick spot."""
    padded = np.pad(values.astype(np.float64), 2)
    ny, nx = values.shape
    return np.asarray(sum(padded[j : j + ny, i : i + nx] for j in range(5) for i in range(5)))
