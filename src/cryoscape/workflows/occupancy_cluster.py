"""Classes of maps and structural blocks of elements, from the table of occupancies in a file."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles
from cryoscape.workflows.occupancy_cluster_files import (
    CLASSES_PICKLE,
    NORMALISED_FILE,
    SETTINGS_FILE,
    class_summary,
    write_clusters,
)
from cryoscape.workflows.occupancy_files import (
    ELEMENTS_FILE,
    MAPS_FOLDER,
    RUN_FILE,
    SAMPLED_FOLDER,
    TABLE_FILE,
    OccupancyTable,
    find_maps,
    read_json,
    read_table,
    refuse_existing,
)
from cryoscape.workflows.occupancy_groups import ClusterOptions, ClusterResult, cluster_table
from cryoscape.workflows.occupancy_members import class_request, read_members
from cryoscape.workflows.occupancy_particles import update_particle_occupancies
from cryoscape.workflows.occupancy_reconstruct import check_classes, reconstruct_classes
from cryoscape.workflows.occupancy_sampling import sample_again, write_maps_of

logger = logging.getLogger("cryoscape")


def occupancy_cluster(
    table: Path,
    output: Path | None = None,
    options: ClusterOptions | None = None,
    *,
    maps: Path | None = None,
    references: Path | None = None,
    within: int | None = None,
    labels: Path | None = None,
    reconstruct: Sequence[int] = (),
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
    within
        Only the maps of this class of the clustering beside the table, on the scale of all maps.
    labels
        Labels of particles from elsewhere, where it is known which particles the maps stand for.
    reconstruct
        Classes whose maps are made from their particles alone, where the particles are known.

    Raises
    ------
    InputError
        For a table or settings that cannot be used, and files that are there already.
    """
    options = options or ClusterOptions()
    source = table / TABLE_FILE if table.is_dir() else table
    found = read_table(source)
    folder = source.parent if output is None else output
    chosen = None if within is None else _class_within(source.parent, within, folder, found)
    result = cluster_table(found, options, chosen)
    members = read_members(source.parent)
    if members is None and (labels is not None or reconstruct):
        option = "--labels" if labels is not None else "--reconstruct"
        raise InputError(
            f"{option}: {source.parent} does not tell which particles the maps stand for; use occupancy run "
            "with --run, or give it a folder kmeansK of an analysis with --maps"
        )
    if members is not None:
        members = members.labelled(labels).of_maps(result.table.numbers)
        check_classes(reconstruct, members.counts(result), members.run)
    map_paths = {} if maps is None else _map_paths(maps, found)
    model = _elements_record(references, source)
    refuse_existing([folder / name for name in (NORMALISED_FILE, CLASSES_PICKLE, SETTINGS_FILE)], force)
    if maps is None:
        map_paths = _noted_maps(source, class_summary(result)["central_map"].tolist())
    write_clusters(folder, result, options, map_paths, model, members)
    if within is None:
        update_particle_occupancies(source.parent, folder, result)
    if members is not None:
        counts = members.counts(result)
        reconstruct_classes([class_request(members, folder, k, counts) for k in reconstruct])
    return result


def _class_within(folder: Path, k: int, output: Path, table: OccupancyTable) -> Bool[np.ndarray, " n"]:
    """Which maps of the table are of class k of the clustering in a folder."""
    path = folder / CLASSES_PICKLE
    if not path.is_file():
        raise InputError(f"--within {k}: no {path}; make classes with occupancy cluster first")
    if output.resolve() == folder.resolve():
        raise InputError(
            f"--within {k}: give another folder with -o; {folder} holds the classes it is one of"
        )
    classes = load_pickles(path)[0]
    if not isinstance(classes, dict) or k not in classes:
        known = f"0 to {max(classes)}" if isinstance(classes, dict) and classes else "none"
        raise InputError(f"--within {k}: no such class in {path}; there are {known}")
    return np.isin(table.numbers, classes[k])


def _noted_maps(table: Path, wanted: list[int]) -> dict[int, Path]:
    """Maps that `occupancy run` measured, or, of a run, wrote; those wanted are made where they can be."""
    noted = table.parent / RUN_FILE
    record = read_json(noted) if noted.is_file() else {}
    folder = Path(str(record.get("maps", table.parent / SAMPLED_FOLDER)))
    known = _files_in(folder)
    missing = [number for number in wanted if number not in known]
    if missing and "sampling" in record:
        try:
            known |= write_maps_of(table.parent, sample_again(table.parent, record["sampling"]), missing)
        except InputError as error:
            logger.warning("maps of some classes are not made: %s", error)
    return known


def _files_in(folder: Path) -> dict[int, Path]:
    """Files of maps in a folder by number; none where there are none."""
    if not any(folder.glob("*.mrc")):
        return {}
    found = find_maps(folder)
    return dict(zip(found.numbers.tolist(), found.paths, strict=True))


def _map_paths(maps: Path, table: OccupancyTable) -> dict[int, Path]:
    """Files of all maps of the table, by number."""
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
