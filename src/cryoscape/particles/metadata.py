"""The one metadata object: poses, CTF and image address of every particle, and where each came from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.physics.ctf import CtfParameters

N_LEGACY_COLUMNS = 9


@dataclass(frozen=True)
class CtfTable:
    """Imaging parameters of N particles, one float64 array (N,) a column.

    ``box_size_px`` and ``pixel_size_angstrom`` are those of the ORIGINAL images, so that the pixel size at a
    working box D is ``pixel_size_at(D)``, particle by particle. Defocus is in Å, underfocus positive;
    angles are in degrees.
    """

    box_size_px: np.ndarray
    pixel_size_angstrom: np.ndarray
    defocus_u_angstrom: np.ndarray
    defocus_v_angstrom: np.ndarray
    defocus_angle_degrees: np.ndarray
    voltage_kv: np.ndarray
    spherical_aberration_mm: np.ndarray
    amplitude_contrast: np.ndarray
    phase_shift_degrees: np.ndarray

    def __len__(self) -> int:
        return len(self.box_size_px)

    @classmethod
    def column_names(cls) -> tuple[str, ...]:
        """Names of the columns, in the order of the nine columns of ``ctf.pkl``."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def from_legacy(cls, array: np.ndarray) -> "CtfTable":
        """From the (N, 9) array of ``ctf.pkl``: box, pixel, dfU, dfV, angle, kV, Cs, w, phase.

        Raises
        ------
        InputError
            If the array is not (N, 9).
        """
        if array.ndim != 2 or array.shape[1] != N_LEGACY_COLUMNS:
            raise InputError(
                f"CTF table has shape {array.shape}, expected (particles, 9): make it with "
                "`cryoscape parse_ctf_star` or `cryoscape parse_ctf_csparc`"
            )
        return cls(*np.ascontiguousarray(array.T, dtype=np.float64))

    def as_legacy(self) -> np.ndarray:
        """The (N, 9) float32 array that is stored in ``ctf.pkl``."""
        columns = [getattr(self, name) for name in self.column_names()]
        return np.stack(columns, axis=1).astype(np.float32)

    def select(self, rows: np.ndarray) -> "CtfTable":
        """The table of the particles at positions ``rows`` of this table, in that order."""
        return CtfTable(*(getattr(self, name)[rows] for name in self.column_names()))

    def pixel_size_at(self, box_size: int) -> np.ndarray:
        """Pixel size (N,) in Å after resampling to ``box_size`` pixels: pixel x original box / box."""
        return np.asarray(self.pixel_size_angstrom * self.box_size_px / box_size)

    def parameters(
        self, rows: np.ndarray | torch.Tensor | None = None, dtype: torch.dtype = torch.float32
    ) -> CtfParameters:
        """CTF parameters of the particles at positions ``rows`` (all by default), for `physics.ctf`."""
        chosen = slice(None) if rows is None else np.asarray(rows)

        def column(name: str) -> torch.Tensor:
            return torch.as_tensor(np.array(getattr(self, name)[chosen]), dtype=dtype)

        return CtfParameters(
            defocus_u_angstrom=column("defocus_u_angstrom"),
            defocus_v_angstrom=column("defocus_v_angstrom"),
            defocus_angle_degrees=column("defocus_angle_degrees"),
            voltage_kv=column("voltage_kv"),
            spherical_aberration_mm=column("spherical_aberration_mm"),
            amplitude_contrast=column("amplitude_contrast"),
            phase_shift_degrees=column("phase_shift_degrees"),
        )


@dataclass(frozen=True)
class Poses:
    """Orientation and in-plane shift of N particles.

    ``rotation`` (N, 3, 3): volume frequency = k @ R for image frequency k = (kx, ky, 0) (RELION's Euler
    matrix). ``shift_fraction`` (N, 2): (x, y) as a fraction of the box; content moves by +shift to be
    centred. Both float64.
    """

    rotation: np.ndarray
    shift_fraction: np.ndarray

    def __len__(self) -> int:
        return len(self.rotation)

    def select(self, rows: np.ndarray) -> "Poses":
        """Poses at positions ``rows``, in that order."""
        return Poses(self.rotation[rows], self.shift_fraction[rows])


@dataclass(frozen=True)
class ImageAddresses:
    """Where each image lies: ``files[file_index[i]]``, image number ``image_index[i]`` (from 0)."""

    files: tuple[Path, ...]
    file_index: np.ndarray
    image_index: np.ndarray

    def __len__(self) -> int:
        return len(self.file_index)

    @classmethod
    def whole_files(cls, files: Sequence[Path], counts: Sequence[int]) -> "ImageAddresses":
        """Every image of every file, in order."""
        return cls(
            tuple(files),
            np.repeat(np.arange(len(counts), dtype=np.int32), counts),
            np.concatenate([np.arange(n, dtype=np.int64) for n in counts] or [np.zeros(0, np.int64)]),
        )

    def select(self, rows: np.ndarray) -> "ImageAddresses":
        """Addresses at positions ``rows``, in that order."""
        return ImageAddresses(self.files, self.file_index[rows], self.image_index[rows])


@dataclass(frozen=True)
class Particles:
    """All that is known of N particles; every column has N rows and row i of each is the same particle.

    ``row`` holds the row number in the original input (selections always refer to it), ``n_original`` how
    many rows that input had, ``uid`` cryoSPARC's identifiers where known, ``data_sign`` the sign cryoSPARC
    notes for the contrast of the images, ``source`` the file named by the user, ``box_size_px`` the side of
    the images as `ImageStack` gives them (even), ``pixel_size_angstrom`` (N,) their pixel size where the
    input tells it, ``notices`` what was assumed or repaired on reading.
    """

    images: ImageAddresses | None
    row: np.ndarray
    uid: np.ndarray | None
    poses: Poses | None
    ctf: CtfTable | None
    data_sign: int | None
    source: Path
    box_size_px: int | None
    n_original: int
    pixel_size_angstrom: np.ndarray | None = None
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.row)

    def select(self, rows: np.ndarray) -> "Particles":
        """Particles at positions ``rows`` (or where a boolean mask is true) of this table, in that order."""

        def cut(column: Any) -> Any:
            return None if column is None else column.select(rows)

        return replace(
            self,
            images=cut(self.images),
            row=self.row[rows],
            uid=None if self.uid is None else self.uid[rows],
            poses=cut(self.poses),
            ctf=cut(self.ctf),
            pixel_size_angstrom=None if self.pixel_size_angstrom is None else self.pixel_size_angstrom[rows],
        )

    def select_original(self, rows: np.ndarray) -> "Particles":
        """Particles whose row number in the ORIGINAL input is in ``rows``, in the order of ``rows``.

        Raises
        ------
        InputError
            If a row is not among these particles.
        """
        rows = np.asarray(rows, dtype=np.int64)
        position = np.full(max(self.n_original, 1), -1, dtype=np.int64)
        position[self.row] = np.arange(len(self))
        inside = (rows >= 0) & (rows < self.n_original)
        found = np.where(inside, position[np.where(inside, rows, 0)], -1)
        if (found < 0).any():
            lost = rows[found < 0]
            raise InputError(
                f"{self.source}: {len(lost)} of the {len(rows)} selected rows are not in these "
                f"{len(self)} particles (first: {lost[0]}): the selection belongs to another set"
            )
        return self.select(found)

    def pixel_size_at(self, box_size: int) -> np.ndarray | None:
        """Pixel size (N,) in Å at a working box, or None where it is not known."""
        if self.ctf is not None:
            return self.ctf.pixel_size_at(box_size)
        if self.pixel_size_angstrom is None or self.box_size_px is None:
            return None
        return np.asarray(self.pixel_size_angstrom * self.box_size_px / box_size)
