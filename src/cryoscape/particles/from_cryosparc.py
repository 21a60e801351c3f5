"""Particles from a cryoSPARC .cs (or .csg) file, with its passthrough columns."""

import re
from pathlib import Path

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.io.cryosparc import read_cryosparc
from cryoscape.particles.from_star import Need, Overrides
from cryoscape.particles.locate import locate_files
from cryoscape.particles.metadata import CtfTable, ImageAddresses, Particles, Poses
from cryoscape.physics.rotations import matrix_from_axis_angle

ALIGNMENT = "alignments3D"
_CLASS_ALIGNMENT = re.compile(r"^(alignments_class(?:3D)?_\d+)/pose$")
_CTF_FIELDS = {
    "defocus_u_angstrom": "ctf/df1_A",
    "defocus_v_angstrom": "ctf/df2_A",
    "defocus_angle_degrees": "ctf/df_angle_rad",
    "voltage_kv": "ctf/accel_kv",
    "spherical_aberration_mm": "ctf/cs_mm",
    "amplitude_contrast": "ctf/amp_contrast",
    "phase_shift_degrees": "ctf/phase_shift_rad",
}
_ABERRATIONS = ("ctf/shift_A", "ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A")


def particles_from_cryosparc(
    path: Path,
    datadir: Path | None = None,
    overrides: Overrides | None = None,
    poses: Need = "if_present",
    ctf: Need = "if_present",
    locate: bool = True,
    abinit: bool = False,
    hetrefine: bool = False,
) -> Particles:
    """Everything a .cs file says of its particles.

    Shifts are in pixels of the alignment, whose size ``psize_A`` may differ from that of the images:
    fraction = shift x psize_A / (box x blob pixel).

    Parameters
    ----------
    path, datadir, overrides, poses, ctf, locate
        As in `particles_from_star`; ``overrides.box_size_px`` and ``pixel_size_angstrom`` only.
    abinit
        Prefer the alignments of an ab initio job (``alignments_class_*``), of the likeliest class.
    hetrefine
        Double the shifts, as heterogeneous refinement works on binned images; only where the file does
        not hold the pixel size of its alignment.

    Raises
    ------
    InputError
        For fields missing (the ones that are there are listed) or image files not found.
    """
    overrides = Overrides() if overrides is None else overrides
    table = read_cryosparc(path)
    names = table.dtype.names or ()
    if len(table) == 0:
        raise InputError(f"{path}: no particles in this .cs file")
    notices: list[str] = []
    wants_poses = poses == "need" or (poses == "if_present" and _has_alignment(names))
    wants_ctf = ctf == "need" or (ctf == "if_present" and "ctf/df1_A" in names)
    box = _box_size(table, overrides, notices, path)
    pixel_size = _pixel_size(table, overrides, notices)
    if (wants_poses or wants_ctf) and box is None:
        raise InputError(
            f"{path}: no field blob/shape: give the box size with -D, or the passthrough file beside it"
        )
    return Particles(
        images=_image_addresses(table, path, datadir, locate),
        row=np.arange(len(table), dtype=np.int64),
        uid=table["uid"].astype(np.uint64) if "uid" in names else None,
        poses=_poses(table, path, box, pixel_size, abinit, hetrefine, notices) if wants_poses else None,
        ctf=_ctf(table, path, box, pixel_size, notices) if wants_ctf else None,
        data_sign=_data_sign(table),
        source=path,
        box_size_px=None if box is None or np.ptp(box) else int(box[0]),
        n_original=len(table),
        pixel_size_angstrom=pixel_size,
        notices=tuple(notices),
    )


def _image_addresses(
    table: np.ndarray, path: Path, datadir: Path | None, locate: bool
) -> ImageAddresses | None:
    names = table.dtype.names or ()
    if "blob/path" not in names or "blob/idx" not in names:
        if locate:
            raise InputError(
                f"{path}: no fields blob/path and blob/idx: put the passthrough .cs file beside it"
            )
        return None
    files, file_index = np.unique(table["blob/path"], return_inverse=True)
    listed = [_file_name(file) for file in files]
    paths = locate_files(listed, path, datadir) if locate else tuple(map(Path, listed))
    return ImageAddresses(paths, file_index.astype(np.int32), table["blob/idx"].astype(np.int64))


def _file_name(raw: bytes | str) -> str:
    """A path as cryoSPARC stores it: bytes, and a leading ">" where it lies in the project."""
    text = raw.decode("utf-8", errors="surrogateescape") if isinstance(raw, bytes) else str(raw)
    return text.lstrip(">")


def _box_size(table: np.ndarray, overrides: Overrides, notices: list[str], path: Path) -> np.ndarray | None:
    given = overrides.box_size_px
    if "blob/shape" not in (table.dtype.names or ()):
        return None if given is None else np.full(len(table), float(given))
    shape = table["blob/shape"].astype(np.float64)
    if (shape[:, 0] != shape[:, 1]).any():
        row = int(np.flatnonzero(shape[:, 0] != shape[:, 1])[0])
        raise InputError(
            f"{path}: images of row {row} are {shape[row, 0]:.0f} x {shape[row, 1]:.0f} px, "
            "expected square images"
        )
    if given is not None and (shape[:, 0] != given).any():
        notices.append(f"box size {shape[0, 0]:.0f} px of the file (blob/shape) is used, not -D {given:g}")
    return np.asarray(shape[:, 0])


def _pixel_size(table: np.ndarray, overrides: Overrides, notices: list[str]) -> np.ndarray | None:
    found = table["blob/psize_A"].astype(np.float64) if "blob/psize_A" in (table.dtype.names or ()) else None
    given = overrides.pixel_size_angstrom
    if given is None:
        return found
    if found is not None and np.abs(found / given - 1).max() > 1e-3:
        notices.append(f"pixel size {given:g} A (--Apix) is used; the file says {found[0]:.5g} A")
    return np.full(len(table), float(given))


def _data_sign(table: np.ndarray) -> int | None:
    if "blob/sign" not in (table.dtype.names or ()):
        return None
    signs = np.unique(np.sign(table["blob/sign"]))
    return int(signs[0]) if len(signs) == 1 and signs[0] != 0 else None


def _has_alignment(names: tuple[str, ...]) -> bool:
    return f"{ALIGNMENT}/pose" in names or any(_CLASS_ALIGNMENT.match(name) for name in names)


def _poses(
    table: np.ndarray,
    path: Path,
    box: np.ndarray | None,
    pixel_size: np.ndarray | None,
    abinit: bool,
    hetrefine: bool,
    notices: list[str],
) -> Poses:
    prefix = _alignment_of_each_row(table, path, abinit, notices)
    pose, shift = np.empty((len(table), 3)), np.empty((len(table), 2))
    psize = np.full(len(table), np.nan)
    for name in np.unique(prefix):
        rows = prefix == name
        for field in ("pose", "shift"):
            if f"{name}/{field}" not in (table.dtype.names or ()):
                raise InputError(f"{path}: no field {name}/{field}: choose the particles of a refinement")
        pose[rows], shift[rows] = table[f"{name}/pose"][rows], table[f"{name}/shift"][rows]
        if f"{name}/psize_A" in (table.dtype.names or ()):
            psize[rows] = table[f"{name}/psize_A"][rows]
    rotation = matrix_from_axis_angle(torch.from_numpy(pose)).numpy().transpose(0, 2, 1)
    if box is None:
        raise InputError(f"{path}: no field blob/shape: give the box size with -D")
    ratio = _pixel_ratio(psize, pixel_size, hetrefine, notices)
    return Poses(np.ascontiguousarray(rotation), shift * (ratio / box)[:, None])


def _pixel_ratio(
    psize: np.ndarray, pixel_size: np.ndarray | None, hetrefine: bool, notices: list[str]
) -> np.ndarray:
    """Alignment pixel / image pixel, row by row."""
    known = np.isfinite(psize) & (psize > 0)
    if known.all() and pixel_size is not None:
        ratio = psize / pixel_size
        if hetrefine:
            notices.append("--hetrefine is not needed: the file holds the pixel size of its alignment")
        if np.abs(ratio - 1).max() > 1e-3:
            notices.append(
                f"shifts are in pixels of {psize[0]:.5g} A (images: {pixel_size[0]:.5g} A): converted"
            )
        return np.asarray(ratio)
    return np.full(len(psize), 2.0 if hetrefine else 1.0)


def _alignment_of_each_row(table: np.ndarray, path: Path, abinit: bool, notices: list[str]) -> np.ndarray:
    """Field prefix to read each row's pose from; with several classes, that of the likeliest one."""
    names = table.dtype.names or ()
    classes = [match.group(1) for match in map(_CLASS_ALIGNMENT.match, names) if match]
    if abinit:
        classes = [name for name in classes if name.startswith("alignments_class_")] or classes
    if f"{ALIGNMENT}/pose" in names and not (abinit and classes):
        if abinit:
            notices.append(f"--abinit: the file has no alignments_class_*, {ALIGNMENT} is used")
        return np.full(len(table), ALIGNMENT)
    if not classes:
        kinds = ", ".join(sorted({name.split("/")[0] for name in names}))
        raise InputError(f"{path}: no poses (fields: {kinds}): use the particles of a refinement job")
    if len(classes) == 1:
        return np.full(len(table), classes[0])
    posteriors = [f"{name}/class_posterior" for name in classes]
    if any(name not in names for name in posteriors):
        raise InputError(
            f"{path}: several classes without posterior ({', '.join(classes)}): export one class"
        )
    best = np.stack([table[name] for name in posteriors], axis=1).argmax(axis=1)
    notices.append(f"pose of the likeliest of {len(classes)} classes is used for each particle")
    return np.array(classes)[best]


def _ctf(
    table: np.ndarray,
    path: Path,
    box: np.ndarray | None,
    pixel_size: np.ndarray | None,
    notices: list[str],
) -> CtfTable:
    missing = [field for field in _CTF_FIELDS.values() if field not in (table.dtype.names or ())]
    if missing:
        raise InputError(
            f"{path}: fields missing: {', '.join(missing)}: put the passthrough .cs file beside it"
        )
    if box is None or pixel_size is None:
        raise InputError(f"{path}: no field blob/psize_A or blob/shape: give --Apix and -D")
    values = {name: table[field].astype(np.float64) for name, field in _CTF_FIELDS.items()}
    for name in ("defocus_angle_degrees", "phase_shift_degrees"):
        values[name] = np.degrees(values[name])
    ignored = [field for field in _ABERRATIONS if field in (table.dtype.names or ()) and np.any(table[field])]
    if ignored:
        notices.append(f"higher-order aberrations are not applied: {', '.join(ignored)}")
    return CtfTable(box_size_px=box, pixel_size_angstrom=pixel_size, **values)
