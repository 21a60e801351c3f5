"""Occupancies of all elements in all maps, from masks and reference maps in files."""

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cryoscape.errors import InputError
from cryoscape.io.mrc import open_mrc, read_volume
from cryoscape.occupancy.measure import ElementMasks, gather_masks, occupancies
from cryoscape.typing import Volume
from cryoscape.workflows.occupancy_files import (
    MASK_PREFIX,
    TABLE_FILE,
    MapFiles,
    OccupancyTable,
    check_same_grid,
    find_maps,
    grid_of,
    natural,
    refuse_existing,
    write_table,
)
from cryoscape.workflows.occupancy_model import Ensemble
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

_CHUNK_BYTES = 256e6


@dataclass(frozen=True)
class MeasureRequest:
    """Which maps, masks and references.

    Attributes
    ----------
    maps, masks : folders.
    references : folder of the elements' maps, whose sums occupancies are divided by; None to leave them
        undivided.
    output : folder of occupancies.csv.
    bin_at : binarise maps at this level; bin_file: at a level a map, a table with columns vol_id and
        denormalized_predictions.
    """

    maps: Path
    masks: Path
    references: Path | None
    output: Path
    bin_at: float | None = None
    bin_file: Path | None = None
    force: bool = False


def occupancy_measure(request: MeasureRequest) -> OccupancyTable:
    """Measure and write occupancies.csv.

    Raises
    ------
    InputError
        For maps, masks and references that are not there or do not belong together.
    """
    if request.bin_at is not None and request.bin_file is not None:
        raise InputError("--bin and --binfile exclude each other; give one of them")
    if request.references is not None and (request.bin_at is not None or request.bin_file is not None):
        raise InputError("--bin and --binfile count voxels, --refdir divides by density; give one of them")
    target = request.output / TABLE_FILE
    refuse_existing([target], request.force)
    maps = find_maps(request.maps)
    levels = _levels(request, maps)
    masks = read_masks(request.masks, request.references, maps)
    if request.references is None and levels is None:
        logger.warning("no --refdir: occupancies are sums within the masks, larger for larger elements")
    values = measure_maps(maps, masks, levels)
    table = OccupancyTable(maps.numbers, masks.names, values)
    write_table(target, table)
    logger.info("%d maps x %d elements in %s", *values.shape, target)
    return table


def measure_maps(
    maps: Ensemble, masks: ElementMasks, levels: Float[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, "n e"]:
    """Occupancies (n, E) of all maps, read or made a few at a time, with progress."""
    step = max(1, int(_CHUNK_BYTES // (4 * np.prod(maps.grid.shape))))
    found = []
    with progress(len(maps), "occupancies") as update:
        for first in range(0, len(maps), step):
            last = min(first + step, len(maps))
            at = None if levels is None else levels[first:last]
            found.append(occupancies(maps.volumes(first, last), masks, at))
            update(last)
    return np.concatenate(found)


def read_masks(folder: Path, references: Path | None, maps: MapFiles) -> ElementMasks:
    """Masks of a folder, with the sums of the reference maps of the same names.

    Raises
    ------
    InputError
        For no masks, a mask without its reference, or another box than that of the maps.
    """
    paths = sorted(folder.glob(f"{MASK_PREFIX}*.mrc"), key=natural) or sorted(
        folder.glob("*.mrc"), key=natural
    )
    if not paths:
        what = "no .mrc files in it" if folder.is_dir() else "no such folder"
        raise InputError(f"{folder}: {what}; make masks with occupancy masks")
    names = [path.stem.removeprefix(MASK_PREFIX) for path in paths]
    sums = None
    if references is not None:
        sources = [references / f"{name}.mrc" for name in names]
        for source, path in zip(sources, paths, strict=True):
            if not source.is_file():
                raise InputError(f"{source}: no such file; every mask ({path.name}) needs its reference map")
        sums = [float(open_mrc(source, as_="volume").sum(dtype=np.float64)) for source in sources]
    for path in paths:
        check_same_grid(grid_of(path), path, maps.grid, maps.paths[0])

    def masks() -> Iterator[tuple[str, Volume]]:
        for name, path in zip(names, paths, strict=True):
            yield name, read_volume(path).data

    return gather_masks(masks(), maps.grid.shape, sums)


def _levels(request: MeasureRequest, maps: MapFiles) -> Float[np.ndarray, " n"] | None:
    if request.bin_at is not None:
        return np.full(len(maps), request.bin_at)
    if request.bin_file is None:
        return None
    try:
        text = request.bin_file.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True))
        known = {int(row["vol_id"]): float(row["denormalized_predictions"]) for row in rows}
    except OSError as error:
        raise InputError(f"cannot read {request.bin_file}: {error.strerror}; check the path") from error
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{request.bin_file}: expected a table with columns vol_id and denormalized_predictions"
        ) from error
    missing = [int(number) for number in maps.numbers if int(number) not in known]
    if missing:
        raise InputError(f"{request.bin_file}: no level for map {missing[0]}; every map needs one")
    return np.array([known[int(number)] for number in maps.numbers])
