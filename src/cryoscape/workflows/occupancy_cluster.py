"""Classes of maps and structural blocks of elements, from the table of occupancies; heat map and scripts."""

import logging
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cryoscape import __version__
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.chimerax import write_block_script, write_class_script
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.occupancy.cluster import (
    LinkageMethod,
    Scaling,
    Tree,
    cophenetic_correlation,
    grow_tree,
    rescale,
    suggested_number,
)
from cryoscape.occupancy.elements import header_of, short_name
from cryoscape.plotting.occupancy import (
    TreePicture,
    block_colors,
    class_colors,
    hex_color,
    plot_cuts,
    plot_occupancies,
)
from cryoscape.plotting.style import figure_png
from cryoscape.workflows.occupancy_files import (
    ELEMENTS_FILE,
    MAPS_FOLDER,
    RUN_FILE,
    TABLE_FILE,
    OccupancyTable,
    find_maps,
    read_json,
    read_table,
    refuse_existing,
    write_json,
    write_table,
)

logger = logging.getLogger("cryoscape")

NORMALISED_FILE = "norm_occs.txt"
CLASSES_PICKLE, CLASSES_FILE, MAP_CLASSES_FILE = "vol_classes.pkl", "classes.csv", "vol_classes.csv"
BLOCKS_FILE, BLOCKS_SCRIPT = "blocks.csv", "blocks.py"
HEAT_MAP, CUTS_PLOT, SETTINGS_FILE = "heatmap.png", "cuts.png", "cluster.json"
_CLASS_SCRIPT = re.compile(r"class\d+\.py")


@dataclass(frozen=True)
class ClusterOptions:
    """How occupancies are scaled and trees are grown and cut.

    Attributes
    ----------
    scale, percentiles : see `occupancy.cluster.rescale`.
    linkage : how distances between groups are counted.
    n_classes, class_threshold : cut of the tree of maps; what the tree suggests where neither is given.
    n_blocks, block_threshold : the same for elements.
    """

    scale: Scaling = "global"
    percentiles: tuple[float, float] = (10.0, 90.0)
    linkage: LinkageMethod = "ward"
    n_classes: int | None = None
    class_threshold: float | None = None
    n_blocks: int | None = None
    block_threshold: float | None = None


@dataclass(frozen=True, eq=False)
class Grouping:
    """A tree and its cut.

    Attributes
    ----------
    labels : (n,) group of each item, from 0 in the order of the leaves.
    threshold : distance at which the tree is cut.
    suggested : number of groups that the tree itself suggests.
    """

    tree: Tree
    labels: Int[np.ndarray, " n"]
    threshold: float
    suggested: int

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.labels.max()) + 1

    def picture(self, colors: Float[np.ndarray, "k 3"]) -> TreePicture:
        """As it is drawn."""
        return TreePicture(self.tree.links, self.tree.order, self.labels, self.threshold, colors)


@dataclass(frozen=True, eq=False)
class ClusterResult:
    """Classes of maps and blocks of elements, and the rescaled occupancies they were made of."""

    table: OccupancyTable
    scaled: Float[np.ndarray, "n e"]
    classes: Grouping
    blocks: Grouping

    def members(self) -> dict[int, Int[np.ndarray, " m"]]:
        """Numbers of the maps of each class."""
        return {k: self.table.numbers[self.classes.labels == k] for k in range(self.classes.n_groups)}


def occupancy_cluster(
    table: Path,
    output: Path | None = None,
    options: ClusterOptions | None = None,
    *,
    maps: Path | None = None,
    references: Path | None = None,
    force: bool = False,
) -> ClusterResult:
    """Cluster a table of occupancies and write classes, blocks, heat map and scripts.

    Parameters
    ----------
    table
        occupancies.csv, or its folder.
    output
        Folder; that of the table by default.
    maps
        Folder of the maps, for the scripts that open classes; what `occupancy run` noted by default.
    references
        Folder of the elements' maps, which tells what to colour; 01_PDB_mrc beside the table where it is.

    Raises
    ------
    InputError
        For a table or settings that cannot be used, and files that are there already.
    """
    options = options or ClusterOptions()
    source = table / TABLE_FILE if table.is_dir() else table
    found = read_table(source)
    folder = source.parent if output is None else output
    result = cluster_table(found, options)
    map_paths = _map_paths(_noted_maps(source) if maps is None else maps, found)
    model = _elements_record(references, source)
    refuse_existing([folder / name for name in (NORMALISED_FILE, CLASSES_PICKLE, SETTINGS_FILE)], force)
    write_clusters(folder, result, options, map_paths, model)
    return result


def cluster_table(table: OccupancyTable, options: ClusterOptions) -> ClusterResult:
    """Rescale, grow both trees and cut them; InputError for cuts that cannot be."""
    if len(table.numbers) < 2 or len(table.names) < 2:
        raise InputError(
            f"{len(table.numbers)} maps and {len(table.names)} elements: clustering needs 2 of each at least"
        )
    scaled = rescale(table.values, options.scale, options.percentiles)
    classes = _group(scaled, options.linkage, options.n_classes, options.class_threshold, "class", "classes")
    blocks = _group(scaled.T, options.linkage, options.n_blocks, options.block_threshold, "block", "blocks")
    return ClusterResult(table, scaled, classes, blocks)


def _group(
    items: np.ndarray, method: LinkageMethod, n: int | None, threshold: float | None, one: str, many: str
) -> Grouping:
    if n is not None and threshold is not None:
        raise InputError(f"--{many} and --{one}-threshold exclude each other; give one of them")
    if n is not None and not 1 <= n <= len(items):
        raise InputError(f"--{many} {n}: expected 1 to {len(items)}")
    if threshold is not None and not threshold >= 0:
        raise InputError(f"--{one}-threshold {threshold:g}: expected a distance of at least 0")
    tree = grow_tree(items, method)
    suggested = suggested_number(tree)
    if threshold is not None:
        return Grouping(tree, tree.cut(threshold), threshold, suggested)
    number = suggested if n is None else n
    return Grouping(tree, tree.cut_to(number), tree.threshold_for(number), suggested)


def _noted_maps(table: Path) -> Path | None:
    """Folder of the maps that `occupancy run` measured, where it is still there."""
    noted = table.parent / RUN_FILE
    folder = Path(str(read_json(noted).get("maps"))) if noted.is_file() else None
    return folder if folder is not None and folder.exists() else None


def _map_paths(maps: Path | None, table: OccupancyTable) -> dict[int, Path]:
    """Files of the maps by number; empty where they are not known."""
    if maps is None:
        return {}
    found = find_maps(maps)
    known = dict(zip(found.numbers.tolist(), found.paths, strict=True))
    missing = [int(number) for number in table.numbers if int(number) not in known]
    if missing:
        raise InputError(
            f"{maps}: no map {missing[0]}, which the table has; give the folder that was measured"
        )
    return known


def _elements_record(references: Path | None, table: Path) -> dict[str, Any] | None:
    folder = references if references is not None else table.parent / MAPS_FOLDER
    path = folder / ELEMENTS_FILE
    if not path.is_file():
        if references is not None:
            raise InputError(f"{path}: no such file; give the folder that occupancy maps wrote with --refdir")
        return None
    return read_json(path)


def write_clusters(
    folder: Path,
    result: ClusterResult,
    options: ClusterOptions,
    map_paths: dict[int, Path],
    model: dict[str, Any] | None,
) -> None:
    """Write all files of a clustering; those of an earlier one with more classes go."""
    folder.mkdir(parents=True, exist_ok=True)
    table = result.table
    scaled = OccupancyTable(table.numbers, table.names, result.scaled)
    write_table(folder / NORMALISED_FILE, scaled, separator="\t")
    write_array_pickle(folder / CLASSES_PICKLE, result.members())
    _write_csv(
        folder / MAP_CLASSES_FILE, pd.DataFrame({"map": table.numbers, "class": result.classes.labels})
    )
    _write_csv(folder / CLASSES_FILE, class_summary(result))
    _write_csv(folder / BLOCKS_FILE, _block_table(result))
    for stale in folder.glob("class*.py"):
        if _CLASS_SCRIPT.fullmatch(stale.name):
            stale.unlink()
    if map_paths:
        for k, numbers in result.members().items():
            write_class_script(folder / f"class{k}.py", [map_paths[int(i)] for i in numbers])
    if model is not None:
        write_block_script(
            folder / BLOCKS_SCRIPT, list(model["models"].values()), _coloured(result, model), model["placing"]
        )
    _draw(folder, result, map_paths)
    write_json(folder / SETTINGS_FILE, _settings(result, options))
    logger.info(
        "%d classes of maps (suggested %d) and %d blocks of elements (suggested %d) in %s",
        result.classes.n_groups, result.classes.suggested, result.blocks.n_groups, result.blocks.suggested,
        folder,
    )  # fmt: skip


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    with replace_when_done(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.4g")


def class_summary(result: ClusterResult) -> pd.DataFrame:
    """A row a class: its size, the map nearest to its mean, and the mean occupancy of each block."""
    rows = []
    for k, numbers in result.members().items():
        values = result.scaled[result.classes.labels == k]
        nearest = int(np.linalg.norm(values - values.mean(axis=0), axis=1).argmin())
        means = {
            f"block{b}": float(values[:, result.blocks.labels == b].mean())
            for b in range(result.blocks.n_groups)
        }
        share = len(numbers) / len(result.table.numbers)
        central = int(numbers[nearest])
        rows.append({"class": k, "maps": len(numbers), "share": share, "central_map": central, **means})
    return pd.DataFrame(rows)


def _block_table(result: ClusterResult) -> pd.DataFrame:
    order = result.blocks.tree.order
    headers = [header_of(name) for name in result.table.names]
    return pd.DataFrame(
        {
            "block": result.blocks.labels[order],
            "element": [short_name(result.table.names[i]) for i in order],
            "PDB": [headers[i][0] for i in order],
            "Chain": [headers[i][1] for i in order],
            "mean_occupancy": result.scaled.mean(axis=0)[order],
        }
    )


def _coloured(result: ClusterResult, model: dict[str, Any]) -> dict[str, list[str]]:
    """Parts of the models, as ChimeraX names them, by the colour of their block."""
    number = {stem: i for i, stem in enumerate(model["models"], 1)}
    colors = block_colors(result.blocks.n_groups)
    found: dict[str, list[str]] = {hex_color(color): [] for color in colors}
    for name, block in zip(result.table.names, result.blocks.labels, strict=True):
        for text in model["elements"].get(name, ()):
            stem, chain, *residues = text.split(":")
            spec = f"#{number[stem]}/{chain}" + "".join(f":{part}" for part in residues)
            found[hex_color(colors[block])].append(spec)
    return found


def _draw(folder: Path, result: ClusterResult, map_paths: dict[int, Path]) -> None:
    numbers = result.table.numbers
    map_names = [map_paths[int(i)].stem if map_paths else f"map {i}" for i in numbers]
    figure = plot_occupancies(
        result.scaled,
        [short_name(name) for name in result.table.names],
        map_names,
        result.classes.picture(class_colors(result.classes.n_groups)),
        result.blocks.picture(block_colors(result.blocks.n_groups)),
    )
    cuts = plot_cuts(
        [
            (title, group.tree.links[:, 2], group.n_groups, group.suggested)
            for title, group in (("Classes of maps", result.classes), ("Blocks of elements", result.blocks))
        ]
    )
    for name, drawn in ((HEAT_MAP, figure), (CUTS_PLOT, cuts)):
        with replace_when_done(folder / name) as temporary:
            temporary.write_bytes(figure_png(drawn))


def _settings(result: ClusterResult, options: ClusterOptions) -> dict[str, Any]:
    found = {
        kind: {
            "number": group.n_groups,
            "suggested": group.suggested,
            "threshold": group.threshold,
            "cophenetic_correlation": cophenetic_correlation(group.tree, items),
        }
        for kind, group, items in (
            ("classes", result.classes, result.scaled),
            ("blocks", result.blocks, result.scaled.T),
        )
    }
    return {"version": __version__, "options": asdict(options), **found}
