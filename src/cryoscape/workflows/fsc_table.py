"""FSC curves as a text table, in words, and drawn: what `fsc` and `plot_fsc` share."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.physics.fsc import resolution_shell
from cryoscape.plotting.fsc import plot_fsc
from cryoscape.plotting.style import figure_png

logger = logging.getLogger("cryoscape")

_LEGEND = {
    "NoMask": "no mask",
    "Spherical": "sphere",
    "Loose": "loose mask",
    "Tight": "tight mask",
    "Masked": "mask",
    "Corrected": "corrected",
}


@dataclass(frozen=True)
class Resolution:
    """Resolutions in angstrom of one curve; None where it stays above the threshold up to Nyquist."""

    curve: str
    at_half: float | None
    at_0143: float | None


def resolutions_of(
    curves: Mapping[str, np.ndarray], box_size: int, pixel_size_angstrom: float
) -> tuple[Resolution, ...]:
    """Resolutions of curves (shells from 0), first crossings of 0.5 and 0.143, and say them in the log."""
    found = []
    for name, curve in curves.items():
        shells = [resolution_shell(torch.from_numpy(curve), threshold) for threshold in (0.5, 0.143)]
        extent = box_size * pixel_size_angstrom
        half, low = (None if shell is None else extent / max(shell, 1e-6) for shell in shells)
        found.append(Resolution(name, half, low))
        logger.info("%s: FSC 0.5 at %s, 0.143 at %s", name, _in_words(half), _in_words(low))
    return tuple(found)


def _in_words(resolution_angstrom: float | None) -> str:
    return "Nyquist (never below)" if resolution_angstrom is None else f"{resolution_angstrom:.2f} A"


def fsc_table(curves: Mapping[str, np.ndarray], box_size: int) -> str:
    """Text as upstream writes it: pixres in cycles a pixel, then one column a curve."""
    rows = np.column_stack([np.arange(box_size // 2 + 1) / box_size, *curves.values()])
    body = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in rows)
    return f"pixres {' '.join(curves)}\n{body}\n"


@dataclass(frozen=True)
class FscTable:
    """Curves by column, and the box in pixels they are of."""

    curves: dict[str, np.ndarray]
    box_size: int

    @property
    def chosen(self) -> np.ndarray:
        """The curve that counts: ``fsc``, else the last column."""
        return self.curves.get("fsc", self.curves[next(reversed(self.curves))])


def read_fsc_table(path: Path) -> FscTable:
    """Read a table of `fsc` or of a back-projection, ours or upstream's.

    Raises
    ------
    InputError
        If the file is no such table.
    """
    try:
        head, *lines = path.read_text(encoding="utf-8").split("\n")
        rows = np.array([[float(word) for word in line.split()] for line in lines if line.strip()])
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: not an FSC table ({error}); give a table written by fsc") from error
    names = head.split()
    whole = rows.ndim == 2 and rows.shape[1] == len(names) >= 2 and len(rows) >= 3
    if not whole or names[0] != "pixres" or not 0 < rows[1, 0] <= 0.5:
        raise InputError(
            f"{path}: not an FSC table: expected a first line `pixres fsc` and numbers under it; "
            "give a table written by fsc"
        )
    return FscTable(dict(zip(names[1:], rows[:, 1:].T, strict=True)), round(1 / rows[1, 0]))


def write_fsc_plot(
    output: Path,
    curves: Mapping[str, np.ndarray],
    resolutions: Sequence[Resolution],
    box_sizes: Sequence[int],
    pixel_size_angstrom: float,
    title: str,
) -> None:
    """Draw curves (one resolution and box each) as a PNG file; the legend tells the resolutions at 0.143."""
    named = {}
    for found in resolutions:
        at = "to Nyquist" if found.at_0143 is None else f"{found.at_0143:.1f} Å"
        named[f"{_LEGEND.get(found.curve, found.curve)} ({at})"] = curves[found.curve]
    last = next(reversed(named))
    bold = last if len(named) > 1 and last.startswith(_LEGEND["Corrected"]) else None
    figure = plot_fsc(named, box_sizes, pixel_size_angstrom, bold=bold, title=title)
    with replace_when_done(output) as partial:
        partial.write_bytes(figure_png(figure))
