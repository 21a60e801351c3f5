"""Write the notebooks of an analysis; one that its user has changed is never replaced."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryoscape import __version__
from cryoscape.analysis.maps import MapOptions
from cryoscape.io.atomic import write_text
from cryoscape.workflows.notebook_cells import FILTERING, VIZ, Cell

logger = logging.getLogger("cryoscape")

NOTEBOOKS: dict[str, tuple[Cell, ...]] = {
    "cryoDRGN_viz.ipynb": VIZ,
    "cryoDRGN_filtering.ipynb": FILTERING,
}


def write_notebooks(
    folder: Path,
    run: Path,
    epoch: int | None,
    *,
    k: int,
    maps: MapOptions | None = None,
    pixel_size_angstrom: float | None = None,
) -> tuple[Path, ...]:
    """Write cryoDRGN_viz.ipynb and cryoDRGN_filtering.ipynb into the folder of an analysis.

    A notebook that is there already stays if it would be the same, or if its cells were changed since it was
    written (which is logged).

    Parameters
    ----------
    run
        The run folder; notebooks find it relative to their own place.
    epoch
        As in file names; None for a run without epochs.
    k
        Number of k-means clusters of the analysis.
    maps
        Hand, sign and box of its maps, the first choice for maps made in a notebook.
    pixel_size_angstrom
        Of the training images; None for what the run knows.

    Returns
    -------
    Paths of both.
    """
    options = maps or MapOptions()
    values = {
        "workdir": Path(os.path.relpath(run.resolve(), folder.resolve())).as_posix(),
        "epoch": epoch,
        "epoch_note": "  # this run has no epochs" if epoch is None else "",
        "k": k,
        "pixel_size": None if pixel_size_angstrom is None else round(pixel_size_angstrom, 6),
        "flip": options.flip,
        "invert": options.invert,
        "downsample": options.downsample,
    }
    for name, cells in NOTEBOOKS.items():
        write_notebook(folder / name, cells, values)
    return tuple(folder / name for name in NOTEBOOKS)


def write_notebook(path: Path, cells: Sequence[Cell], values: Mapping[str, Any]) -> None:
    """Write one notebook, the values filled into its cells, unless one that was changed is there."""
    filled = [(kind, text.format(**values).rstrip("\n")) for kind, text in cells]
    if _may_be_written(path, filled):
        write_text(path, json.dumps(notebook(filled), indent=1, ensure_ascii=False) + "\n")


def notebook(cells: Sequence[Cell]) -> dict[str, Any]:
    """A notebook of format 4.5 with these cells, none run; it keeps a digest of what they say."""
    return {
        "cells": [_cell(number, kind, text) for number, (kind, text) in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "cryoscape": {"version": __version__, "cells_sha256": _digest([text for _, text in cells])},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number:02d}", "metadata": {}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": text.splitlines(keepends=True)}


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()


def _may_be_written(path: Path, cells: Sequence[Cell]) -> bool:
    """Whether nothing is there, or a notebook that was written here, has other cells, and was not changed."""
    if not path.exists():
        return True
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        texts = ["".join(cell["source"]) for cell in there["cells"]]
        own = there["metadata"]["cryoscape"]["cells_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        texts, own = [], ""
    if texts == [text for _, text in cells]:
        return False  # outputs stay
    if own != _digest(texts):
        logger.info("%s was changed and is kept; remove it to have it written anew", path)
        return False
    return True
