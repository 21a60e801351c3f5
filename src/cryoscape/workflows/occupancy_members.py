"""Particles of each class of maps: those of the clusters at whose centres its maps were made."""

import json
import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int
from matplotlib.figure import Figure

from cryoscape.engines.run_folder import RunFolder
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import read_labels
from cryoscape.occupancy.confusion import Confusion, confusion
from cryoscape.particles.selection import Selection, write_selection
from cryoscape.plotting.occupancy_confusion import plot_confusion
from cryoscape.plotting.style import figure_png
from cryoscape.typing import Rows
from cryoscape.workflows.occupancy_groups import ClusterResult
from cryoscape.workflows.occupancy_labels import read_particle_labels
from cryoscape.workflows.occupancy_reconstruct import class_folder, command_of, selection_request
from cryoscape.workflows.reconstruct import ReconstructRequest
from cryoscape.workflows.run_particles import run_particles

logger = logging.getLogger("cryoscape")

MEMBERS_FILE = "particle_classes.parquet"
CONFUSION_TABLE, CONFUSION_PLOT = "confusion.csv", "confusion.png"
_METADATA = b"cryoscape"
_SELECTION = re.compile(r"class_\d+\.particles\.(pkl|json)")


@dataclass(frozen=True, eq=False)
class Members:
    """Which map stands for each particle of a run.

    Attributes
    ----------
    rows : (n,) rows of the original input, in the order of the run.
    maps : (n,) number of the map at the centre of the particle's cluster.
    run : folder of the run.
    labels : (n,) text that particles are labelled with elsewhere, None where not; None for no labels.
    """

    rows: Rows
    maps: Int[np.ndarray, " n"]
    run: Path
    labels: np.ndarray | None = None

    def labelled(self, path: Path | None) -> "Members":
        """The same with labels from a file, where one is given."""
        return self if path is None else replace(self, labels=read_particle_labels(path, self.rows))

    def of_maps(self, numbers: Int[np.ndarray, " m"]) -> "Members":
        """Only those of some maps."""
        kept = np.isin(self.maps, numbers)
        labels = None if self.labels is None else self.labels[kept]
        return Members(self.rows[kept], self.maps[kept], self.run, labels)

    def classes(self, result: ClusterResult) -> Int[np.ndarray, " n"]:
        """Class of each particle: that of its map."""
        return result.classes.labels[np.searchsorted(result.table.numbers, self.maps)]

    def counts(self, result: ClusterResult) -> Int[np.ndarray, " k"]:
        """Particles of each class."""
        return np.bincount(self.classes(result), minlength=result.classes.n_groups)


def members_beside(maps: Path, numbers: Int[np.ndarray, " m"]) -> Members | None:
    """Members of maps that `analyze --ksample` made, from labels.pkl beside them; None where there is none.

    The run is the folder that holds the analysis: maps lie in RUN/analyze.E/kmeansK.
    """
    labels, run = maps / "labels.pkl", maps.resolve().parent.parent
    if not labels.is_file():
        return None
    try:
        found = read_labels(labels).astype(np.int64)
        rows = RunFolder(run).original_rows(len(found))
    except (InputError, OSError) as error:
        logger.info("no particles of classes: %s", error)
        return None
    if not np.array_equal(np.unique(found), numbers):
        logger.info("no particles of classes: maps in %s have other numbers than the clusters there", maps)
        return None
    return Members(rows, found, run)


def read_members(folder: Path) -> Members | None:
    """What `write_members` left in a folder; None where there is nothing of the kind."""
    path = folder / MEMBERS_FILE
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
        run = Path(json.loads(table.schema.metadata[_METADATA])["run"])
        rows, maps = (table[name].to_numpy().astype(np.int64) for name in ("row", "map"))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not readable ({error}); make it again with occupancy run") from error
    labels = np.array(table["label"].to_pylist(), dtype=object) if "label" in table.column_names else None
    return Members(rows, maps, run, labels)


def write_members(folder: Path, members: Members, result: ClusterResult) -> None:
    """Write the class of each particle, a selection a class, and classes against labels.

    Selections are class_0.particles.pkl... with a record beside each; those of an earlier clustering go.
    """
    remove_members(folder)
    classes = members.classes(result)
    columns = {"row": members.rows, "map": members.maps, "class": classes}
    if members.labels is not None:
        columns["label"] = pa.array(members.labels.tolist(), type=pa.string())
    record = json.dumps({"run": str(members.run.resolve())}).encode()
    with replace_when_done(folder / MEMBERS_FILE) as temporary:
        pq.write_table(pa.table(columns).replace_schema_metadata({_METADATA: record}), temporary)
    n_original = _n_original(members)
    for k, numbers in result.members().items():
        how = {"holds": f"particles of class {k} of maps", "run": str(members.run), "maps": numbers.tolist()}
        selection = Selection(members.rows[classes == k], n_original, how)
        write_selection(selection_path(folder, k), selection)
    counts = members.counts(result)
    smallest = int(counts.argmin())
    logger.info(
        "particles of classes: %s; smallest class, as a map with half maps: %s",
        ", ".join(f"{k}: {n}" for k, n in enumerate(counts)),
        command_of(class_request(members, folder, smallest, counts)),
    )  # fmt: skip
    if members.labels is not None:
        _write_confusion(folder, classes, members.labels)


def remove_members(folder: Path) -> None:
    """Remove what `write_members` wrote here."""
    for path in folder.glob("class_*.particles.*"):
        if _SELECTION.fullmatch(path.name):
            path.unlink()
    for name in (MEMBERS_FILE, CONFUSION_TABLE, CONFUSION_PLOT):
        (folder / name).unlink(missing_ok=True)


def selection_path(folder: Path, k: int) -> Path:
    """Where the particles of a class lie."""
    return folder / f"class_{k}.particles.pkl"


def class_request(
    members: Members, folder: Path, k: int, counts: Int[np.ndarray, " k"]
) -> ReconstructRequest:
    """What reconstructs a class of the clustering in a folder from its particles alone."""
    output = class_folder(folder, k, int(counts[k]))
    return selection_request(members.run, selection_path(folder, k), output)


def _n_original(members: Members) -> int | None:
    try:
        return run_particles(RunFolder(members.run), members.rows).n_original
    except (InputError, OSError):
        return None


def draw_confusion(found: Confusion) -> Figure:
    """Classes against given labels."""
    return plot_confusion(found.counts, found.classes, found.labels, found.adjusted_rand)


def _write_confusion(folder: Path, classes: Int[np.ndarray, " n"], labels: np.ndarray) -> None:
    found = confusion(classes, labels)
    frame = pd.DataFrame(found.counts, index=pd.Index(found.classes, name="class"), columns=found.labels)
    with replace_when_done(folder / CONFUSION_TABLE) as temporary:
        frame.to_csv(temporary)
    with replace_when_done(folder / CONFUSION_PLOT) as temporary:
        temporary.write_bytes(figure_png(draw_confusion(found)))
    logger.info(
        "adjusted Rand index of classes and labels of %d particles: %.3f",
        found.counts.sum(), found.adjusted_rand,
    )  # fmt: skip
