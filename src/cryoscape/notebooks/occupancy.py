"""An occupancy analysis in a notebook: tables, groups, pictures, and particles of maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import qr

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles
from cryoscape.notebooks.analysis import ind_where
from cryoscape.notebooks.plots import Note, Pictures
from cryoscape.occupancy.cluster import LinkageMethod
from cryoscape.occupancy.confusion import confusion as compare
from cryoscape.occupancy.elements import name_of
from cryoscape.particles.selection import Selection, read_selection, write_selection
from cryoscape.plotting.occupancy_values import plot_occupancy_histograms, plot_occupancy_pair
from cryoscape.typing import PathLikeStr, Rows
from cryoscape.workflows.occupancy_cluster_files import (
    BLOCKS_FILE,
    CLASSES_PICKLE,
    NORMALISED_FILE,
    block_table,
    class_summary,
    draw_heat_map,
)
from cryoscape.workflows.occupancy_files import OccupancyTable
from cryoscape.workflows.occupancy_groups import ClusterOptions, ClusterResult, cluster_table
from cryoscape.workflows.occupancy_members import (
    Members,
    draw_confusion,
    read_members,
)
from cryoscape.workflows.occupancy_particles import PARTICLES_FILE
from cryoscape.workflows.occupancy_reconstruct import command_of, selection_request


@dataclass(frozen=True, eq=False)
class Occupancies:
    """What an analysis left in its folder.

    Attributes
    ----------
    table : rescaled occupancies of the maps (norm_occs.txt), which are clustered.
    maps : the same as a table, a row a map (the index is its number), a column an element
        and a block, and `map_class`.
    particles : rescaled occupancies of every particle, by row of the original input; empty without
        --all-particles.
    members : which map stands for each particle; None where that is not known.
    """

    folder: Path
    table: OccupancyTable
    maps: pd.DataFrame
    particles: pd.DataFrame
    members: Members | None

    @property
    def elements(self) -> list[str]:
        """Names of the elements, by how much they vary over the maps beyond what those before them tell."""
        names = list(self.table.names)
        values = self.maps[names].to_numpy(np.float64)
        order = qr(values - values.mean(axis=0), mode="r", pivoting=True)[1]
        return [names[i] for i in order]


@dataclass(frozen=True)
class Commands:
    """What a cell says of a selection that was written."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text


def load(folder: PathLikeStr = ".") -> Occupancies:
    """Read the folder of `occupancy run`, `occupancy blocks` or `occupancy cluster`.

    Raises
    ------
    InputError
        If there is no analysis in it.
    """
    place = Path(folder)
    for name in (NORMALISED_FILE, CLASSES_PICKLE, BLOCKS_FILE):
        if not (place / name).is_file():
            raise InputError(f"{place / name}: no such file; make it with occupancy cluster")
    scaled = pd.read_csv(place / NORMALISED_FILE, sep="\t", header=[0, 1], index_col=0)
    names = tuple(name_of((str(header[0]), str(header[1]))) for header in scaled.columns)
    table = OccupancyTable(scaled.index.to_numpy(dtype=np.int64), names, scaled.to_numpy(dtype=np.float64))
    frame = pd.DataFrame(table.values, index=pd.Index(table.numbers, name="map"), columns=list(names))
    for block, of_block in pd.read_csv(place / BLOCKS_FILE, dtype={"PDB": str, "Chain": str}).groupby(
        "block"
    ):
        pairs = zip(of_block["PDB"], of_block["Chain"], strict=True)
        frame[f"block{block}"] = frame[[name_of(pair) for pair in pairs]].mean(axis=1)
    for k, numbers in load_pickles(place / CLASSES_PICKLE)[0].items():
        frame.loc[numbers, "map_class"] = k
    path = place / PARTICLES_FILE
    particles = pd.read_parquet(path).set_index("row") if path.is_file() else pd.DataFrame()
    return Occupancies(place, table, frame.astype({"map_class": int}), particles, read_members(place))


def cluster(
    occ: Occupancies,
    classes: int | None = None,
    blocks: int | None = None,
    *,
    numbers: Sequence[int] | np.ndarray | pd.Index | None = None,
    linkage: LinkageMethod = "ward",
) -> ClusterResult:
    """Classes of maps and blocks of elements with other cuts, of all maps or of some, not written.

    Parameters
    ----------
    classes, blocks
        How many; None for what the trees suggest.
    numbers
        Of the maps; None for all.
    linkage
        How distances between groups are counted.
    """
    chosen = None if numbers is None else np.isin(occ.table.numbers, np.asarray(numbers))
    options = ClusterOptions(scale="none", linkage=linkage, n_classes=classes, n_blocks=blocks)
    return cluster_table(occ.table, options, chosen)


def heatmap(groups: ClusterResult) -> Pictures:
    """Heat map with both trees."""
    return Pictures((draw_heat_map(groups),))


def class_table(occ: Occupancies, groups: ClusterResult) -> pd.DataFrame:
    """A row a class: maps, share, particles where known, central map, mean occupancy of each block."""
    members = occ.members
    known = None if members is None else members.of_maps(groups.table.numbers)
    return class_summary(groups, known).set_index("class").round(3)


def blocks(groups: ClusterResult) -> pd.DataFrame:
    """A row an element in the order of the heat map, with its block."""
    return block_table(groups)


def histograms(occ: Occupancies, elements: Sequence[str]) -> Pictures:
    """Distributions of the occupancies of some elements, or blocks, over maps and particles."""
    maps = {name: occ.maps[name].to_numpy(np.float64) for name in _known(occ.maps, elements)}
    particles = {n: occ.particles[n].to_numpy(np.float64) for n in elements if n in occ.particles}
    return Pictures((plot_occupancy_histograms(maps, particles),))


def pair(occ: Occupancies, x: str, y: str, numbers: Sequence[int] | np.ndarray = ()) -> Pictures:
    """One element against another, with some maps marked."""
    _known(occ.maps, [x, y])
    values = occ.maps[x].to_numpy(np.float64), occ.maps[y].to_numpy(np.float64)
    density = None
    if x in occ.particles and y in occ.particles:
        density = occ.particles[x].to_numpy(np.float64), occ.particles[y].to_numpy(np.float64)
    marked = np.isin(occ.maps.index.to_numpy(), np.asarray(numbers)).astype(np.float64)
    shown = occ.maps.index.tolist()
    return Pictures((plot_occupancy_pair(values, density, (x, y), shown, marked),))


def maps_where(occ: Occupancies, condition: str) -> Rows:
    """Numbers of the maps for which a condition holds, such as "H68 > 0.5 and map_class == 2"."""
    return ind_where(occ.maps, condition)


def particles_where(occ: Occupancies, condition: str) -> Rows:
    """Rows, in the original input, of the particles for which a condition holds; needs --all-particles."""
    if occ.particles.empty:
        raise InputError(f"{occ.folder} has no {PARTICLES_FILE}; run occupancy run with --all-particles")
    return ind_where(occ.particles, condition)


def particles_of(occ: Occupancies, numbers: Sequence[int] | np.ndarray) -> Rows:
    """Rows, in the original input, of the particles that some maps stand for."""
    if occ.members is None:
        raise InputError(f"{occ.folder} does not tell which particles the maps stand for; give --run")
    return np.sort(occ.members.of_maps(np.asarray(numbers, dtype=np.int64)).rows)


def confusion(occ: Occupancies) -> Pictures | Note:
    """Classes against given labels, where there were any."""
    members = occ.members
    if members is None or members.labels is None:
        return Note("No labels of particles were given (`--labels`).")
    classes = occ.maps["map_class"].loc[members.maps].to_numpy(dtype=np.int64)
    return Pictures((draw_confusion(compare(classes, members.labels)),))


def save(occ: Occupancies, rows: Rows, name: str, note: str = "") -> Commands:
    """Write a selection NAME.N_particles.pkl into the folder; answers commands to go on with.

    Raises
    ------
    InputError
        If nothing is selected, or the file is there already with other rows.
    """
    if not len(rows):
        raise InputError("nothing is selected: choose maps or particles first")
    folder = occ.folder.resolve()
    path = folder / f"{name}.{len(rows)}_particles.pkl"
    selection = Selection(rows, None, {"made_by": "notebook", "analysis": str(folder), "note": note})
    if path.exists() and not np.array_equal(read_selection(path).rows, selection.rows):
        raise InputError(f"{path}: is there already with other particles; give another name")
    write_selection(path, selection)
    lines = [f"{len(rows):,} particles in `{path}`. To RELION or cryoSPARC, and as a map with half maps:", ""]
    lines.append(f"    cryoscape export particles.star --ind {path} -o {folder / name}.star")
    if occ.members is not None:
        lines.append(f"    {command_of(selection_request(occ.members.run, path, folder / name))}")
    return Commands("\n".join(lines))


def _known(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    missing = [name for name in names if name not in frame]
    if missing:
        raise InputError(f"no element {missing[0]!r}; there are {', '.join(map(str, frame.columns))}")
    return list(names)
