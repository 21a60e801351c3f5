"""Fourier shell correlation curves, and a map at a glance."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from cryoscape.plotting.style import ACCENT, HIGHLIGHT, MUTED, OKABE_ITO, new_figure, styled
from cryoscape.plotting.surface import contour_level, principal_camera, render_surface
from cryoscape.typing import Volume

THRESHOLDS = (0.5, 0.143)


@styled
def plot_fsc(
    curves: Mapping[str, Float[np.ndarray, "_"]],
    box_size: int | Sequence[int],
    pixel_size_angstrom: float,
    *,
    bold: str | None = None,
    title: str = "Fourier shell correlation",
) -> Figure:
    """Draw named curves against resolution, with the 0.5 and 0.143 thresholds.

    Parameters
    ----------
    curves
        Values of shells 0 to D // 2; the name is what the legend says.
    box_size, pixel_size_angstrom
        Of the maps; boxes of one size, or one a curve.
    bold
        Name of the curve to read first.
    """
    figure = Figure(figsize=(5.8, 3.9))  # what stands about its axes is known: no time goes to a layout
    figure.subplots_adjust(left=0.095, right=0.925, bottom=0.13, top=0.92)
    ax = figure.add_subplot()
    colors = (*[OKABE_ITO[i] for i in (1, 2, 4, 3)], MUTED)
    boxes = [box_size] * len(curves) if isinstance(box_size, int) else list(box_size)
    for number, (name, curve) in enumerate(curves.items()):
        x = np.arange(len(curve)) / (boxes[number] * pixel_size_angstrom)
        chosen = name == bold or len(curves) == 1
        color = ACCENT if chosen else colors[number % len(colors)]
        ax.plot(
            x[1:], curve[1:], color=color, linewidth=2.4 if chosen else 1.3, label=name, zorder=2 + chosen
        )
    for threshold in THRESHOLDS:
        ax.axhline(threshold, color=HIGHLIGHT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        ax.annotate(
            f"{threshold:g}",
            (1.0, threshold),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=HIGHLIGHT,
        )
    ax.axhline(0, color="#9aa4b0", linewidth=0.7, zorder=1)
    nyquist = 0.5 / pixel_size_angstrom
    low = min(0.0, *(float(np.nanmin(curve[1:])) for curve in curves.values()))
    ax.set(xlim=(0, nyquist), ylim=(max(low - 0.05, -0.5), 1.02), ylabel="Correlation", title=title)
    ticks = np.linspace(0, nyquist, 6)
    labels = ["∞"] + [f"{1 / tick:.3g}" for tick in ticks[1:]]
    ax.set_xticks(ticks, labels)
    ax.set_xlabel("Resolution (Å)" + (" at 1 Å a pixel (unknown)" if pixel_size_angstrom == 1.0 else ""))
    ax.grid(axis="y")
    # free, as curves start high; but not where noise makes them swing below 0
    corner: Literal["lower left", "upper right"] = "lower left" if low > -0.1 else "upper right"
    legend = ax.legend(loc=corner, fontsize=8, frameon=True, framealpha=0.94, edgecolor="none")
    legend.set_zorder(5)
    return figure


@styled
def plot_map_overview(
    volume: Volume, pixel_size_angstrom: float, caption: str, *, smooth: Volume | None = None
) -> Figure:
    """Three central slices and two rendered views of a map; ``smooth`` (low-passed) is what is rendered."""
    box = len(volume)
    rendered = volume if smooth is None else smooth
    figure = new_figure(9.6, 4.9)
    figure.suptitle(caption, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    grid = figure.add_gridspec(2, 6)
    spread = float(np.percentile(np.abs(volume), 99.8)) or 1.0
    planes = {"xy": volume[box // 2], "xz": volume[:, box // 2], "yz": volume[:, :, box // 2]}
    for number, (name, plane) in enumerate(planes.items()):
        ax = figure.add_subplot(grid[0, 2 * number : 2 * number + 2])
        extent = (0.0, box * pixel_size_angstrom, 0.0, box * pixel_size_angstrom)
        ax.imshow(plane, cmap="gray", vmin=-spread / 2, vmax=spread, origin="lower", extent=extent)
        ax.set_title(f"Central slice {name}", fontsize=8.5, fontweight="normal")
        ax.set_xticks([])
        ax.set_yticks([])
        if number == 0:
            ax.set_ylabel(f"{box * pixel_size_angstrom:.0f} Å", fontsize=8)
    level = contour_level([rendered])
    camera = principal_camera(rendered, level)
    for number, degrees in enumerate((0.0, 90.0, 180.0)):
        ax = figure.add_subplot(grid[1, 2 * number : 2 * number + 2])
        ax.imshow(render_surface(rendered, level, camera.turned(degrees), size_px=300))
        ax.set_title(f"Surface, turned by {degrees:.0f}°", fontsize=8.5, fontweight="normal")
        ax.axis("off")
    return figure
