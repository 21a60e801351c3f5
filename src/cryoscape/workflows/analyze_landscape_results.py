"""Numbers of a landscape and the files they are kept in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cryoscape.analysis.clustering import Clusters
from cryoscape.analysis.landscape import LinearCoordinates, MapComponents
from cryoscape.analysis.landscape_states import MapTree, Suggestion
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.typing import Rows, Volume
from cryoscape.workflows.analyze_results import write_rows, write_table

SETTINGS_FILE = "landscape.json"
MODEL_FILE = "vol_pca.npz"


@dataclass(frozen=True, eq=False)
class Landscape:
    """All numbers of a landscape.

    Attributes
    ----------
    sketch : cells of the particles; their maps are compared.
    z_maps : (k, zdim) latents of these maps.
    original_rows : (N,) row of the original input of each particle.
    linear : coordinates of any latent, where maps are linear in latents.
    states : (k,) state of each map.
    suggestion : None where the number of states was given.
    """

    sketch: Clusters
    z_maps: Float[np.ndarray, "k zdim"]
    original_rows: Rows
    components: MapComponents
    linear: LinearCoordinates | None
    tree: MapTree
    states: Int[np.ndarray, " k"]
    suggestion: Suggestion | None
    mask: Volume
    mean: Volume
    level: float
    pixel_size_angstrom: float

    @property
    def n_states(self) -> int:
        """Number of states."""
        return int(self.states.max()) + 1

    @property
    def particle_states(self) -> Int[np.ndarray, " n"]:
        """State of each particle: that of its cell."""
        return np.asarray(self.states[self.sketch.labels])

    @property
    def particle_counts(self) -> Int[np.ndarray, " m"]:
        """Particles of each state."""
        return np.bincount(self.particle_states, minlength=self.n_states)

    @property
    def map_counts(self) -> Int[np.ndarray, " m"]:
        """Compared maps of each state."""
        return np.bincount(self.states, minlength=self.n_states)

    @property
    def sketch_folder(self) -> str:
        """Name of the folder of the sketch, after the number of points asked for."""
        return f"kmeans{self.sketch.requested}"

    @property
    def state_folder(self) -> str:
        """Name of the folder of the states."""
        return f"sketch_clustering_{self.tree.linkage}_{self.n_states}"


def state_table(found: Landscape) -> pd.DataFrame:
    """One row a state: maps, particles, share, and mean coordinates along the first components."""
    counts = found.particle_counts
    table: dict[str, Any] = {
        "state": np.arange(found.n_states),
        "maps": found.map_counts,
        "particles": counts,
        "share": counts / counts.sum(),
    }
    centers = state_centers(found)
    table |= {f"vol_pc{i + 1}": centers[:, i] for i in range(min(5, centers.shape[1]))}
    return pd.DataFrame(table)


def state_centers(found: Landscape) -> Float[np.ndarray, "m c"]:
    """Mean coordinates of each state, maps weighted by their particles."""
    weight = found.sketch.counts.astype(np.float64)
    total = np.bincount(found.states, weights=weight)
    columns = found.components.coordinates[:, : len(found.components.axes)].T
    return np.stack([np.bincount(found.states, weights=weight * c) / total for c in columns], axis=1)


def sketch_table(found: Landscape) -> pd.DataFrame:
    """One row a point of the sketch: particles, the particle at its centre, state, coordinates."""
    rows = found.sketch.center_rows
    table: dict[str, Any] = {
        "map": np.arange(found.sketch.k),
        "particles": found.sketch.counts,
        "center_row": rows,
        "center_original_row": found.original_rows[rows],
        "state": found.states,
    }
    coordinates = found.components.coordinates[:, : len(found.components.axes)]
    table |= {f"vol_pc{i + 1}": coordinates[:, i] for i in range(coordinates.shape[1])}
    return pd.DataFrame(table)


def write_landscape_numbers(folder: Path, found: Landscape) -> None:
    """Sketch, coordinates and states, under the names that other tools look for."""
    place = folder / found.sketch_folder
    write_array_pickle(place / "labels.pkl", found.sketch.labels)
    write_rows(place / "centers.txt", found.sketch.centers)
    write_rows(place / "centers_ind.txt", found.sketch.center_rows)
    write_rows(place / "z_values.txt", found.z_maps)
    write_table(place / "sketch", sketch_table(found))
    kept = found.components.coordinates[:, : len(found.components.axes)]
    write_array_pickle(folder / f"vol_pca_{found.sketch.requested}.pkl", kept.astype(np.float32))
    write_model(folder / MODEL_FILE, found)
    write_states(folder / found.state_folder, found)


def write_states(place: Path, found: Landscape) -> None:
    """Labels of maps and particles, selections in rows of the original input, the table and the tree."""
    write_array_pickle(place / "state_labels.pkl", found.states)
    write_array_pickle(place / "particle_labels.pkl", found.particle_states)
    for state in range(found.n_states):
        rows = found.original_rows[found.particle_states == state]
        write_array_pickle(place / f"state_{state:03d}_particle_ind.pkl", rows)
    write_rows(place / "tree.txt", found.tree.links)
    write_table(place / "states", state_table(found))
    if found.suggestion is not None:
        numbers = {"states": found.suggestion.numbers, "silhouette": found.suggestion.silhouette}
        write_table(place / "number_of_states", pd.DataFrame(numbers))


def write_model(path: Path, found: Landscape) -> None:
    """What places other maps in this landscape: mask, mean, axes, and the matrix from latents if any."""
    inside = np.flatnonzero(found.mask.ravel() > 0)
    components = found.components
    content = {
        "box_size": np.array(len(found.mask)),
        "inside": inside.astype(np.int64),
        "weight": found.mask.ravel()[inside],
        "center": components.center,
        "axes": components.axes,
        "explained": components.explained,
    }
    if found.linear is not None:
        content |= {"origin": found.linear.origin, "matrix": found.linear.matrix}
    with replace_when_done(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **content)


@dataclass(frozen=True, eq=False)
class LandscapeModel:
    """Places maps in a landscape made earlier; see `MapComponents` for the fields.

    Attributes
    ----------
    inside : (v,) flat numbers of the voxels within the mask.
    weight : (v,) of the mask there.
    linear : coordinates straight from latents, where maps are linear in them.
    """

    box_size: int
    inside: Int[np.ndarray, " v"]
    weight: Float[np.ndarray, " v"]
    components: MapComponents
    linear: LinearCoordinates | None

    def project(self, volumes: Float[np.ndarray, "n D D D"]) -> Float[np.ndarray, "n c"]:
        """Coordinates of maps of the landscape's box."""
        flat = volumes.reshape(len(volumes), -1)[:, self.inside] * self.weight
        return self.components.project(flat)


def read_model(path: Path) -> LandscapeModel:
    """Read what `write_model` wrote; InputError where it is missing or damaged."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `cryoscape analyze_landscape` on this epoch first")
    try:
        with np.load(path, allow_pickle=False) as stored:
            content = {name: stored[name] for name in stored.files}
        axes = content["axes"]
        linear = LinearCoordinates(content["origin"], content["matrix"]) if "matrix" in content else None
        components = MapComponents(
            content["center"], axes, np.empty((0, len(content["explained"]))), content["explained"]
        )
        return LandscapeModel(
            int(content["box_size"]), content["inside"], content["weight"], components, linear
        )
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: damaged ({error}); run `cryoscape analyze_landscape` again") from error
