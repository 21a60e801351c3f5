"""Occupancy analysis in one go: maps of elements, masks, occupancies, classes and blocks."""

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cryoscape import __version__
from cryoscape.errors import InputError
from cryoscape.io.mrc import write_volume
from cryoscape.occupancy.elements import Element
from cryoscape.occupancy.masks import MaskConfig, mask_of_patch
from cryoscape.occupancy.measure import ElementMasks, gather_masks
from cryoscape.occupancy.model import MapGrid, Patch
from cryoscape.workflows.occupancy_cluster_files import class_summary, write_clusters
from cryoscape.workflows.occupancy_files import (
    ELEMENTS_FILE,
    MAPS_FOLDER,
    MASKS_FOLDER,
    RUN_FILE,
    TABLE_FILE,
    MapFiles,
    OccupancyTable,
    find_maps,
    read_json,
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
from cryoscape.workflows.occupancy_members import Members, members_beside
from cryoscape.workflows.occupancy_model import ModelRequest, prepare_model
from cryoscape.workflows.occupancy_particles import (
    PARTICLES_FILE,
    check_column_names,
    write_particle_occupancies,
)
from cryoscape.workflows.occupancy_sampling import (
    SampledRun,
    SamplingRequest,
    sample_run,
    write_maps_of,
    write_sampling,
)
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
    _check_output(request.output, request.force)
    if request.all_particles and isinstance(request.maps, Path):
        raise InputError("--all-particles needs the run that made the maps; give it with --run, not --maps")
    maps = find_maps(request.maps) if isinstance(request.maps, Path) else sample_run(request.maps)
    members = _members(request, maps)
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
        **_source_record(request.maps),
        "model": record,
        "masks": asdict(request.masks),
        "cluster": asdict(request.cluster),
    }
    _remove_earlier(request.output)
    write_json(request.output / RUN_FILE, settings)
    if request.element_files:
        _write_elements(request.output, parts, maps.grid, config)
    write_json(request.output / MAPS_FOLDER / ELEMENTS_FILE, record)
    write_table(request.output / TABLE_FILE, table)
    files = _map_files(request, maps, result)
    write_clusters(request.output, result, request.cluster, files, record, members)
    if request.all_particles and isinstance(maps, SampledRun):
        write_particle_occupancies(request.output, maps, masks, result)
    logger.info(
        "occupancies of %d elements in %d maps in %s (%.1f s)",
        len(table.names), len(maps), request.output, time.perf_counter() - started,
    )  # fmt: skip
    return result


def _members(request: OccupancyRequest, maps: MapFiles | SampledRun) -> Members | None:
    """Particles that the maps stand for, where they are known; InputError for labels without them."""
    if isinstance(maps, SampledRun):
        loaded = maps.loaded
        found = Members(loaded.original_rows, maps.clusters.labels.astype(np.int64), loaded.folder.path)
        return found.labelled(request.labels)
    beside = members_beside(maps.paths[0].parent, maps.numbers)
    if beside is None and request.labels is not None:
        raise InputError(
            "--labels: which particles the maps stand for is not known; give the run with --run, or with "
            "--maps a folder kmeansK of its analysis"
        )
    return None if beside is None else beside.labelled(request.labels)


def _source_record(source: Path | SamplingRequest) -> dict[str, object]:
    if isinstance(source, Path):
        return {"maps": str(source.resolve())}
    return {"sampling": {**asdict(source), "run": str(source.run.resolve())}}


def _map_files(
    request: OccupancyRequest, maps: MapFiles | SampledRun, result: ClusterResult
) -> dict[int, Path]:
    """Files of maps by number; of a run the central map of each class is written, and the clusters."""
    if isinstance(maps, MapFiles):
        return dict(zip(maps.numbers.tolist(), maps.paths, strict=True))
    write_sampling(request.output, maps)
    return write_maps_of(request.output, maps, class_summary(result)["central_map"].tolist())


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


def _check_output(output: Path, force: bool) -> None:
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; -o must name a folder")
    if not output.is_dir() or not any(output.iterdir()):
        return
    if not (output / RUN_FILE).is_file():
        raise InputError(f"{output}: holds files of something else; give another folder with -o")
    if not force:
        raise InputError(f"{output}: holds an occupancy analysis; give another -o, or --force to replace it")


def _remove_earlier(output: Path) -> None:
    """Remove what an earlier analysis wrote here and this one may not."""
    (output / PARTICLES_FILE).unlink(missing_ok=True)
    listed = output / MAPS_FOLDER / ELEMENTS_FILE
    if listed.is_file():
        for name in read_json(listed)["elements"]:
            (output / MAPS_FOLDER / f"{name}.mrc").unlink(missing_ok=True)
            mask_path(output / MASKS_FOLDER, name).unlink(missing_ok=True)
