"""Selections of row numbers: drawn at random, or the particles of clusters."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryoscape.engines.run_folder import ROWS_FILE, RunFolder
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_labels, read_rows, write_array_pickle
from cryoscape.workflows.export_request import check_targets

logger = logging.getLogger("cryoscape")

_PARENTS_SEARCHED = 3
"""Labels lie in RUN, RUN/analyze.E or RUN/analyze.E/kmeansK."""


def select_random(
    n_particles: int,
    output: Path,
    n: int | None = None,
    fraction: float | None = None,
    rest: Path | None = None,
    seed: int = 0,
    force: bool = False,
) -> int:
    """Write a random selection of the rows 0 to `n_particles` - 1, in ascending order; answers how many.

    Parameters
    ----------
    n, fraction
        How many rows, or which part of them (0 to 1); exactly one of them.
    rest
        Write the rows not selected here.

    Raises
    ------
    InputError
        For numbers that cannot be, or files that exist.
    """
    if (n is None) == (fraction is None):
        raise InputError("expected exactly one of -n and --frac")
    if fraction is not None and not 0 < fraction < 1:
        raise InputError(f"--frac {fraction:g}: expected a number between 0 and 1")
    wanted = n if n is not None else round((fraction or 0.0) * n_particles)
    if not 1 <= wanted <= n_particles:
        raise InputError(f"expected 1 to {n_particles} rows, the particles there are; found {wanted}")
    check_targets([output, *([] if rest is None else [rest])], [], force)
    order = np.random.default_rng(seed).permutation(n_particles)
    _write_selection(output, np.sort(order[:wanted]), n_particles)
    if rest is not None:
        _write_selection(rest, np.sort(order[wanted:]), n_particles)
    return wanted


def select_clusters(
    labels: Path,
    clusters: Sequence[int],
    output: Path,
    parent: Path | None = None,
    n_original: int | None = None,
    force: bool = False,
) -> int:
    """Write the rows of the original input that are in the given clusters; answers how many.

    Labels belong to rows of the latents. If the run was trained on a selection, these are not rows of the
    original input: `parent` is that selection, or else the run folder that the labels lie in tells it.

    Parameters
    ----------
    labels
        Pickled cluster of each particle, from 0.
    n_original
        Particles of the original input, checked where it is given.

    Raises
    ------
    InputError
        If a cluster is not there, or the selection and the labels differ in length.
    """
    label = read_labels(labels)
    there = np.unique(label)
    missing = sorted(set(clusters) - set(there.tolist()))
    if missing or not clusters:
        raise InputError(
            f"--sel: {f'no cluster {missing[0]}' if missing else 'no cluster given'}; {labels} holds "
            f"{len(there)}, {there[0]} to {there[-1]}"
        )
    original = _original_rows(labels, parent, len(label))
    if n_original is not None and original.max() >= n_original:
        raise InputError(
            f"--N-orig {n_original}: the selection has row {original.max()}; give the larger number"
        )
    check_targets([output], [labels], force)
    rows = original[np.isin(label, list(clusters))]
    _write_selection(output, rows, len(label))
    return len(rows)


def _original_rows(labels: Path, parent: Path | None, n: int) -> np.ndarray:
    """Row of the original input of each label."""
    if parent is not None:
        rows = read_rows(parent)
    else:
        run = next((f for f in list(labels.resolve().parents)[:_PARENTS_SEARCHED] if _is_run(f)), None)
        return np.arange(n) if run is None else RunFolder(run).original_rows(n)
    if len(rows) != n:
        raise InputError(f"{parent}: {len(rows)} rows, but {labels} holds {n}: give that of the run")
    return rows


def _is_run(folder: Path) -> bool:
    named = any((folder / name).is_file() for name in ("config.yaml", "config.pkl"))
    return (folder / ROWS_FILE).is_file() or (named and any(folder.glob("weights*.pkl")))


def _write_selection(path: Path, rows: np.ndarray, n: int) -> None:
    write_array_pickle(path, rows.astype(np.int64))
    logger.info("%d of %d rows written to %s", len(rows), n, path)
