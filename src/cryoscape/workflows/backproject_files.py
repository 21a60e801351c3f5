"""Names and contents of what a back-projection writes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done, write_text
from cryoscape.io.mrc import write_volume
from cryoscape.physics.backprojection import Backprojection
from cryoscape.physics.fsc import FscCurves, low_pass, resolution_angstrom, resolution_shell
from cryoscape.plotting.fsc import plot_fsc, plot_map_overview
from cryoscape.plotting.style import figure_png


@dataclass(frozen=True)
class BackprojectFiles:
    """Paths; half maps are None where they are not wanted."""

    full: Path
    half_a: Path | None
    half_b: Path | None
    fsc_table: Path
    fsc_plot: Path
    overview: Path
    verdict: Path


def output_files(output: Path, half_maps: bool) -> BackprojectFiles:
    """Names for ``-o``: NAME.mrc puts NAME_half_map_a.mrc... beside it, a folder holds backproject.mrc...

    Raises
    ------
    InputError
        If the folder holds files, but no earlier back-projection, or the output is a file of another kind.
    """
    if output.suffix.lower() in (".mrc", ".map"):
        if output.is_dir():
            raise InputError(f"{output}: is a folder; name a .mrc file or a folder without that suffix")
        folder, start, full = output.parent, f"{output.stem}_", output
    else:
        if output.exists() and not output.is_dir():
            raise InputError(f"{output}: is a file; -o must name a .mrc file or a folder")
        full = output / "backproject.mrc"
        if output.is_dir() and any(output.iterdir()) and not full.exists():
            raise InputError(f"{output}: holds files of something else; give another folder with -o")
        folder, start = output, ""
    return BackprojectFiles(
        full=full,
        half_a=folder / f"{start}half_map_a.mrc" if half_maps else None,
        half_b=folder / f"{start}half_map_b.mrc" if half_maps else None,
        fsc_table=folder / f"{start}fsc-vals.txt",
        fsc_plot=folder / f"{start}fsc-plot.png",
        overview=folder / f"{start}map.png",
        verdict=folder / f"{start}verdict.txt",
    )


def write_results(
    files: BackprojectFiles,
    maps: Backprojection,
    curves: FscCurves,
    pixel_size_angstrom: float,
    lines: list[str],
) -> None:
    """Write maps, table, plots and verdict."""
    files.full.parent.mkdir(parents=True, exist_ok=True)
    box = maps.full.shape[-1]
    for path, volume in ((files.full, maps.full), (files.half_a, maps.half_a), (files.half_b, maps.half_b)):
        if path is not None:
            write_volume(path, volume.numpy(), pixel_size_angstrom)
    write_text(files.fsc_table, fsc_table(curves, box))
    named = {
        f"{name} ({resolution_angstrom(curve, 0.143, box, pixel_size_angstrom):.1f} Å)": curve.numpy()
        for name, curve in (
            ("no mask", curves.unmasked),
            ("sphere", curves.spherical),
            ("loose mask", curves.loose),
            ("tight mask", curves.tight),
            ("corrected", curves.corrected),
        )
    }
    last = next(reversed(named))
    title = f"Half maps of {sum(maps.n_images):,} particles (resolution at 0.143)"
    figure = plot_fsc(named, box, pixel_size_angstrom, bold=last, title=title)
    _write_figure(files.fsc_plot, figure_png(figure))
    caption = f"{files.full.name}: {sum(maps.n_images):,} particles, {pixel_size_angstrom:.4g} Å a pixel"
    shell = resolution_shell(curves.tight, 0.5) or box / 2
    smooth = low_pass(maps.full, max(float(shell), 6.0))
    picture = plot_map_overview(
        maps.full.numpy(), pixel_size_angstrom, caption, smooth=smooth.to(torch.float32).numpy()
    )
    _write_figure(files.overview, figure_png(picture, 150))
    write_text(files.verdict, "\n".join(lines) + "\n")


def fsc_table(curves: FscCurves, box_size: int) -> str:
    """Text table as upstream writes it: pixres in cycles a pixel, then one column a curve."""
    pixres = np.arange(len(curves.unmasked)) / box_size
    columns = [curves.unmasked, curves.spherical, curves.loose, curves.tight, curves.corrected]
    rows = np.column_stack([pixres, *(column.numpy() for column in columns)])
    body = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in rows)
    return f"pixres NoMask Spherical Loose Tight Corrected\n{body}\n"


def _write_figure(path: Path, png: bytes) -> None:
    with replace_when_done(path) as partial:
        partial.write_bytes(png)
