"""From which epoch on a curve of training has stopped changing."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

NetworkPart = Literal["whole network", "encoder", "decoder"]

FEWEST_POINTS = 4
"""Fewer values of a curve say nothing about a plateau."""
SHORT = 8
"""Curves of fewer values are taken as they are: neither smoothed nor credited with noise."""
_SHARE = 0.05
"""Part of the whole change that a plateau may still vary by."""
_TAIL = 0.2
"""Part of the curve, at its end, over which its slope is judged."""


@dataclass(frozen=True, eq=False)
class Measure:
    """A curve of training by epoch.

    Attributes
    ----------
    name : as readers see it.
    part : of the network that it tells about.
    epoch, value : (n,) epochs rising; NaN values are left out.
    tolerance : a change, in the unit of the values, that is of no interest whatever the rest of the curve.
    """

    name: str
    part: NetworkPart
    epoch: Int[np.ndarray, " n"]
    value: Float[np.ndarray, " n"]
    tolerance: float


@dataclass(frozen=True)
class Plateau:
    """Whether and since when a curve is flat.

    Attributes
    ----------
    judged : False where there are too few values.
    epoch : first epoch of the plateau; None where the curve still changes.
    recent_change : expected over the last fifth of the epochs from the slope there, signed.
    whole_change : largest less smallest value of the smoothed curve.
    """

    judged: bool
    epoch: int | None
    recent_change: float
    whole_change: float

    @property
    def recent_share(self) -> float:
        """The recent change as a part of the whole change, without sign."""
        return abs(self.recent_change) / self.whole_change if self.whole_change > 0 else 0.0


def find_plateau(measure: Measure) -> Plateau:
    """The part at the end of a curve where it stays near its final level and has no slope.

    A curve is flat where it lies within 5 % of its whole change about its final level (or within its own
    noise, or the tolerance of the measure, if these are wider), to the end; the plateau must hold the last
    fifth of the epochs, and the slope over that fifth may not amount to more than this either. The noise is
    that of third differences, which see neither trend nor bend.
    """
    known = np.isfinite(measure.value)
    epoch, value = measure.epoch[known], measure.value[known].astype(np.float64)
    n = len(value)
    if n < FEWEST_POINTS:
        return Plateau(False, None, float("nan"), float("nan"))
    width = 3 if n >= SHORT else 1
    smooth = rolling_mean(value, width)
    tail = max(2, int(np.ceil(_TAIL * n)))
    noise = noise_of(value)
    whole = float(smooth.max() - smooth.min())
    rounding = 1e-9 * float(np.abs(value).max())
    tolerance = max(_SHARE * whole, measure.tolerance, 2 * noise / np.sqrt(width), rounding)
    last = slice(-max(3, tail + 1), None)
    slope = float(np.polynomial.Polynomial.fit(np.arange(n)[last], value[last], 1).convert().coef[-1])
    recent = slope * tail
    outside = np.flatnonzero(np.abs(smooth - value[-tail:].mean()) > tolerance)
    start = int(outside[-1]) + 1 if len(outside) else 0
    flat = abs(recent) <= tolerance and start <= n - tail
    return Plateau(True, int(epoch[start]) if flat else None, recent, whole)


def rolling_mean(value: Float[np.ndarray, " n"], width: int) -> Float[np.ndarray, " n"]:
    """Mean over up to `width` neighbours, fewer at the ends, where the window shrinks evenly."""
    reach = width // 2
    return np.array(
        [
            value[i - r : i + r + 1].mean()
            for i in range(len(value))
            for r in [min(reach, i, len(value) - 1 - i)]
        ]
    )


def noise_of(value: Float[np.ndarray, " n"]) -> float:
    """Standard deviation of the noise at the end of a curve, from its third differences.

    Those of white noise have 20 times its variance, those of a smooth curve are small. 0 for short curves,
    whose bends cannot be told from noise.
    """
    if len(value) < SHORT:
        return 0.0
    end = value[-max(len(value) // 2, 6) :]
    return float(1.4826 * np.median(np.abs(np.diff(end, 3))) / np.sqrt(20))
