"""Numbers of the landscape of all particles and the files they are kept in."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cryoscape.analysis.landscape_states import Assignment
from cryoscape.engines.run_folder import LoadedRun
from cryoscape.io.chimerax import write_open_script
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.workflows.analyze_landscape_maps import FinishedMaps
from cryoscape.workflows.analyze_results import write_rows, write_table

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True, eq=False)
class FullLandscape:
    """Every particle in the landscape.

    Attributes
    ----------
    coordinates : (N, c) along the components of the maps.
    start : (N,) states that `analyze_landscape` gave to the cells of particles.
    assignment : states of the particles themselves.
    held_out_r2 : (c,) of predicted coordinates; None where they are exact.
    uncertainty : (c, c) mean covariance of the coordinates of a particle; None where not known.
    explained : share of the variance of the compared maps by component.
    """

    coordinates: Float[np.ndarray, "n c"]
    start: Int[np.ndarray, " n"]
    assignment: Assignment
    held_out_r2: Float[np.ndarray, " c"] | None
    uncertainty: Float[np.ndarray, "c c"] | None
    explained: Float[np.ndarray, " r"]
    level: float
    pixel_size_angstrom: float

    @property
    def n_states(self) -> int:
        """Number of states, those that lost all their particles included."""
        return int(self.start.max()) + 1

    @property
    def counts(self) -> Int[np.ndarray, " s"]:
        """Particles of each state."""
        return np.bincount(self.assignment.labels, minlength=self.n_states)


def write_full_numbers(
    folder: Path, run: LoadedRun, found: FullLandscape, maps: FinishedMaps
) -> tuple[Path, ...]:
    """Coordinates, labels, selections and a map of each state; returns the maps' files."""
    write_array_pickle(folder / "vol_pca_all.pkl", found.coordinates.astype(np.float32))
    if found.held_out_r2 is not None:
        write_rows(folder / "held_out_r2.txt", found.held_out_r2)
    place, labels = folder / "full_clustering", found.assignment.labels
    write_array_pickle(place / "cluster_labels.pkl", labels)
    files = []
    for state in range(found.n_states):
        rows = np.flatnonzero(labels == state)
        write_array_pickle(place / f"state_{state:03d}_particle_ind.pkl", run.original_rows[rows])
        files.append(place / f"state_{state:03d}_mean.mrc")
        if not len(rows):
            logger.warning("State %d has lost all its particles to others; it has no map", state)
            continue
        if maps.linear is not None:
            z = run.z[rows].mean(axis=0, dtype=np.float64)
        else:  # a decoder is asked where there is a particle
            middle = found.coordinates[rows].mean(axis=0)
            z = run.z[rows[np.linalg.norm(found.coordinates[rows] - middle, axis=1).argmin()]]
        maps.write(files[-1], maps.volumes(np.asarray(z, dtype=np.float32)[None])[0])
    write_open_script(place / "open_maps.cxc", [path for path in files if path.is_file()], found.level)
    counts = found.counts
    table = {"state": np.arange(found.n_states), "particles": counts, "share": counts / counts.sum()}
    write_table(place / "states", pd.DataFrame(table))
    return tuple(files)


def full_particle_table(run: LoadedRun, found: FullLandscape, layout: np.ndarray | None) -> pd.DataFrame:
    """One row a particle: rows, state with its probability, state of its cell, coordinates, UMAP."""
    table: dict[str, Any] = {
        "row": np.arange(len(run.z)),
        "original_row": run.original_rows,
        "state": found.assignment.labels.astype(np.int32),
        "probability": found.assignment.probability.astype(np.float32),
        "sketch_state": found.start.astype(np.int32),
    }
    table |= {f"vol_pc{i + 1}": c.astype(np.float32) for i, c in enumerate(found.coordinates.T)}
    if layout is not None:
        table |= {"umap1": layout[:, 0], "umap2": layout[:, 1]}
    return pd.DataFrame(table)
