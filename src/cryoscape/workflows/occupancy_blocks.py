"""Occupancy analysis without a model: regions that come and go together take the place of elements."""

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from cryoscape import __version__
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.chimerax import write_open_script
from cryoscape.io.mrc import write_volume
from cryoscape.occupancy.blocks import RegionOptions, Regions, find_regions, varying
from cryoscape.occupancy.measure import ElementMasks, gather_masks
from cryoscape.plotting.occupancy_regions import plot_regions
from cryoscape.plotting.style import figure_png
from cryoscape.plotting.surface import contour_level
from cryoscape.typing import Volume
from cryoscape.workflows.occupancy_ensemble import (
    REGION_PREFIX,
    check_output,
    find_members,
    open_ensemble,
    remove_earlier,
    source_record,
    write_results,
)
from cryoscape.workflows.occupancy_files import (
    MASKS_FOLDER,
    RUN_FILE,
    TABLE_FILE,
    MapFiles,
    OccupancyTable,
    write_json,
    write_table,
)
from cryoscape.workflows.occupancy_groups import ClusterOptions, cluster_table
from cryoscape.workflows.occupancy_maps import mask_path
from cryoscape.workflows.occupancy_measure import measure_maps
from cryoscape.workflows.occupancy_model import Ensemble
from cryoscape.workflows.occupancy_sampling import SampledRun, SamplingRequest
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

REGIONS_FILE, REGIONS_PLOT, REGIONS_SCRIPT = "regions.csv", "regions.png", "regions.cxc"
_AT_ONCE, _LEVELS_FROM = 25, 12
_TAIL_PERCENT = 1.0


@dataclass(frozen=True)
class BlocksRequest:
    """A search for regions that come and go together.

    Attributes
    ----------
    maps : folder of the ensemble's maps, or a run to make them from in memory.
    min_change : a voxel varies if its density changes over the maps by this share of their contour level.
    cluster : how maps are grouped into classes by the regions that they have.
    all_particles : measure every particle of a run as well.
    labels : labels of particles from elsewhere, which classes are compared with.
    """

    maps: Path | SamplingRequest
    output: Path
    regions: RegionOptions
    cluster: ClusterOptions
    min_change: float = 0.5
    all_particles: bool = False
    labels: Path | None = None
    force: bool = False


def occupancy_blocks(request: BlocksRequest) -> Regions:
    """Find regions, write their masks, and measure and cluster maps by them.

    Raises
    ------
    InputError
        For maps or settings that cannot be used, too few maps, or where no voxels vary together.
    """
    started = time.perf_counter()
    _check(request)
    maps = open_ensemble(request.maps, request.all_particles)
    if len(maps) < 3:
        raise InputError(f"{len(maps)} maps: what goes together shows in 3 at least, better 100 or more")
    members = find_members(maps, request.labels)
    voxels, there, mean = _binary(maps, request.min_change, request.regions)
    found = find_regions(there, request.regions)
    if not found.n_regions:
        raise InputError(
            f"no {request.regions.min_voxels} voxels come and go together in {len(maps)} maps, of "
            f"{len(voxels)} that vary; give more maps, or a lower --min-correlation or --min-voxels"
        )
    flat = np.full(mean.size, -1)
    flat[voxels] = found.labels
    labels = flat.reshape(mean.shape)
    masks, table = _measured(maps, labels, found)
    result = cluster_table(table, request.cluster) if found.n_regions > 1 else None
    remove_earlier(request.output)
    settings = {
        "version": __version__,
        **source_record(request.maps),
        "regions": {**asdict(request.regions), "min_change": request.min_change},
        "cluster": asdict(request.cluster),
    }
    write_json(request.output / RUN_FILE, settings)
    _write_regions(request.output, maps, labels, found, mean)
    write_table(request.output / TABLE_FILE, table)
    if result is None:
        logger.warning("one region only: maps are not put into classes")
    else:
        write_results(
            request.output, maps, masks, result, request.cluster,
            model=None, members=members, all_particles=request.all_particles,
        )  # fmt: skip
    logger.info(
        "%d regions hold %d of %d voxels that vary, in %s (%.1f s)",
        found.n_regions, (found.labels >= 0).sum(), len(voxels), request.output,
        time.perf_counter() - started,
    )  # fmt: skip
    return found


def _check(request: BlocksRequest) -> None:
    regions = request.regions
    for value, name, allowed in (
        (regions.min_correlation, "--min-correlation", "above 0 and at most 1"),
        (regions.significance, "--significance", "above 0 and at most 1"),
        (request.min_change, "--min-change", "above 0"),
    ):
        if not value > 0 or (value > 1 and "most" in allowed):
            raise InputError(f"{name} {value:g}: expected a number {allowed}")
    if regions.min_voxels < 1:
        raise InputError(f"--min-voxels {regions.min_voxels}: expected 1 or more")
    check_output(request.output, request.force)


def _binary(
    maps: Ensemble, min_change: float, options: RegionOptions
) -> tuple[np.ndarray, Bool[np.ndarray, "n v"], Volume]:
    """Voxels that vary (flat indices), in which maps each is there, and the mean map.

    A voxel is there where its density is above the middle between its low and its high values (first and
    last percentile): one level for all voxels would cut the edges of regions off.
    """
    probes = np.unique(np.linspace(0, len(maps) - 1, _LEVELS_FROM).round().astype(np.int64))
    level = contour_level([maps.volumes(i, i + 1)[0] for i in probes.tolist()])
    total = np.zeros(maps.grid.shape)
    lowest, highest = np.full(maps.grid.shape, np.inf), np.full(maps.grid.shape, -np.inf)
    n = len(maps)
    with progress(2 * n, "voxels that vary") as update:
        for first in range(0, n, _AT_ONCE):
            part = maps.volumes(first, min(first + _AT_ONCE, n))
            total += part.sum(axis=0, dtype=np.float64)
            lowest, highest = np.minimum(lowest, part.min(axis=0)), np.maximum(highest, part.max(axis=0))
            update(first + len(part))
        voxels = np.flatnonzero(highest - lowest >= min_change * level)
        values = np.empty((n, len(voxels)), dtype=np.float32)
        for first in range(0, n, _AT_ONCE):
            part = maps.volumes(first, min(first + _AT_ONCE, n))
            values[first : first + len(part)] = part.reshape(len(part), -1)[:, voxels]
            update(n + first + len(part))
    low, high = _range(values)
    there = values >= (low + high) / 2
    kept = varying(there.sum(axis=0), n, options) & (high - low >= min_change * level)
    return voxels[kept], there[:, kept], (total / n).astype(np.float32)


def _range(
    values: Float[np.ndarray, "n v"],
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, " v"]]:
    """Low and high value of each voxel, a few odd maps aside."""
    if not values.shape[1]:
        return np.zeros(0), np.zeros(0)
    low, high = np.percentile(values, [_TAIL_PERCENT, 100 - _TAIL_PERCENT], axis=0)
    return low, high


def _measured(
    maps: MapFiles | SampledRun, labels: np.ndarray, found: Regions
) -> tuple[ElementMasks, OccupancyTable]:
    """Occupancy of each region in each map: 1 is the mean of the maps in which it is there."""
    names = [f"{REGION_PREFIX}{r}" for r in range(found.n_regions)]

    def gathered(references: list[float] | None) -> ElementMasks:
        each = ((name, (labels == r).astype(np.float32)) for r, name in enumerate(names))
        return gather_masks(each, maps.grid.shape, references)

    sums = measure_maps(maps, gathered(None))
    full = [float(sums[found.present[:, r], r].mean()) for r in range(found.n_regions)]
    if min(full) <= 0:
        raise InputError("density of regions is not above 0 where they are there; check the sign of the maps")
    numbers = np.asarray(maps.numbers, dtype=np.int64)
    return gathered(full), OccupancyTable(numbers, tuple(names), sums / full)


def _write_regions(output: Path, maps: Ensemble, labels: np.ndarray, found: Regions, mean: Volume) -> None:
    """Masks, the table of regions, a picture, and a script that opens the masks."""
    grid, paths = maps.grid, []
    for r in range(found.n_regions):
        paths.append(mask_path(output / MASKS_FOLDER, f"{REGION_PREFIX}{r}"))
        write_volume(paths[-1], (labels == r).astype(np.float32), grid.voxel_angstrom, grid.origin_angstrom)
    voxels = np.bincount(labels[labels >= 0], minlength=found.n_regions)
    frame = pd.DataFrame(
        {
            "region": np.arange(found.n_regions),
            "voxels": voxels,
            "volume_angstrom3": voxels * grid.voxel_angstrom**3,
            "share_of_maps": found.present.mean(axis=0),
            "correlation": found.correlation,
        }
    )
    with replace_when_done(output / REGIONS_FILE) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.4g")
    write_open_script(output / REGIONS_SCRIPT, paths, 0.5, all_shown=True)
    figure = plot_regions(mean, labels, found.present, grid.voxel_angstrom)
    with replace_when_done(output / REGIONS_PLOT) as temporary:
        temporary.write_bytes(figure_png(figure))
