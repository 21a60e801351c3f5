"""Frames of a movie of maps: a rendered map, its name and particles, and where in the series it lies."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, UInt8

from cryoscape.plotting.style import ACCENT, INK, MUTED
from cryoscape.plotting.surface import on_background

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

GROUND = (1.0, 1.0, 1.0)
_PALE = "#d5dce4"


@dataclass(frozen=True)
class Strip:
    """What the strip under the pictures says of a series.

    Attributes
    ----------
    names : name of each map, such as its number.
    counts : particles behind each map; None where they are not known.
    counted : what the counts are, "particles" or "particles near".
    scale_bar : (share of the width of the picture, label); None without one.
    """

    names: tuple[str, ...]
    counts: Int[np.ndarray, " n"] | None = None
    counted: str = "particles"
    scale_bar: tuple[float, str] | None = None


def strip_height(size_px: int) -> int:
    """Height in px, even, of the strip under a picture of this width."""
    return 2 * round(0.085 * size_px)


def nearest_map(position: float) -> int:
    """Number in the series of the map nearest to a place; the later of two as near."""
    return int(position + 0.5)


def draw_frame(
    picture: Float[np.ndarray, "s s 4"], strip: Strip, position: float
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture on white with the strip under it.

    Parameters
    ----------
    picture : array (s, s, 4)
        Rendered map with transparency.
    position : float
        Place in the series: 2.25 is a quarter of the way from map 2 to map 3 (counted from 0).
    """
    from PIL import Image, ImageDraw

    size = len(picture)
    height = strip_height(size)
    image = Image.new("RGB", (size, size + height), "white")
    ground = on_background(picture, GROUND)
    image.paste(Image.fromarray(np.round(np.clip(ground, 0, 1) * 255).astype(np.uint8)), (0, 0))
    draw = ImageDraw.Draw(image)
    margin, top = round(0.035 * size), size + round(0.01 * size)
    _write_label(draw, strip, nearest_map(position), size, margin, top)
    if strip.scale_bar is not None:
        _draw_scale_bar(draw, strip.scale_bar, size, margin, top)
    if len(strip.names) > 1:
        left = round(0.40 * size)
        right = round((0.97 if strip.scale_bar is None else 0.74) * size)
        _draw_series(draw, strip, position, (left, top, right, size + height - round(0.045 * size)))
    return np.asarray(image)


def _write_label(
    draw: "ImageDraw.ImageDraw", strip: Strip, number: int, size: int, margin: int, top: int
) -> None:
    draw.text((margin, top), strip.names[number], fill=INK, font=_font("bold", round(0.045 * size)))
    if strip.counts is not None:
        text = f"{int(strip.counts[number]):,} {strip.counted}"
        draw.text(
            (margin, top + round(0.064 * size)), text, fill=MUTED, font=_font("normal", round(0.031 * size))
        )


def _draw_scale_bar(
    draw: "ImageDraw.ImageDraw", scale_bar: tuple[float, str], size: int, margin: int, top: int
) -> None:
    """At the right end: the bar, its length under it."""
    share, label = scale_bar
    right, y = size - margin, top + round(0.042 * size)
    left = right - share * size
    draw.rectangle((left, y, right, y + max(2, round(0.006 * size))), fill=INK)
    font = _font("normal", round(0.031 * size))
    draw.text(((left + right) / 2, top + round(0.064 * size)), label, fill=INK, font=font, anchor="ma")


def _draw_series(
    draw: "ImageDraw.ImageDraw", strip: Strip, position: float, box: tuple[int, int, int, int]
) -> None:
    """A bar a map, as high as its particles (alike where not known), and a mark that moves along."""
    left, top, right, bottom = box
    n = len(strip.names)
    width = (right - left) / n
    most = 1.0 if strip.counts is None else max(float(strip.counts.max()), 1.0)
    full = (bottom - top) * (0.25 if strip.counts is None else 1.0)
    gap = min(2.0, 0.15 * width)
    for i in range(n):
        value = 1.0 if strip.counts is None else float(strip.counts[i]) / most
        here = i == nearest_map(position)
        x = left + i * width
        y = bottom - max(1.0, value * full)
        draw.rectangle((x, y, x + max(width - gap - 1, 1), bottom), fill=ACCENT if here else _PALE)
    x = left + (position + 0.5) * width - gap / 2
    arm, tip = 0.14 * (bottom - top), bottom + 0.07 * (bottom - top)
    draw.polygon([(x, tip), (x - arm, tip + 1.3 * arm), (x + arm, tip + 1.3 * arm)], fill=ACCENT)


@cache
def _font(weight: str, size: int) -> "ImageFont.FreeTypeFont":
    """The font of the plots, which comes with matplotlib."""
    from matplotlib.font_manager import FontProperties, findfont
    from PIL import ImageFont

    return ImageFont.truetype(findfont(FontProperties(family="DejaVu Sans", weight=weight)), size)
