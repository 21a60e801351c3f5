"""What the small tools check and name alike: maps that can be read, and files that may be written."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.mrc import VolumeFile, read_volume


def check_output(
    output: Path, force: bool, inputs: Sequence[Path] = (), suffixes: Sequence[str] = ()
) -> None:
    """Refuse an output that is a folder, has another suffix, is an input, or is there already.

    Parameters
    ----------
    force
        Whether a file that is there already may be replaced.
    inputs
        Files that are read while the output is written.
    suffixes
        Those the output may have, in lower case; any where empty.

    Raises
    ------
    InputError
        As above.
    """
    if output.is_dir():
        raise InputError(f"{output}: is a folder; name the file to write with -o")
    if suffixes and output.suffix.lower() not in suffixes:
        expected = " or ".join(suffixes)
        raise InputError(f"{output}: expected an output that ends in {expected}")
    if any(output.resolve() == path.resolve() for path in inputs):
        raise InputError(f"{output}: is an input; give another -o, so that the original stays")
    if output.exists() and not force:
        raise InputError(f"{output}: is there already; give another -o, or --force to replace it")


def beside(source: Path, ending: str, suffix: str | None = None) -> Path:
    """NAME + ending + suffix in the folder of the source; the suffix is that of the source by default."""
    return source.with_name(source.stem + ending + (source.suffix if suffix is None else suffix))


def read_map(path: Path, pixel_size_angstrom: float | None = None) -> VolumeFile:
    """Read a map whose values are finite and differ, with its pixel size or the one given.

    Raises
    ------
    InputError
        If the file is no map, or its values say nothing.
    """
    check_pixel_size(pixel_size_angstrom)
    volume = read_volume(path)
    if not np.isfinite(volume.data).all():
        raise InputError(f"{path}: holds values that are not finite; make the map again")
    if volume.data.min() == volume.data.max():
        raise InputError(f"{path}: all voxels are {volume.data.flat[0]:g}; give a map with density")
    size = volume.pixel_size_angstrom if pixel_size_angstrom is None else pixel_size_angstrom
    return VolumeFile(volume.data, size or 1.0, volume.origin_angstrom)


def check_pixel_size(pixel_size_angstrom: float | None) -> None:
    """Refuse a pixel size (`--Apix`) that is not positive and finite; None passes.

    Raises
    ------
    InputError
        As above.
    """
    if pixel_size_angstrom is not None and not 0 < pixel_size_angstrom < np.inf:
        raise InputError(f"--Apix {pixel_size_angstrom:g}: expected a pixel size in angstrom, above 0")
