"""One look for all figures: fonts, colours, sizes. Figures never touch pyplot's global state."""

from collections.abc import Callable
from functools import wraps
from io import BytesIO
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

INK = "#1d2733"
"""Text and axes."""
MUTED = "#66717f"
"""Secondary text, grid, background points."""
ACCENT = "#2763b0"
"""The one series of a plot."""
HIGHLIGHT = "#d1495b"
"""What the reader should look at first."""
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Colours for a few categories that stay apart under all common colour-vision deficiencies."""

DENSITY = LinearSegmentedColormap.from_list(
    "cryoscape_density", ["#d9e7f5", "#93bbdf", "#4a86c5", "#22559b", "#0c2350"]
)
"""Counts: one hue, lightness falls steadily, so it reads in grey and to colour-blind readers."""
SEQUENCE = LinearSegmentedColormap.from_list(
    "cryoscape_sequence", ["#3b1c6e", "#7a2a86", "#c23b75", "#f0704f", "#fbb13c"]
)
"""Order along a path: lightness rises steadily."""

RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9.0,
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa4b0",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "white",
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": True,
    "figure.facecolor": "white",
    "grid.color": "#e4e8ed",
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Draw a figure under the common style without changing matplotlib's settings for anybody else."""

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(RC):
            return function(*args, **kwargs)

    return draw


def new_figure(width: float = 4.6, height: float = 4.2) -> Figure:
    """An empty figure, size in inches, that keeps labels inside."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_layout_engine("constrained", w_pad=0.07, h_pad=0.07)
    return figure


def figure_png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as a PNG file in memory."""
    buffer = BytesIO()
    with mpl.rc_context(RC):
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def rgba_png(picture: Float[np.ndarray, "h w c"]) -> bytes:
    """A picture (3 or 4 channels in 0..1) as a small PNG file in memory."""
    from PIL import Image

    buffer = BytesIO()
    data = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(data).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def cluster_colors(k: int) -> Float[np.ndarray, "k 3"]:
    """Colours of clusters 0..k-1, sRGB in 0..1.

    Up to eight from the Okabe-Ito set. Beyond, hue runs once around with the number (similar clusters carry
    neighbouring numbers) and lightness alternates between three steps, so that neighbours differ in
    lightness too, which all readers see; numbers are drawn on the plots because no 20 colours are safe.
    """
    if k <= 7:
        return np.array([mpl.colors.to_rgb(c) for c in OKABE_ITO[:k]]).reshape(k, 3)
    i = np.arange(k)
    hue = np.deg2rad(25 + 315 * i / (k - 1))
    lightness = np.array([0.58, 0.76, 0.66])[i % 3]
    chroma = np.array([0.135, 0.115, 0.14])[i % 3]
    return oklch_to_srgb(lightness, chroma, hue)


def oklch_to_srgb(
    lightness: Float[np.ndarray, " k"], chroma: Float[np.ndarray, " k"], hue: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "k 3"]:
    """Convert OKLCH colours (Ottosson 2020), hue in radians, to sRGB in 0..1 clipped to the gamut."""
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cone = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=1,
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(cone**3 @ to_linear.T, 0.0, 1.0)
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def bare(ax: Axes) -> None:
    """Take away ticks where the numbers mean nothing (UMAP)."""
    ax.set_xticks([])
    ax.set_yticks([])
