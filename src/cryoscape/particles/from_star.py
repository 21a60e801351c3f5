"""Particles from a RELION star file (3.0, 3.1 and later), each row with its own optics."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from cryoscape.errors import InputError
from cryoscape.io.star import read_star
from cryoscape.particles.locate import locate_files
from cryoscape.particles.metadata import CtfTable, ImageAddresses, Particles, Poses
from cryoscape.particles.stack import describe_stack_file
from cryoscape.particles.star_columns import StarColumns
from cryoscape.physics.rotations import matrix_from_relion_euler

Need = Literal["need", "if_present", "skip"]
_IMAGE_NAME = r"^(?P<number>[0-9]{1,18})@(?P<file>.+)$"
ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_ABERRATIONS = ("rlnBeamTiltX", "rlnBeamTiltY", "rlnOddZernike", "rlnEvenZernike", "rlnMagMat00")


@dataclass(frozen=True)
class Overrides:
    """Values that replace those of a file (None: the file's own)."""

    box_size_px: int | None = None
    pixel_size_angstrom: float | None = None
    voltage_kv: float | None = None
    spherical_aberration_mm: float | None = None
    amplitude_contrast: float | None = None
    phase_shift_degrees: float | None = None


_FLAGS = {
    "box_size_px": "-D",
    "pixel_size_angstrom": "--Apix",
    "voltage_kv": "--kv",
    "spherical_aberration_mm": "--cs",
    "amplitude_contrast": "-w",
    "phase_shift_degrees": "--ps",
}
_CTF_COLUMNS = {
    "voltage_kv": "rlnVoltage",
    "spherical_aberration_mm": "rlnSphericalAberration",
    "amplitude_contrast": "rlnAmplitudeContrast",
}


def particles_from_star(
    path: Path,
    datadir: Path | None = None,
    overrides: Overrides | None = None,
    poses: Need = "if_present",
    ctf: Need = "if_present",
    locate: bool = True,
) -> Particles:
    """Everything a star file says of its particles.

    Parameters
    ----------
    path, datadir
        The star file; a folder to look for the image files in (else that of the star and those above).
    overrides
        Values that replace those of the file.
    poses, ctf
        "need": missing columns are an error; "if_present": absent altogether gives None, incomplete is an
        error; "skip": not read.
    locate
        Whether the image files must exist (False keeps the names as written).

    Raises
    ------
    InputError
        For columns missing or unreadable, undefined optics groups, or image files not found.
    """
    overrides = Overrides() if overrides is None else overrides
    columns = StarColumns(read_star(path))
    images = image_addresses(columns, datadir, locate)
    notices: list[str] = []
    box = _box_size(columns, overrides)
    pixel_size = _pixel_size(columns, overrides, notices)
    wants_poses = poses == "need" or (poses == "if_present" and columns.number(ANGLES[0]) is not None)
    wants_ctf = ctf == "need" or (ctf == "if_present" and columns.number("rlnDefocusU") is not None)
    if (wants_poses or wants_ctf) and box is None and images is not None:
        box = _box_from_images(columns, images, datadir)
    return Particles(
        images=images,
        row=np.arange(len(columns), dtype=np.int64),
        uid=None,
        poses=_poses(columns, box, pixel_size, notices) if wants_poses else None,
        ctf=_ctf(columns, box, pixel_size, overrides, notices) if wants_ctf else None,
        data_sign=None,
        source=path,
        box_size_px=None if box is None or np.ptp(box) else int(box[0]),
        n_original=len(columns),
        pixel_size_angstrom=pixel_size,
        notices=tuple(notices),
    )


def image_addresses(columns: StarColumns, datadir: Path | None, locate: bool) -> ImageAddresses | None:
    """Addresses from ``_rlnImageName`` ("number@file", numbers from 1), or None without that column."""
    names = columns.text("rlnImageName")
    if names is None:
        if locate:
            raise InputError(f"{columns.path}: no column _rlnImageName, so the images are not known")
        return None
    split = pc.extract_regex(pa.array(names, pa.large_string()), _IMAGE_NAME)
    number = pc.fill_null(pc.cast(pc.struct_field(split, "number"), pa.int64()), 0).to_numpy()
    if (number < 1).any():
        row = int(np.flatnonzero(number < 1)[0])
        raise InputError(
            f"{columns.path}: _rlnImageName of row {row} is {names[row]!r}, expected number@stack.mrcs "
            "counting from 1"
        )
    files = pc.struct_field(split, "file").dictionary_encode()
    listed = [str(file) for file in files.dictionary.to_pylist()]
    paths = locate_files(listed, columns.path, datadir) if locate else tuple(map(Path, listed))
    return ImageAddresses(paths, np.array(files.indices, dtype=np.int32), number - 1)


def _box_size(columns: StarColumns, overrides: Overrides) -> np.ndarray | None:
    if overrides.box_size_px is not None:
        return np.full(len(columns), overrides.box_size_px)
    return columns.number("rlnImageSize")


def _box_from_images(columns: StarColumns, images: ImageAddresses, datadir: Path | None) -> np.ndarray | None:
    """Box of the first image file where it can be found: star files of RELION 3.0 do not hold it."""
    try:
        (first,) = locate_files([str(images.files[0])], columns.path, datadir)
    except InputError:
        return None
    return np.full(len(columns), float(describe_stack_file(first).box_size))


def _pixel_size(columns: StarColumns, overrides: Overrides, notices: list[str]) -> np.ndarray | None:
    """Pixel size of the images in Å; 1e4 x detector pixel (um) / magnification where not given directly."""
    found = columns.number("rlnImagePixelSize", "rlnPixelSize")
    if found is None:
        detector, magnification = columns.number("rlnDetectorPixelSize"), columns.number("rlnMagnification")
        if detector is not None and magnification is not None:
            found = detector * 1e4 / magnification
    if overrides.pixel_size_angstrom is None:
        return found
    chosen = np.full(len(columns), overrides.pixel_size_angstrom)
    if found is not None and np.abs(found / chosen - 1).max() > 1e-3:
        notices.append(f"pixel size {chosen[0]:g} A (--Apix) is used; the file says {found[0]:.5g} A")
    return chosen


def _required(columns: StarColumns, values: np.ndarray | None, name: str, what: str) -> np.ndarray:
    if values is None:
        raise InputError(f"{columns.path}: no column {what}: give the value with {_FLAGS[name]}")
    return values


def _poses(
    columns: StarColumns, box: np.ndarray | None, pixel_size: np.ndarray | None, notices: list[str]
) -> Poses:
    angles = [columns.number(name) for name in ANGLES]
    missing = [f"_{name}" for name, values in zip(ANGLES, angles, strict=True) if values is None]
    if missing:
        raise InputError(
            f"{columns.path}: no poses: use the Refine3D run_data.star (missing: {', '.join(missing)})"
        )
    triples = np.stack([values for values in angles if values is not None], axis=1)
    rotation = matrix_from_relion_euler(torch.from_numpy(triples)).numpy()
    return Poses(rotation, _shift_fraction(columns, box, pixel_size, notices))


def _shift_fraction(
    columns: StarColumns, box: np.ndarray | None, pixel_size: np.ndarray | None, notices: list[str]
) -> np.ndarray:
    x, y = columns.number("rlnOriginXAngst"), columns.number("rlnOriginYAngst")
    if x is not None and y is not None:
        pixels = (
            np.stack([x, y], axis=1)
            / _required(columns, pixel_size, "pixel_size_angstrom", "_rlnImagePixelSize")[:, None]
        )
    else:
        x, y = columns.number("rlnOriginX"), columns.number("rlnOriginY")
        if x is None or y is None:
            notices.append(f"no origin columns: shifts are set to 0 for {len(columns)} particles")
            return np.zeros((len(columns), 2))
        pixels = np.stack([x, y], axis=1)
    return np.asarray(pixels / _required(columns, box, "box_size_px", "_rlnImageSize")[:, None])


def _ctf(
    columns: StarColumns,
    box: np.ndarray | None,
    pixel_size: np.ndarray | None,
    overrides: Overrides,
    notices: list[str],
) -> CtfTable:
    missing = [f"_{name}" for name in ("rlnDefocusU", "rlnDefocusV") if columns.number(name) is None]
    if missing:
        raise InputError(
            f"{columns.path}: no CTF: columns missing: {', '.join(missing)}: run CTF estimation first"
        )
    box = _required(columns, box, "box_size_px", "_rlnImageSize")
    pixel_size = _required(
        columns,
        pixel_size,
        "pixel_size_angstrom",
        "_rlnImagePixelSize (nor _rlnDetectorPixelSize with _rlnMagnification)",
    )
    values = {
        name: _overridden(columns, name, column, overrides, notices) for name, column in _CTF_COLUMNS.items()
    }
    angle = columns.number("rlnDefocusAngle")
    if angle is None:
        notices.append("no column _rlnDefocusAngle: taken as 0")
    _note_aberrations(columns, notices)
    return CtfTable(
        box_size_px=box,
        pixel_size_angstrom=pixel_size,
        defocus_u_angstrom=_present(columns.number("rlnDefocusU")),
        defocus_v_angstrom=_present(columns.number("rlnDefocusV")),
        defocus_angle_degrees=np.zeros(len(columns)) if angle is None else angle,
        phase_shift_degrees=_phase_shift(columns, overrides, notices),
        **values,
    )


def _present(values: np.ndarray | None) -> np.ndarray:
    if values is None:
        raise InputError("a column vanished while it was read")
    return values


def _overridden(
    columns: StarColumns, name: str, column: str, overrides: Overrides, notices: list[str]
) -> np.ndarray:
    chosen = getattr(overrides, name)
    found = columns.number(column)
    if chosen is None:
        return _required(columns, found, name, f"_{column}")
    if found is not None and not np.allclose(found, chosen, equal_nan=True):
        notices.append(f"{name} {chosen:g} ({_FLAGS[name]}) is used; the file says {found[0]:g}")
    return np.full(len(columns), float(chosen))


def _phase_shift(columns: StarColumns, overrides: Overrides, notices: list[str]) -> np.ndarray:
    if overrides.phase_shift_degrees is None and columns.number("rlnPhaseShift") is None:
        notices.append("no column _rlnPhaseShift: taken as 0 (give it with --ps for phase-plate data)")
        return np.zeros(len(columns))
    return _overridden(columns, "phase_shift_degrees", "rlnPhaseShift", overrides, notices)


def _note_aberrations(columns: StarColumns, notices: list[str]) -> None:
    tables = [columns.particles] + ([] if columns.optics is None else [columns.optics])
    named = [name for name in _ABERRATIONS if any(name in table for table in tables)]
    if named:
        notices.append(f"higher-order aberrations are not applied: {', '.join('_' + name for name in named)}")
    if any("rlnCtfDataAreCtfPremultiplied" in table for table in tables):
        flags = columns.number("rlnCtfDataAreCtfPremultiplied")
        if flags is not None and (flags > 0).any():
            raise InputError(
                f"{columns.path}: images are CTF-premultiplied: extract them again without that option"
            )
