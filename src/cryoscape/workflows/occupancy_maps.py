"""Maps of the elements of a model, and masks about them: the files of the first two steps."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.mrc import read_volume, write_volume
from cryoscape.occupancy.elements import Element
from cryoscape.occupancy.masks import MaskConfig, make_mask
from cryoscape.occupancy.model import MapGrid, Patch, element_map
from cryoscape.workflows.occupancy_files import (
    ELEMENTS_FILE,
    MASK_PREFIX,
    find_maps,
    grid_of,
    natural,
    refuse_existing,
    write_json,
)
from cryoscape.workflows.occupancy_model import ModelRequest, PreparedModel, prepare_model
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class MaskOptions:
    """How masks are made, as asked for; lengths in voxels or in angstrom, not both.

    Attributes
    ----------
    lowpass_angstrom, ini_threshold, invert : as in `occupancy.masks.MaskConfig`.
    extend_px, extend_angstrom : how far the mask reaches beyond the density, negative for less.
    edge_px, edge_angstrom : width of the soft edge.
    """

    lowpass_angstrom: float | None = None
    ini_threshold: float = 0.01
    extend_px: float | None = None
    extend_angstrom: float | None = None
    edge_px: float | None = None
    edge_angstrom: float | None = None
    invert: bool = False

    def config(self, voxel_angstrom: float) -> MaskConfig:
        """In voxels of this size; InputError for options that contradict each other or cannot be."""
        extend = _one_length("extend", self.extend_px, self.extend_angstrom, voxel_angstrom)
        edge = _one_length("edge", self.edge_px, self.edge_angstrom, voxel_angstrom)
        if edge < 0:
            raise InputError(f"--edge-px {edge:g}: expected a width of at least 0")
        if self.lowpass_angstrom is not None and self.lowpass_angstrom <= 0:
            raise InputError(f"--lowpass {self.lowpass_angstrom:g}: expected a resolution in A, above 0")
        if not math.isfinite(self.ini_threshold):
            raise InputError(f"--ini-threshold {self.ini_threshold:g}: expected a number")
        return MaskConfig(self.lowpass_angstrom, self.ini_threshold, extend, edge, self.invert)


def _one_length(name: str, px: float | None, angstrom: float | None, voxel_angstrom: float) -> float:
    if px is not None and angstrom is not None:
        raise InputError(f"--{name}-px and --{name}-angstrom exclude each other; give one of them")
    if angstrom is not None:
        return angstrom / voxel_angstrom
    return 0.0 if px is None else px


def occupancy_maps(maps: Path, model: ModelRequest, output: Path, force: bool = False) -> PreparedModel:
    """Write the map of each element on the grid of the maps: output/NAME.mrc, and elements.json.

    Parameters
    ----------
    maps
        Folder of the ensemble's maps, or one of them.

    Raises
    ------
    InputError
        For maps and models that cannot be used or do not fit each other, and files that are there already.
    """
    found = find_maps(maps)
    prepared = prepare_model(model, found)
    check_within(prepared.elements, found.grid)
    files = [output / f"{element.name}.mrc" for element in prepared.elements]
    refuse_existing([*files, output / ELEMENTS_FILE], force)
    with progress(len(files), "maps of elements") as update:
        for i, (element, patch) in enumerate(element_patches(prepared, found.grid)):
            write_element_map(output, element, patch, found.grid)
            update(i + 1)
    write_json(output / ELEMENTS_FILE, prepared.record())
    logger.info("%d maps of elements in %s", len(files), output)
    return prepared


def element_patches(prepared: PreparedModel, grid: MapGrid) -> Iterator[tuple[Element, Patch]]:
    """Each element with its density on the grid."""
    resolution = prepared.request.resolution_angstrom
    for element in prepared.elements:
        yield element, element_map(element.coordinates_angstrom, element.electrons, resolution, grid)


def check_within(elements: Sequence[Element], grid: MapGrid) -> None:
    """InputError for an element whose atoms lie outside the maps, a warning for one cut by their border."""
    size = np.array(grid.shape[::-1])
    for element in elements:
        voxels = (element.coordinates_angstrom - grid.origin_angstrom) / grid.voxel_angstrom
        inside = ((voxels >= 0) & (voxels <= size - 1)).all(axis=1)
        if not inside.any():
            raise InputError(
                f"{element.name}: all its atoms lie outside the maps; align the model with them (--fit shift)"
            )
        if inside.mean() < 0.9:
            logger.warning(
                "%s: %.0f %% of its atoms lie outside the maps", element.name, 100 * (1 - inside.mean())
            )


def write_element_map(folder: Path, element: Element, patch: Patch, grid: MapGrid) -> None:
    """Write the map of one element."""
    path = folder / f"{element.name}.mrc"
    write_volume(path, patch.place(grid.shape), grid.voxel_angstrom, grid.origin_angstrom)


def mask_path(folder: Path, name: str) -> Path:
    """File of the mask of an element."""
    return folder / f"{MASK_PREFIX}{name}.mrc"


def occupancy_masks(
    maps: Sequence[Path], output: Path, options: MaskOptions, force: bool = False
) -> tuple[Path, ...]:
    """Write the mask of each map: output/Mask_NAME.mrc.

    Parameters
    ----------
    maps
        Folders of maps of elements, or files.

    Raises
    ------
    InputError
        For maps and options that cannot be used, and files that are there already.
    """
    sources = [path for place in maps for path in _sources(place)]
    grids = [grid_of(path) for path in sources]
    configs = [options.config(grid.voxel_angstrom) for grid in grids]
    targets = tuple(mask_path(output, path.stem) for path in sources)
    refuse_existing(targets, force)
    with progress(len(sources), "masks") as update:
        for i, (source, target, grid) in enumerate(zip(sources, targets, grids, strict=True)):
            mask = make_mask(read_volume(source).data, grid.voxel_angstrom, configs[i])
            warn_if_empty(source.stem, mask, options)
            write_volume(target, mask, grid.voxel_angstrom, grid.origin_angstrom)
            update(i + 1)
    logger.info("%d masks in %s", len(targets), output)
    return targets


def warn_if_empty(name: str, mask: np.ndarray, options: MaskOptions) -> None:
    """Tell of a mask without voxels."""
    if not mask.any():
        logger.warning(
            "%s: no voxel reaches --ini-threshold %g; its mask is empty", name, options.ini_threshold
        )


def _sources(place: Path) -> list[Path]:
    if place.is_dir():
        found = sorted(place.glob("*.mrc"), key=natural)
        if found:
            return found
        raise InputError(f"{place}: no .mrc files in it; make them with occupancy maps")
    if not place.is_file():
        raise InputError(f"{place}: no such file or folder; give the folder of the maps of elements")
    return [place]
