"""Files of classes of maps and blocks of elements: tables, heat map, scripts for ChimeraX."""

import logging
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cryoscape import __version__
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.chimerax import write_block_script, write_class_script
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.occupancy.cluster import cophenetic_correlation
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
from cryoscape.workflows.occupancy_class_maps import write_class_maps
from cryoscape.workflows.occupancy_files import OccupancyTable, write_json, write_table
from cryoscape.workflows.occupancy_groups import ClusterOptions, ClusterResult, Grouping
from cryoscape.workflows.occupancy_members import Members, remove_members, write_members
from cryoscape.workflows.occupancy_notebook import write_occupancy_notebook

logger = logging.getLogger("cryoscape")

NORMALISED_FILE = "norm_occs.txt"
CLASSES_PICKLE, CLASSES_FILE, MAP_CLASSES_FILE = "vol_classes.pkl", "classes.csv", "vol_classes.csv"
BLOCKS_FILE, BLOCKS_SCRIPT = "blocks.csv", "blocks.py"
HEAT_MAP, CUTS_PLOT, SETTINGS_FILE = "heatmap.png", "cuts.png", "cluster.json"
_CLASS_SCRIPT = re.compile(r"class\d+\.py")


def write_clusters(
    folder: Path,
    result: ClusterResult,
    options: ClusterOptions,
    map_paths: dict[int, Path],
    model: dict[str, Any] | None,
    members: Members | None = None,
) -> None:
    """Write all files of a clustering; those of an earlier one with more classes go.

    Parameters
    ----------
    map_paths
        Files of the maps by number, as far as there are any, for the scripts of classes.
    model
        What elements.json holds, for the script of blocks.
    members
        Particles that the maps stand for, where they are known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = result.table
    scaled = OccupancyTable(table.numbers, table.names, result.scaled)
    write_table(folder / NORMALISED_FILE, scaled, separator="\t")
    write_array_pickle(folder / CLASSES_PICKLE, result.members())
    _write_csv(
        folder / MAP_CLASSES_FILE, pd.DataFrame({"map": table.numbers, "class": result.classes.labels})
    )
    summary = class_summary(result, members)
    _write_csv(folder / CLASSES_FILE, summary)
    _write_csv(folder / BLOCKS_FILE, block_table(result))
    for stale in folder.glob("class*.py"):
        if _CLASS_SCRIPT.fullmatch(stale.name):
            stale.unlink()
    for k, numbers in result.members().items():
        paths = [map_paths[int(i)] for i in numbers if int(i) in map_paths]
        if paths:
            write_class_script(folder / f"class{k}.py", paths)
    if model is not None:
        write_block_script(
            folder / BLOCKS_SCRIPT, list(model["models"].values()), _coloured(result, model), model["placing"]
        )
    _draw(folder, result, map_paths)
    write_class_maps(folder, summary, map_paths)
    write_json(folder / SETTINGS_FILE, _settings(result, options))
    logger.info(
        "%d classes of maps (suggested %d) and %d blocks of elements (suggested %d) in %s",
        result.classes.n_groups, result.classes.suggested, result.blocks.n_groups, result.blocks.suggested,
        folder,
    )  # fmt: skip
    write_occupancy_notebook(folder, result, options)
    if members is None:
        remove_members(folder)
    else:
        write_members(folder, members, result)


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    with replace_when_done(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.4g")


def class_summary(result: ClusterResult, members: Members | None = None) -> pd.DataFrame:
    """A row a class: its size, the map nearest to its mean, and the mean occupancy of each block."""
    rows = []
    counts = None if members is None else members.counts(result)
    for k, numbers in result.members().items():
        values = result.scaled[result.classes.labels == k]
        nearest = int(np.linalg.norm(values - values.mean(axis=0), axis=1).argmin())
        means = {
            f"block{b}": float(values[:, result.blocks.labels == b].mean())
            for b in range(result.blocks.n_groups)
        }
        share = len(numbers) / len(result.table.numbers)
        sizes = {"maps": len(numbers), "share": share}
        if counts is not None:
            sizes["particles"] = int(counts[k])
        rows.append({"class": k, **sizes, "central_map": int(numbers[nearest]), **means})
    return pd.DataFrame(rows)


def block_table(result: ClusterResult) -> pd.DataFrame:
    """A row an element in the order of the heat map: its block, its names, its mean occupancy."""
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


def draw_heat_map(result: ClusterResult, map_paths: Mapping[int, Path] | None = None) -> Figure:
    """Heat map with both trees; maps are called by their files where these are known."""
    known = map_paths or {}
    numbers = result.table.numbers.tolist()
    return plot_occupancies(
        result.scaled,
        [short_name(name) for name in result.table.names],
        [known[i].stem if i in known else f"map {i}" for i in numbers],
        _picture(result.classes, class_colors(result.classes.n_groups)),
        _picture(result.blocks, block_colors(result.blocks.n_groups)),
    )


def _draw(folder: Path, result: ClusterResult, map_paths: dict[int, Path]) -> None:
    figure = draw_heat_map(result, map_paths)
    cuts = plot_cuts(
        [
            (title, group.tree.links[:, 2], group.n_groups, group.suggested)
            for title, group in (("Classes of maps", result.classes), ("Blocks of elements", result.blocks))
        ]
    )
    for name, drawn in ((HEAT_MAP, figure), (CUTS_PLOT, cuts)):
        with replace_when_done(folder / name) as temporary:
            temporary.write_bytes(figure_png(drawn))


def _picture(group: Grouping, colors: np.ndarray) -> TreePicture:
    return TreePicture(group.tree.links, group.tree.order, group.labels, group.threshold, colors)


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
