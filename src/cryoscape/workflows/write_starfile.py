"""A new star file from images, CTF and poses, for RELION and cryoSPARC."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryoscape.errors import InputError
from cryoscape.io.star import write_star
from cryoscape.particles.export import keys_of_file, keys_of_selected
from cryoscape.particles.export_origin import origin_columns
from cryoscape.particles.export_relion import Dialect, relion_tables
from cryoscape.particles.keys import write_key_list
from cryoscape.particles.metadata import ImageAddresses, Particles
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import describe_stack_file
from cryoscape.workflows.export_request import check_targets

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class StarFileRequest:
    """What to describe in a star file.

    Attributes
    ----------
    particles : stack, list of stacks, .star or .cs file.
    output : star file to write.
    ctf, poses : pickles, .star or .cs files; None for those of `particles`, where it holds them.
    ind : pickled selection, rows of the original input.
    datadir : folder in which to look for image files.
    full_path : name image files by absolute paths, not relative to the star file.
    dialect : which RELION to write for.
    force : replace the output.
    """

    particles: Path
    output: Path
    ctf: Path | None = None
    poses: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None
    full_path: bool = False
    dialect: Dialect = "relion31"
    force: bool = False


@dataclass(frozen=True)
class StarFileResult:
    """File written, its particles and optics groups, and box (px) and pixel sizes (Å) written."""

    output: Path
    n_particles: int
    n_optics_groups: int
    box_size_px: int
    pixel_sizes_angstrom: tuple[float, ...]


def write_starfile(request: StarFileRequest) -> StarFileResult:
    """Write a star file that names the images with their CTF and, where known, poses.

    Raises
    ------
    InputError
        For inputs that do not fit together, no CTF, or an output that exists.
    """
    output = request.output
    if output.suffix.lower() != ".star":
        raise InputError(f"{output}: the output must end in .star")
    check_targets([output], [request.particles], request.force, keyed=[output])
    particles = load_particles(request.particles, request.poses, request.ctf, request.ind, request.datadir)
    if particles.images is None:
        raise InputError(f"{request.particles}: names no image files, which a star file needs")
    names = _image_names(particles.images, None if request.full_path else output.parent)
    box = describe_stack_file(particles.images.files[particles.images.file_index[0]]).box_size
    table, optics = relion_tables(particles, names, box, request.dialect, _origin(particles))
    write_star(output, table, optics)
    write_key_list(output, keys_of_selected(particles))
    pixel_sizes = _distinct_pixel_sizes(particles)
    _report(request, particles, box, pixel_sizes)
    return StarFileResult(output, len(particles), 1 if optics is None else len(optics), box, pixel_sizes)


def chosen_ctf(second: Path | None, option: Path | None) -> Path | None:
    """The CTF given as the second argument or as --ctf.

    Raises
    ------
    InputError
        If both are given and differ.
    """
    if second is not None and option is not None and second != option:
        raise InputError(f"--ctf {option}: the CTF is given as {second} already; give one of them")
    return option if second is None else second


def _image_names(images: ImageAddresses, folder: Path | None) -> np.ndarray:
    """``number@file`` (N,), numbers from 1; files relative to a folder, or absolute."""
    files = [
        os.path.abspath(file) if folder is None else os.path.relpath(file, folder) for file in images.files
    ]
    pairs = zip(images.image_index.tolist(), images.file_index.tolist(), strict=True)
    return np.array([f"{number + 1:06d}@{files[file]}" for number, file in pairs], dtype=object)


def _origin(particles: Particles) -> pd.DataFrame | None:
    """What a star or .cs file knows of the particles besides; None for stacks."""
    known = origin_columns(particles.source)
    if not len(known):
        return None
    places = pd.Index(keys_of_file(particles.source).row).get_indexer(pd.Index(particles.row))
    return known.iloc[places].reset_index(drop=True)


def _distinct_pixel_sizes(particles: Particles) -> tuple[float, ...]:
    found = None if particles.box_size_px is None else particles.pixel_size_at(particles.box_size_px)
    return () if found is None else tuple(np.unique(found.astype(np.float32)).tolist())


def _report(request: StarFileRequest, particles: Particles, box: int, pixel_sizes: tuple[float, ...]) -> None:
    if particles.poses is None:
        logger.info("no poses given: the star file has no angles and origins")
    if particles.images is not None and any(file.suffix == ".mrc" for file in particles.images.files):
        logger.warning("RELION takes stacks of images only by names that end in .mrcs: rename them first")
    original = 0 if particles.ctf is None else int(particles.ctf.box_size_px[0])
    if box < original - 1:
        logger.warning(
            "these images are %d px of originals of %d px: for full resolution give the originals, or filter "
            "their star or .cs file with export",
            box,
            original,
        )
    if request.particles.suffix.lower() in (".star", ".cs", ".csg") and not (request.ctf or request.poses):
        logger.info("not all columns of %s are written; export keeps them all", request.particles)
    logger.info(
        "%d of %d particles, %d px of %s A, written to %s",
        len(particles),
        particles.n_original,
        box,
        ", ".join(f"{size:.5g}" for size in pixel_sizes),
        request.output,
    )
