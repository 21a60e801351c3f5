"""Images of the particles of selections, as recorded and low-passed, in one picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from cryoscape.analysis.image_display import grey_levels, low_pass_images
from cryoscape.particles.metadata import Particles
from cryoscape.particles.stack import ImageStack
from cryoscape.plotting.montage import nice_scale_bar
from cryoscape.plotting.selection import ImageRow, plot_image_rows
from cryoscape.typing import Rows


@dataclass(frozen=True)
class ImageGroup:
    """Particles of which images are shown: a name, a colour, and their original rows (n,)."""

    name: str
    color: str
    rows: Rows


def picture_of_images(
    particles: Particles,
    groups: Sequence[ImageGroup],
    *,
    n_images: int = 10,
    low_pass_angstrom: float = 40.0,
    seed: int = 0,
    title: str = "",
) -> Figure:
    """Two rows a group: images drawn at random as recorded, and the same low-passed below.

    Where the pixel size is not known it is taken as 1 angstrom, and no scale is drawn.

    Raises
    ------
    InputError
        Where image files are gone or do not hold the particles.
    """
    stack = ImageStack.from_particles(particles)
    known = particles.pixel_size_at(stack.box_size) is not None
    pixel_size = stack.pixel_size_angstrom if known else 1.0
    place = {int(row): i for i, row in enumerate(particles.row)}
    rng = np.random.default_rng(seed)
    rows: list[ImageRow] = []
    for group in groups:
        if not len(group.rows):
            continue
        chosen = rng.permutation(group.rows)[:n_images]
        images = stack.read(np.array([place[int(row)] for row in chosen]))
        smooth = low_pass_images(images, pixel_size / low_pass_angstrom)
        rows.append(ImageRow(group.name, "as recorded", group.color, grey_levels(images)))
        rows.append(ImageRow(group.name, f"to {low_pass_angstrom:g} Å", group.color, grey_levels(smooth)))
    scale = nice_scale_bar(stack.box_size * pixel_size) if known else None
    return plot_image_rows(rows, title, scale)
