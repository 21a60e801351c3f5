"""Keep some particles of a run and drop the others: selections for the next training, with their record."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from cryoscape.errors import InputError
from cryoscape.particles.metadata import Particles
from cryoscape.particles.selection import (
    Operation,
    Selection,
    provenance_path,
    read_selection,
    rows_digest,
    write_selection,
)
from cryoscape.workflows.filter_columns import RunColumns
from cryoscape.workflows.filter_criteria import Criteria, Selected, apply_criteria, check_criteria
from cryoscape.workflows.filter_messages import log_clusters, log_columns, log_counts
from cryoscape.workflows.filter_pictures import Pictures, draw_filter
from cryoscape.workflows.run_particles import run_particles

logger = logging.getLogger("cryoscape")

Fate = Literal["keep", "drop"]


@dataclass(frozen=True)
class FilterOptions:
    """What becomes of the selected particles, and what is done beside.

    Attributes
    ----------
    fate : of the selected particles; None to count them and write nothing.
    combine : earlier selections and how each is joined to the criteria, in this order.
    note : a remark for the record.
    pictures : settings of the pictures; None to make none.
    """

    fate: Fate | None = None
    combine: tuple[tuple[Operation, Path], ...] = ()
    note: str = ""
    pictures: Pictures | None = field(default_factory=Pictures)


@dataclass(frozen=True)
class FilterResult:
    """What becomes of the particles, and the files written; None and empty where they were only counted."""

    n_selected: int
    kept: Selection | None
    dropped: Selection | None
    files: tuple[Path, ...]


def filter_run(
    run: Path,
    epoch: int | None = None,
    criteria: Criteria | None = None,
    options: FilterOptions | None = None,
    *,
    tables: Sequence[Path] = (),
    analysis: Path | None = None,
    datadir: Path | None = None,
    output: Path | None = None,
    list_columns: bool = False,
    force: bool = False,
) -> FilterResult:
    """Select particles of a run; write ind_keep.N_particles.pkl and ind_bad.N_particles.pkl.

    Both hold rows of the original input, however often it was filtered before, and together all particles
    of the run. Beside each lies a JSON file that tells how it was made.

    Parameters
    ----------
    tables : more columns, in Parquet or CSV.
    analysis : folder of the analysis; by default that of the epoch in the run folder.
    output : folder of the files; by default the run folder.
    list_columns : log the columns there are and do nothing else.

    Raises
    ------
    InputError
        For criteria or files that cannot be used, a selection that leaves nothing, or files that would be
        overwritten.
    """
    criteria, options = criteria or Criteria(), options or FilterOptions()
    check_criteria(criteria)
    folder = output if output is not None else run
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give a folder with -o.")
    columns = RunColumns(run, epoch, tables, analysis=analysis, datadir=datadir)
    if list_columns:
        log_columns(columns)
        return FilterResult(0, None, None, ())
    earlier = [(operation, path, read_selection(path)) for operation, path in options.combine]
    selected = apply_criteria(columns, criteria)
    if not selected.criteria and not earlier:
        return _nothing_asked(selected)
    mask = _combined(columns, selected, earlier)
    if (mask if options.fate == "drop" else ~mask).all() and options.fate is not None:
        raise InputError(
            f"nothing would be kept of {len(mask)} particles; give other criteria, or the other of --keep "
            "and --drop."
        )
    if selected.clusters is not None:
        log_clusters(selected.clusters)
    log_counts(selected, mask, criteria.any_of)
    if options.fate is None:
        logger.info("Nothing is written: add --keep to keep the selected particles, or --drop to drop them")
        return FilterResult(int(mask.sum()), None, None, ())
    images = _images(columns, options, datadir)
    kept, dropped = _selections(columns, mask, selected, earlier, criteria, options, images)
    files = _write(folder, kept, dropped, force)
    if options.pictures is not None:
        stem = folder / f"ind_keep.{len(kept)}_particles"
        files += draw_filter(stem, columns, kept, dropped, selected, criteria.plane, images, options.pictures)
    return FilterResult(int(mask.sum()), kept, dropped, files)


def _nothing_asked(selected: Selected) -> FilterResult:
    if selected.clusters is None:
        raise InputError(
            "no criterion is given; use --kmeans or --gmm with --clusters, --suggest, --zscore, --where, "
            "--polygon, --and, --or or --minus."
        )
    log_clusters(selected.clusters)
    logger.info("Nothing is selected: give numbers with --clusters, or --suggest")
    return FilterResult(0, None, None, ())


def _combined(
    columns: RunColumns, selected: Selected, earlier: Sequence[tuple[Operation, Path, Selection]]
) -> Bool[np.ndarray, " n"]:
    """The criteria joined with earlier selections, one after the other.

    Without a criterion, the first selection is joined to all particles, or with "or" to none.
    """
    mask = selected.mask
    if not selected.criteria and earlier:
        mask = np.full(len(columns.rows), earlier[0][0] != "or")
    for operation, path, selection in earlier:
        inside = selection.holds(columns.rows)
        elsewhere = len(selection) - int(inside.sum())
        if not inside.any():
            raise InputError(f"{path}: none of its {len(selection)} rows is a particle of this run.")
        if elsewhere:
            logger.warning("%s: %d of its %d rows are not in this run", path, elsewhere, len(selection))
        match operation:
            case "and":
                mask = mask & inside
            case "or":
                mask = mask | inside
            case "minus":
                mask = mask & ~inside
    return mask


def _images(columns: RunColumns, options: FilterOptions, datadir: Path | None) -> Particles | None:
    """Addresses of the run's images; None where they are gone or no picture is wanted of them."""
    if options.pictures is None or options.pictures.n_images == 0:
        return None
    try:
        return run_particles(columns.folder, columns.rows, datadir=datadir, require_images=True)
    except (InputError, OSError) as error:
        logger.info("No pictures of images: %s", str(error).splitlines()[0])
        return None


def _n_original(columns: RunColumns, images: Particles | None) -> int | None:
    if images is not None:
        return images.n_original
    try:
        return columns.particles.n_original
    except (InputError, OSError):
        return None


def _selections(
    columns: RunColumns,
    mask: Bool[np.ndarray, " n"],
    selected: Selected,
    earlier: Sequence[tuple[Operation, Path, Selection]],
    criteria: Criteria,
    options: FilterOptions,
    images: Particles | None,
) -> tuple[Selection, Selection]:
    """Kept and dropped particles, with the record of how they came about."""
    keep = mask if options.fate == "keep" else ~mask
    n = len(mask)
    if keep.all():
        logger.warning("all %d particles are kept", n)
    trained_on = columns.folder.config().get("dataset_args", {}).get("ind")
    record: dict[str, Any] = {
        "run": str(columns.folder.path.resolve()),
        "epoch": columns.epoch,
        "n_particles": n,
        "trained_on": None if trained_on is None else str(trained_on),
        "selected": {
            "criteria": [{**c.record, "n_selected": int(c.mask.sum())} for c in selected.criteria],
            "combined_by": "any" if criteria.any_of else "all",
            "then": [_record_of(*one) for one in earlier],
            "seed": criteria.seed,
            "n_selected": int(mask.sum()),
        },
        "fate_of_selected": options.fate,
        "note": options.note,
    }
    n_original = _n_original(columns, images)
    return (
        Selection(columns.rows[keep], n_original, {"holds": "kept", **record}),
        Selection(columns.rows[~keep], n_original, {"holds": "dropped", **record}),
    )


def _record_of(operation: Operation, path: Path, selection: Selection) -> dict[str, Any]:
    return {
        "operation": operation,
        "file": str(path),
        "n_selected": len(selection),
        "rows_sha256": rows_digest(selection.rows),
    }


def _write(folder: Path, kept: Selection, dropped: Selection, force: bool) -> tuple[Path, ...]:
    """Both selections and their records; nothing where a file with other rows is there already."""
    named = {
        folder / f"ind_keep.{len(kept)}_particles.pkl": kept,
        folder / f"ind_bad.{len(dropped)}_particles.pkl": dropped,
    }
    for path, selection in named.items():
        if path.exists() and not force and not _holds(path, selection):
            raise InputError(
                f"{path}: exists and holds other particles; give another folder with -o, or --force."
            )
    written = []
    for path, selection in named.items():
        if len(selection):
            write_selection(path, selection)
            written += [path, provenance_path(path)]
            logger.info("%s", path)
    return tuple(written)


def _holds(path: Path, selection: Selection) -> bool:
    try:
        return np.array_equal(read_selection(path).rows, selection.rows)
    except InputError:
        return False
