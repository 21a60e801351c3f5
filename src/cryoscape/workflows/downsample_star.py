"""The star file of a downsampled set: same rows and columns, new image names, box and pixel size."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cryoscape.io.star import read_star, write_star
from cryoscape.particles.keys import read_key_list
from cryoscape.particles.metadata import Particles

_PIXEL_SIZE_COLUMNS = ("rlnImagePixelSize", "rlnPixelSize")
_PIXEL_COLUMNS = ("rlnOriginX", "rlnOriginY")
"""Columns counted in pixels of the images, which are larger now."""


def write_downsampled_star(
    particles: Particles, stacks: Sequence[tuple[Path, int]], output: Path, old_box: int, new_box: int
) -> None:
    """Write the rows of ``particles`` (read from a star file) pointing at their new images.

    Parameters
    ----------
    particles
        Set read from a star file, perhaps a selection of it.
    stacks
        (path, images) of the stacks written, in order.
    output
        Star file to write; image names are relative to its folder.
    old_box, new_box
        Side of the images before and after, in pixels.
    """
    star = read_star(particles.source)
    rows = star.particles.iloc[_positions(particles, len(star.particles))].reset_index(drop=True)
    rows["rlnImageName"] = _image_names(stacks, output.parent)
    # An odd box loses its last row and column first, which leaves the pixel size as it is.
    scale = (old_box - old_box % 2) / new_box
    for column in _PIXEL_COLUMNS:
        if column in rows:
            rows[column] = pd.to_numeric(rows[column]) / scale
    optics = None if star.optics is None else star.optics.copy()
    if optics is None:
        _rescale(rows, scale, new_box, complete=True)
    else:
        _rescale(optics, scale, new_box, complete=True)
        _rescale(rows, scale, new_box, complete=False)
    write_star(output, rows, optics)


def _positions(particles: Particles, n_rows: int) -> np.ndarray:
    """Line of the star file each particle is on; its row is that in the original input."""
    keys = read_key_list(particles.source)
    if keys is None or len(keys) != n_rows:
        return particles.row
    return np.asarray(pd.Index(keys.row).get_indexer(pd.Index(particles.row)))


def _rescale(table: pd.DataFrame, scale: float, new_box: int, complete: bool) -> None:
    """Put the new box and pixel size wherever a table holds the old; ``complete`` adds what is missing."""
    if complete or "rlnImageSize" in table:
        table["rlnImageSize"] = new_box
    present = [column for column in _PIXEL_SIZE_COLUMNS if column in table]
    detector, magnification = "rlnDetectorPixelSize", "rlnMagnification"
    for column in [*present, *([detector] if detector in table else [])]:
        table[column] = pd.to_numeric(table[column]) * scale
    if complete and not present and detector in table and magnification in table:
        table["rlnImagePixelSize"] = table[detector] * 1e4 / pd.to_numeric(table[magnification])


def _image_names(stacks: Sequence[tuple[Path, int]], folder: Path) -> np.ndarray:
    names = []
    for path, n_images in stacks:
        relative = os.path.relpath(path, folder)
        names += [f"{number:06d}@{relative}" for number in range(1, n_images + 1)]
    return np.array(names, dtype=object)
