"""Look at images of a stack, and at the header of a file."""

import logging
import math
from pathlib import Path

import numpy as np

from cryoscape.analysis.image_display import grey_levels, low_pass_images
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.mrc_header import header_fields, read_mrc_header
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import ImageStack
from cryoscape.plotting.image_montage import plot_images
from cryoscape.plotting.style import figure_png
from cryoscape.workflows.tool_files import beside, check_output

logger = logging.getLogger("cryoscape")


def view_mrcs(
    source: Path,
    output: Path | None = None,
    ind: Path | None = None,
    datadir: Path | None = None,
    n_images: int = 25,
    invert: bool = False,
    low_pass_angstrom: float | None = None,
    force: bool = False,
) -> Path:
    """Write a picture of the first images of a set, or of a selection.

    Parameters
    ----------
    output
        PNG; default NAME.png beside the input.
    ind, datadir
        See `load_particles`.
    n_images
        How many at most.
    invert
        Show them times -1.
    low_pass_angstrom
        Cut frequencies beyond this resolution.

    Raises
    ------
    InputError
        Images that cannot be read, or an output that is there already.
    """
    target = beside(source, "", ".png") if output is None else output
    check_output(target, force, (source,), (".png",))
    if n_images < 1:
        raise InputError(f"-n {n_images}: expected at least 1 image")
    if low_pass_angstrom is not None and not low_pass_angstrom > 0:
        raise InputError(f"--low-pass {low_pass_angstrom:g}: expected a resolution in angstrom, above 0")
    particles = load_particles(source, ind=ind, datadir=datadir, images_only=True)
    stack = ImageStack.from_particles(particles)
    pixel_size = stack.pixel_size_angstrom or 1.0
    images = stack.read(np.arange(min(n_images, len(stack))))
    if invert:
        images = -images
    if low_pass_angstrom is not None:
        images = low_pass_images(images, pixel_size / low_pass_angstrom)
    treated = ["times -1"] * invert
    treated += [] if low_pass_angstrom is None else [f"to {low_pass_angstrom:g} Å"]
    about = [
        f"{len(images)} of {len(stack):,} images",
        f"{stack.box_size} px of {pixel_size:.4g} Å",
        *treated,
    ]
    figure = plot_images(
        grey_levels(images),
        [f"row {row:,}" for row in particles.row[: len(images)]],
        title=source.name,
        subtitle=", ".join(about),
        pixel_size_angstrom=stack.pixel_size_angstrom or None,
        n_columns=max(1, math.ceil(math.sqrt(len(images)))),
    )
    with replace_when_done(target) as partial:
        partial.write_bytes(figure_png(figure, 150))
    logger.info("%s written to %s", about[0], target)
    return target


def view_header(source: Path) -> list[str]:
    """Lines about an MRC file: what it is in words, then the fields of its header as they are stored.

    Raises
    ------
    InputError
        If the file is not MRC, or shorter than its header says.
    """
    fields = header_fields(source)
    header = read_mrc_header(source)
    size = f"{header.n_x} x {header.n_y}"
    kind = f"{header.n_z} images of {size} px" if header.is_stack else f"map of {size} x {header.n_z} voxels"
    pixel = header.pixel_size_angstrom
    known = f"{pixel:g} A a pixel" if pixel else "pixel size not told"
    width = max(map(len, fields))
    told = f"{source}: {kind}, {known}, {np.dtype(header.dtype).name}, {source.stat().st_size:,} bytes"
    return [told, *(f"  {name:{width}}  {_shown(value)}" for name, value in fields.items())]


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
