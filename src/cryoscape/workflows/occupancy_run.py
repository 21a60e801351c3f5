"""Occupancy analysis in one go: maps of elements, masks, occupancies, classes and blocks."""

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cryoscape import __version__
from cryoscape.io.mrc import write_volume
from cryoscape.occupancy.elements import Element
from cryoscape.occupancy.masks import MaskConfig, mask_of_patch
from cryoscape.occupancy.measure import ElementMasks, gather_masks
from cryoscape.occupancy.model import MapGrid, Patch
from cryoscape.workflows.occupancy_ensemble import (
    check_output,
    find_members,
    open_ensemble,
    remove_earlier,
    source_record,
    write_results,
)
from cryoscape.workflows.occupancy_files import (
    ELEMENTS_FILE,
    MAPS_FOLDER,
    MASKS_FOLDER,
    RUN_FILE,
    TABLE_FILE,
    OccupancyTable,
    write_json,
    write_table,
)
from cryoscape.workflows.occupancy_groups import ClusterOptions, ClusterResult, cluster_table
from cryoscape.workflows.occupancy_maps import (
    MaskOptions,
    check_within,
    element_patches,
    mask_path,
    write_element_map,
)
from cryoscape.workflows.occupancy_measure import measure_maps
from cryoscape.workflows.occupancy_model import ModelRequest, prepare_model
from cryoscape.workflows.occupancy_particles import check_column_names
from cryoscape.workflows.occupancy_sampling import SamplingRequest
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

Parts = tuple[tuple[Element, Patch], ...]


@dataclass(frozen=True)
class OccupancyRequest:
    """An occupancy analysis.

    Attributes
    ----------
    maps : folder of the ensemble's maps, or a run to make them from in memory.
    output : folder of all results.
    element_files : write the maps and masks of elements; without, they are only kept in memory.
    all_particles : measure every particle of a run as well.
    labels : labels of particles from elsewhere, which classes are compared with.
    """

    maps: Path | SamplingRequest
    model: ModelRequest
    output: Path
    masks: MaskOptions
    cluster: ClusterOptions
    element_files: bool = True
    all_particles: bool = False
    labels: Path | None = None
    force: bool = False


def occupancy_run(request: OccupancyRequest) -> ClusterResult:
    """Do all steps and write what each of them alone writes.

    Raises
    ------
    InputError
        As the single steps do, and for a folder that holds something else.
    """
    started = time.perf_counter()
    check_output(request.output, request.force)
    maps = open_ensemble(request.maps, request.all_particles)
    members = find_members(maps, request.labels)
    config = request.masks.config(maps.grid.voxel_angstrom)
    prepared = prepare_model(request.model, maps)
    check_within(prepared.elements, maps.grid)
    if request.all_particles:
        check_column_names([element.name for element in prepared.elements])
    parts = tuple(element_patches(prepared, maps.grid))
    masks = _gathered(parts, maps.grid, config)
    table = OccupancyTable(maps.numbers, masks.names, measure_maps(maps, masks))
    result = cluster_table(table, request.cluster)
    record = prepared.record()
    settings = {
        "version": __version__,
        **source_record(request.maps),
        "model": record,
        "masks": asdict(request.masks),
        "cluster": asdict(request.cluster),
    }
    remove_earlier(request.output)
    write_json(request.output / RUN_FILE, settings)
    if request.element_files:
        _write_elements(request.output, parts, maps.grid, config)
    write_json(request.output / MAPS_FOLDER / ELEMENTS_FILE, record)
    write_table(request.output / TABLE_FILE, table)
    write_results(
        request.output, maps, masks, result, request.cluster,
        model=record, members=members, all_particles=request.all_particles,
    )  # fmt: skip
    logger.info(
        "occupancies of %d elements in %d maps in %s (%.1f s)",
        len(table.names), len(maps), request.output, time.perf_counter() - started,
    )  # fmt: skip
    return result


def _gathered(parts: Parts, grid: MapGrid, config: MaskConfig) -> ElementMasks:
    sums = [float(patch.values.sum(dtype=np.float64)) for _, patch in parts]
    masks = ((e.name, mask_of_patch(patch, grid.shape, grid.voxel_angstrom, config)) for e, patch in parts)
    return gather_masks(masks, grid.shape, sums)


def _write_elements(output: Path, parts: Parts, grid: MapGrid, config: MaskConfig) -> None:
    """The files that the first two steps write."""
    with progress(len(parts), "maps and masks of elements") as update:
        for i, (element, patch) in enumerate(parts):
            write_element_map(output / MAPS_FOLDER, element, patch, grid)
            mask = mask_of_patch(patch, grid.shape, grid.voxel_angstrom, config)
            path = mask_path(output / MASKS_FOLDER, element.name)
            write_volume(path, mask, grid.voxel_angstrom, grid.origin_angstrom)
            update(i + 1)
