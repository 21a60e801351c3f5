"""Checks at the border: what cannot be a particle set is refused in one line that says how to mend it."""

from pathlib import Path

import numpy as np

from cryoscape.errors import InputError
from cryoscape.particles.metadata import CtfTable, Poses

ORTHONORMALITY_TOLERANCE = 1e-3
"""Poses kept as float32 or printed with six digits stay far below; a transposed or scaled one does not."""
LARGEST_SHIFT = 0.5

_USUAL = {
    "voltage_kv": (80.0, 400.0, "kV", "--kv"),
    "spherical_aberration_mm": (0.05, 5.0, "mm", "--cs"),
    "amplitude_contrast": (0.0, 0.3, "", "-w"),
    "pixel_size_angstrom": (0.1, 20.0, "A", "--Apix"),
    "box_size_px": (8.0, 4096.0, "px", "-D"),
}


def check_finite(values: np.ndarray, column: str, source: Path, rows: np.ndarray | None = None) -> None:
    """Refuse NaN and infinity in a column (N,) or (N, k), naming the first five rows (of the input)."""
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    where = np.flatnonzero(bad.reshape(len(values), -1).any(axis=1))
    named = where if rows is None else rows[where]
    first = ", ".join(map(str, named[:5]))
    raise InputError(
        f"{source}: {column} is NaN or infinite in {len(where)} of {len(values)} rows (from 0: {first})"
        ": remove these particles or export the file again"
    )


def check_poses(poses: Poses, source: Path, rows: np.ndarray | None = None) -> None:
    """Refuse rotations that are not rotations and shifts that are not fractions of the box."""
    rotation = poses.rotation
    check_finite(rotation, "rotation (angles)", source, rows)
    check_finite(poses.shift_fraction, "shift", source, rows)
    named = np.arange(len(poses)) if rows is None else rows
    if len(poses) == 0:
        return
    error = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    worst = int(error.argmax())
    if error[worst] > ORTHONORMALITY_TOLERANCE:
        raise InputError(
            f"{source}: rotation of row {named[worst]} is not orthonormal (error {error[worst]:.2g}, allowed "
            f"{ORTHONORMALITY_TOLERANCE:g}): parse the poses again"
        )
    mirrored = np.flatnonzero(np.linalg.det(rotation) < 0)
    if len(mirrored):
        raise InputError(
            f"{source}: {len(mirrored)} rotations have determinant -1 (first: row {named[mirrored[0]]}): "
            "these are mirrored, parse the poses again"
        )
    check_shifts(poses.shift_fraction, source, named)


def check_shifts(shift_fraction: np.ndarray, source: Path, rows: np.ndarray) -> None:
    """Refuse shifts (N, 2) larger than half a box, guessing the unit they are in."""
    size = np.abs(shift_fraction).max(axis=1)
    worst = int(size.argmax())
    if size[worst] <= LARGEST_SHIFT:
        return
    n_large = int((size > LARGEST_SHIFT).sum())
    # A few outliers are bad particles; a set that is mostly beyond half a box is in another unit.
    if np.median(size) > 0.1 and size[worst] > 1:
        guess = "these look like pixels (or A), expected fractions of the box: divide by the box size"
    else:
        guess = "larger than half a box: remove these particles, or check -D and the pixel size"
    raise InputError(
        f"{source}: shift of row {rows[worst]} is {size[worst]:.3g} boxes "
        f"({n_large} rows beyond {LARGEST_SHIFT}): {guess}"
    )


def check_ctf(ctf: CtfTable, source: Path, rows: np.ndarray | None = None) -> list[str]:
    """Refuse NaN and values that cannot be; answer a notice for each column outside its usual range."""
    for name in CtfTable.column_names():
        check_finite(getattr(ctf, name), name, source, rows)
    for name in ("box_size_px", "pixel_size_angstrom", "voltage_kv"):
        values = getattr(ctf, name)
        if len(values) and values.min() <= 0:
            worst = int(values.argmin()) if rows is None else int(rows[values.argmin()])
            raise InputError(
                f"{source}: {name} is {values.min():g} in row {worst}, expected a positive "
                f"number: give it with {_USUAL[name][3]} when parsing"
            )
    return implausible_values(ctf)


def implausible_values(ctf: CtfTable) -> list[str]:
    """One sentence for each column with values outside the usual range (in a wrong unit, say)."""
    notices = []
    for name, (low, high, unit, flag) in _USUAL.items():
        values = getattr(ctf, name)
        outside = (values < low) | (values > high)
        if outside.any():
            notices.append(
                f"{name} is {values[outside][0]:g} {unit}".rstrip()
                + f" in {int(outside.sum())} rows, usually {low:g} to {high:g}: right? ({flag} overrides it)"
            )
    defocus = np.abs(np.concatenate([ctf.defocus_u_angstrom, ctf.defocus_v_angstrom]))
    # Simulated sets may have no defocus at all; a positive one below 50 is in micrometres.
    if len(defocus) and 0 < np.median(defocus) < 50:
        notices.append(f"defocus is {np.median(defocus):g}, which looks like micrometres; expected A")
    phase = np.abs(ctf.phase_shift_degrees)
    if len(phase) and 0 < phase.max() < np.pi and np.median(phase) > 0.1:
        notices.append(f"phase shift is {np.median(phase):g}, which looks like radians; expected degrees")
    return notices


def check_rows(rows: np.ndarray, n: int, source: str, of: Path) -> np.ndarray:
    """Row numbers (int64) that select from ``n`` original rows; a boolean mask of length n is turned to rows.

    Raises
    ------
    InputError
        Where a row is negative, beyond the end, given twice, not whole, or none is selected.
    """
    rows = np.asarray(rows)
    if rows.dtype == bool:
        if rows.shape != (n,):
            raise InputError(
                f"{source}: mask of {rows.size} for {n} particles ({of}): expected one value a particle"
            )
        rows = np.flatnonzero(rows)
    if rows.ndim != 1:
        raise InputError(f"{source}: selection has shape {rows.shape}, expected one list of row numbers")
    if rows.size == 0:
        raise InputError(f"{source}: the selection is empty: nothing is left of the {n} particles of {of}")
    if rows.dtype.kind not in "iuf" or not np.array_equal(rows, np.floor(rows)):
        raise InputError(
            f"{source}: the selection holds values that are not whole numbers: expected row numbers"
        )
    rows = rows.astype(np.int64)
    if rows.min() < 0:
        raise InputError(f"{source}: the selection holds a negative row ({rows.min()}): rows count from 0")
    if rows.max() >= n:
        raise InputError(
            f"{source}: largest row {rows.max()}, but {of} has {n} particles (rows 0 to {n - 1}): "
            "the selection belongs to another set"
        )
    values, counts = np.unique(rows, return_counts=True)
    if len(values) < len(rows):
        raise InputError(
            f"{source}: {int((counts > 1).sum())} rows are selected more than once "
            f"(first: {values[counts > 1][0]}): remove the repetitions"
        )
    return rows
