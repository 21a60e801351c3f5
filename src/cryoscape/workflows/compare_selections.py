"""Compare selections of the same particles: what they share, in numbers and in pictures."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryoscape.analysis.agreement import Agreement, compare_selections
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done, write_text
from cryoscape.particles.selection import Selection, read_selection
from cryoscape.plotting.selection import Group, plot_groups_apart
from cryoscape.plotting.style import cluster_colors, figure_png
from cryoscape.plotting.venn import COLORS, plot_venn
from cryoscape.workflows.filter_columns import RunColumns
from cryoscape.workflows.filter_pictures import landscape_planes
from cryoscape.workflows.run_particles import run_particles
from cryoscape.workflows.selection_images import ImageGroup, picture_of_images

logger = logging.getLogger("cryoscape")

FILES = ("agreement.csv", "regions.csv")


@dataclass(frozen=True)
class RunToShow:
    """A run in whose landscape the selections are shown: folder, epoch, and where its images are."""

    path: Path
    epoch: int | None = None
    datadir: Path | None = None
    n_images: int = 10
    low_pass_angstrom: float = 40.0


def compare_selection_files(
    paths: Sequence[Path],
    output: Path,
    *,
    names: Sequence[str] = (),
    run: RunToShow | None = None,
    force: bool = False,
) -> Agreement:
    """Count what selections share; write tables, a diagram of two or three, and pictures within a run.

    Parameters
    ----------
    paths : pickles of rows or of boolean masks, all of one original input.
    names : one a selection; by default the names of the files.

    Raises
    ------
    InputError
        For files that are no selections, or of inputs of different size; for files that would be overwritten.
    """
    names = tuple(names) or _short_names(paths)
    if len(names) != len(paths):
        raise InputError(f"--names: {len(names)} names for {len(paths)} selections; give one each.")
    selections = [read_selection(path) for path in paths]
    _check_same_input(paths, selections)
    agreement = compare_selections(names, [selection.rows for selection in selections])
    columns = None if run is None else RunColumns(run.path, run.epoch, datadir=run.datadir)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; give a folder with -o.")
    there = [name for name in FILES if (output / name).exists()]
    if there and not force:
        raise InputError(f"{output / there[0]}: exists; give another folder with -o, or --force to replace.")
    _log(agreement)
    _write_tables(output, agreement)
    _draw_diagram(output, agreement)
    if run is not None and columns is not None:
        _draw_in_run(output, names, selections, columns, run)
    logger.info("Tables and pictures in %s", output)
    return agreement


def _short_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of the files; with their folder where two are the same."""
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return tuple(stems)
    return tuple(f"{path.resolve().parent.name}/{path.stem}" for path in paths)


def _check_same_input(paths: Sequence[Path], selections: Sequence[Selection]) -> None:
    known = [(p, s.n_original) for p, s in zip(paths, selections, strict=True) if s.n_original is not None]
    for path, n in known[1:]:
        if n != known[0][1]:
            raise InputError(
                f"{path}: of an input of {n} rows, but {known[0][0]} of one of {known[0][1]}; rows mean the "
                "same particles only within one input."
            )


def _log(agreement: Agreement) -> None:
    names = agreement.names
    for name, size in zip(names, agreement.sizes, strict=True):
        logger.info("%s: %s particles", name, f"{size:,}")
    for i in range(len(names)):
        for j in range(i):
            shared = f"{agreement.common[i, j]:,}"
            logger.info(
                "%s and %s: %s shared, Jaccard %.3f", names[j], names[i], shared, agreement.jaccard[i, j]
            )
    everywhere = agreement.regions[tuple(range(len(names)))]
    logger.info("In all: %s; in any: %s", f"{everywhere:,}", f"{agreement.in_any:,}")


def _write_tables(output: Path, agreement: Agreement) -> None:
    """agreement.csv, a line a pair; regions.csv, a line for each combination of selections."""
    names = agreement.names
    pairs = [
        {
            "first": names[i],
            "second": names[j],
            "n_first": agreement.sizes[i],
            "n_second": agreement.sizes[j],
            "shared": agreement.common[i, j],
            "jaccard": agreement.jaccard[i, j],
        }
        for i in range(len(names))
        for j in range(i + 1, len(names))
    ]
    regions = [
        {**{name: int(i in places) for i, name in enumerate(names)}, "particles": count}
        for places, count in agreement.regions.items()
    ]
    for file, rows in zip(FILES, (pairs, regions), strict=True):
        text = io.StringIO()
        pd.DataFrame(rows).to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
        write_text(output / file, text.getvalue())


def _draw_diagram(output: Path, agreement: Agreement) -> None:
    if len(agreement.names) > 3:
        logger.info("No diagram: circles show two or three selections, there are %d", len(agreement.names))
        return
    subtitle = f"{agreement.in_any:,} particles in any"
    sizes = [int(size) for size in agreement.sizes]
    figure = plot_venn(agreement.names, sizes, agreement.regions, "Agreement of selections", subtitle)
    _save(output / "venn.png", figure_png(figure, 170))


def _draw_in_run(
    output: Path, names: Sequence[str], selections: Sequence[Selection], columns: RunColumns, run: RunToShow
) -> None:
    """Each selection in the landscape, and images of its particles; images that are gone are only told."""
    colors = _colors(len(names))
    groups = [
        Group(name, color, selection.holds(columns.rows))
        for name, color, selection in zip(names, colors, selections, strict=True)
    ]
    for plane_names, plane in landscape_planes(columns).items():
        stem = {"umap1": "umap", "pc1": "pca"}.get(plane_names[0], plane_names[0])
        _save(output / f"{stem}.png", figure_png(plot_groups_apart(plane, groups), 150))
    if run.n_images == 0:
        return
    try:
        particles = run_particles(columns.folder, columns.rows, datadir=run.datadir, require_images=True)
        shown = [ImageGroup(g.name, g.color, columns.rows[g.mask]) for g in groups if g.mask.any()]
        figure = picture_of_images(
            particles, shown, n_images=run.n_images, low_pass_angstrom=run.low_pass_angstrom
        )
        _save(output / "images.png", figure_png(figure, 150))
    except (InputError, OSError) as error:
        logger.info("No pictures of images: %s", str(error).splitlines()[0])


def _colors(k: int) -> list[str]:
    """Those of the diagram, and others where there are more."""
    from matplotlib.colors import to_hex

    return list(COLORS[:k]) if k <= 3 else [to_hex(tuple(c)) for c in np.asarray(cluster_colors(k))]


def _save(path: Path, png: bytes) -> None:
    with replace_when_done(path) as temporary:
        temporary.write_bytes(png)
