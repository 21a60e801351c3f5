"""Small changes to a map or a file: hand, contrast, pixel size."""

import logging
import shutil
from pathlib import Path

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.mrc import write_volume
from cryoscape.io.mrc_header import HEADER_BYTES, read_mrc_header, with_pixel_size
from cryoscape.particles.stack import is_map
from cryoscape.physics.grids import flip_hand as mirrored
from cryoscape.workflows.stack_tools import TransformRequest, transform_stack
from cryoscape.workflows.tool_files import beside, check_output, check_pixel_size, read_map

logger = logging.getLogger("cryoscape")

_MAP_SUFFIXES = (".mrc", ".map")


def flip_hand(source: Path, output: Path | None = None, legacy: bool = False, force: bool = False) -> Path:
    """Write the other hand of a map: z mirrored about voxel D // 2, or reversed as upstream does.

    Parameters
    ----------
    output
        Default NAME_flipped.mrc beside the map.
    legacy
        Reverse the z axis, which moves the centre of an even box by a voxel.

    Raises
    ------
    InputError
        As `read_map` and `check_output`.
    """
    target = beside(source, "_flipped") if output is None else output
    check_output(target, force, (), _MAP_SUFFIXES)
    volume = read_map(source)
    flipped = mirrored(torch.from_numpy(volume.data), legacy).numpy()
    write_volume(target, flipped, volume.pixel_size_angstrom, volume.origin_angstrom)
    logger.info("other hand of %s written to %s", source, target)
    return target


def invert_contrast(
    source: Path, output: Path | None = None, datadir: Path | None = None, force: bool = False
) -> Path:
    """Write a map, or a stack of images, times -1.

    Parameters
    ----------
    source
        A map, or images: .mrcs, .txt, .star, .cs.
    output
        Default NAME_inverted.mrc (of images NAME_inverted.mrcs) beside the input.
    datadir
        Folder of the image files named in the input.

    Raises
    ------
    InputError
        As `read_map`, `transform_stack` and `check_output`.
    """
    if source.suffix.lower() not in (*_MAP_SUFFIXES, ".mrcs") or not is_map(read_mrc_header(source)):
        target = beside(source, "_inverted", ".mrcs") if output is None else output
        request = TransformRequest(source, target, datadir=datadir, force=force, label="invert")
        transform_stack(request, lambda _, images: np.negative(images))
        return target
    target = beside(source, "_inverted") if output is None else output
    check_output(target, force, (), _MAP_SUFFIXES)
    volume = read_map(source)
    write_volume(target, -volume.data, volume.pixel_size_angstrom, volume.origin_angstrom)
    logger.info("%s times -1 written to %s", source, target)
    return target


def add_psize(
    source: Path, pixel_size_angstrom: float = 1.0, output: Path | None = None, force: bool = False
) -> Path:
    """Write a copy of a map or stack with another pixel size in its header; all else stays.

    Parameters
    ----------
    pixel_size_angstrom
        The new pixel size.
    output
        Default NAME_psize with the suffix of the input; the input itself with ``force``.

    Raises
    ------
    InputError
        A pixel size that is not positive, a file that is not MRC, or an output that is there already.
    """
    check_pixel_size(pixel_size_angstrom)
    target = beside(source, "_psize") if output is None else output
    check_output(target, force)
    header = read_mrc_header(source)
    if target.suffix.lower() not in (*_MAP_SUFFIXES, ".mrcs"):
        raise InputError(f"{target}: expected an output that ends in .mrc, .mrcs or .map")
    with replace_when_done(target) as partial:
        shutil.copyfile(source, partial)
        with partial.open("r+b") as handle:
            changed = with_pixel_size(handle.read(HEADER_BYTES), pixel_size_angstrom)
            handle.seek(0)
            handle.write(changed)
    before = header.pixel_size_angstrom
    logger.info(
        "pixel size %s -> %g A in %s", f"{before:g}" if before else "unknown", pixel_size_angstrom, target
    )
    return target
