"""Fourier store: every image once windowed, signed, centred and transformed, sorted by radius."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from io import FileIO
from typing import Literal

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.particles.metadata import Particles
from cryoscape.physics.ctf import CtfParameters, contrast_transfer
from cryoscape.physics.grids import HalfPlane


@dataclass(frozen=True)
class PreprocessConfig:
    """How images become coefficients."""

    invert: bool = True
    """Multiply images by -1 (light particles on dark become positive density with the CTF's sign)."""
    window: bool = True
    """Multiply images by a soft round window."""
    window_radius: float = 0.85
    """Where the window starts to fall, as a fraction of half the box; it is 0 from 0.99 on."""
    background: Literal["auto", "keep", "subtract"] = "auto"
    """Subtract each image's mean outside the window; "auto": only where images were not normalised."""
    max_radius: float | None = None
    """Largest radius kept, in Fourier pixels; default half the box."""
    dtype: Literal["float32", "float16"] = "float32"
    """How coefficients are stored; float16 halves memory, with one scale a pixel so nothing overflows."""


class FourierStore:
    """Half-plane Fourier coefficients of N images, with what is needed to use them.

    Attributes
    ----------
    plane
        Which Fourier pixels, sorted by radius: a lower resolution is a prefix.
    coefficients
        (N, P, 2) real and imaginary parts, float32 or float16, in memory or memory-mapped: image content
        moved to the centre, times the sign, divided by ``scale`` (and ``pixel_scale`` where float16).
    scale
        Standard deviation of the Hartley coefficients of the raw images, as the published system uses it.
    particles
        Metadata of the N images, in the same order; ``particles.row`` are rows of the original input.
    excluded_rows
        Original rows of images left out because they are constant or not finite.
    """

    def __init__(
        self,
        plane: HalfPlane,
        coefficients: np.ndarray | torch.Tensor,
        scale: float,
        particles: Particles,
        config: PreprocessConfig,
        pixel_scale: torch.Tensor | None = None,
        excluded_rows: np.ndarray | None = None,
        table_rows: torch.Tensor | None = None,
    ) -> None:
        self.plane = plane
        self.coefficients = coefficients
        self.scale = scale
        self.particles = particles
        self.config = config
        self.pixel_scale = pixel_scale
        self.excluded_rows = np.zeros(0, np.int64) if excluded_rows is None else excluded_rows
        self._table = (
            coefficients if isinstance(coefficients, torch.Tensor) else torch.from_numpy(coefficients)
        )
        self._table_rows = table_rows
        self._ctf_cache: torch.Tensor | None = None
        self._rotations = self._rotations_of(particles)
        pixel_size = particles.pixel_size_at(plane.box_size)
        self.pixel_size_angstrom = 0.0 if pixel_size is None else float(np.median(pixel_size))
        self._pixel_sizes = self._distinct_pixel_sizes(pixel_size)
        self._ctf_parameters: CtfParameters | None = None
        if particles.ctf is not None:
            self._ctf_parameters = _on_device(particles.ctf.parameters(), self.device)

    def _rotations_of(self, particles: Particles) -> torch.Tensor | None:
        if particles.poses is None:
            return None
        return torch.as_tensor(particles.poses.rotation, dtype=torch.float32, device=self._table.device)

    def _distinct_pixel_sizes(self, pixel_size: np.ndarray | None) -> torch.Tensor | None:
        """Pixel size a particle (N,), or one for all (1,): mixed optics groups keep their own."""
        if pixel_size is None or not len(pixel_size):
            return None
        # Values differing by float32 rounding (as in files of nine float32 columns) count as one.
        alike = np.ptp(pixel_size) <= 1e-6 * pixel_size[0]
        chosen = pixel_size[:1] if alike else pixel_size
        return torch.as_tensor(chosen, dtype=torch.float32, device=self.device)

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.particles)

    def __len__(self) -> int:
        return self.n

    @property
    def box_size(self) -> int:
        """Side of the images in pixels."""
        return self.plane.box_size

    @property
    def device(self) -> torch.device:
        """Where `batch` and `ctf` answer."""
        return self._table.device

    @property
    def rotations(self) -> torch.Tensor:
        """(N, 3, 3) float32, volume frequency = k @ R.

        Raises
        ------
        InputError
            If the particles have no poses.
        """
        if self._rotations is None:
            raise InputError(f"{self.particles.source}: no poses: give them with --poses")
        return self._rotations

    def batch(self, rows: torch.Tensor, n_pixels: int | None = None) -> torch.Tensor:
        """Coefficients complex64 (B, n_pixels) of the images at positions ``rows`` (int64).

        ``n_pixels`` is a prefix of the half plane (`HalfPlane.count_within` of a radius); default all.
        """
        rows = rows.to(self.device)
        if self._table_rows is not None:
            rows = self._table_rows[rows]
        n_pixels = self._prefix(n_pixels)
        if isinstance(self.coefficients, np.memmap):
            values = torch.from_numpy(_read_rows(self.coefficients, rows.numpy(), n_pixels))
        else:
            values = self._table[:, :n_pixels].index_select(0, rows)
        if self.pixel_scale is not None:
            values = values.float().mul_(self.pixel_scale[: values.shape[1], None])
        return torch.view_as_complex(values.contiguous())

    def ctf(self, rows: torch.Tensor, n_pixels: int | None = None) -> torch.Tensor:
        """CTF float32 (B, n_pixels) of the images at ``rows``, with each one's pixel size; 1 if unknown."""
        rows = rows.to(self.device)
        n_pixels = self._prefix(n_pixels)
        if self._ctf_parameters is None or self._pixel_sizes is None:
            return torch.ones(len(rows), n_pixels, device=self.device)
        if self._ctf_cache is not None:
            return self._ctf_cache[:, :n_pixels].index_select(0, rows).float()
        k = self.plane.k[:n_pixels].to(torch.float32) / self.box_size
        if len(self._pixel_sizes) == 1:
            frequencies = k / self._pixel_sizes
        else:
            frequencies = k / self._pixel_sizes[rows][:, None, None]
        parameters = _select(self._ctf_parameters, rows)
        return contrast_transfer(frequencies, parameters).float()

    def cache_ctf(self, batch: int = 1024) -> None:
        """Compute all CTFs once, to float16 (N, P): worth it where `MemoryPlan.cache_ctf` says it fits."""
        cache = torch.empty(self.n, self.plane.n_pixels, dtype=torch.float16, device=self.device)
        for start in range(0, self.n, batch):
            rows = torch.arange(start, min(start + batch, self.n), device=self.device)
            cache[start : start + len(rows)] = self.ctf(rows).half()
        self._ctf_cache = cache

    def halves(self) -> torch.Tensor:
        """Half set of each image, int64 (N,): 0 at even and 1 at odd positions."""
        return torch.arange(self.n, device=self.device) % 2

    def to(self, device: torch.device | str) -> "FourierStore":
        """A store whose coefficients, rotations and answers are on ``device``; needs room for them there."""
        return type(self)(
            self.plane.to(torch.device(device)),
            self._table.to(device),
            self.scale,
            self.particles,
            self.config,
            None if self.pixel_scale is None else self.pixel_scale.to(device),
            self.excluded_rows,
            None if self._table_rows is None else self._table_rows.to(device),
        )

    def select_original(self, rows: np.ndarray) -> "FourierStore":
        """A store of the particles with these ORIGINAL rows, in that order; coefficients are not copied.

        Raises
        ------
        InputError
            If a row is not in this store.
        """
        chosen = self.particles.select_original(rows)
        order = np.full(self.particles.n_original, -1, dtype=np.int64)
        order[self.particles.row] = np.arange(self.n)
        table_rows = torch.from_numpy(order[chosen.row]).to(self.device)
        if self._table_rows is not None:
            table_rows = self._table_rows[table_rows]
        return type(self)(
            self.plane,
            self.coefficients,
            self.scale,
            chosen,
            self.config,
            self.pixel_scale,
            self.excluded_rows,
            table_rows,
        )

    def _prefix(self, n_pixels: int | None) -> int:
        return self.plane.n_pixels if n_pixels is None else min(n_pixels, self.plane.n_pixels)


def _select(parameters: CtfParameters, rows: torch.Tensor) -> CtfParameters:
    return _map_columns(parameters, lambda column: column[rows])


def _on_device(parameters: CtfParameters, device: torch.device) -> CtfParameters:
    return _map_columns(parameters, lambda column: column.to(device))


def _map_columns(parameters: CtfParameters, change: Callable[[torch.Tensor], torch.Tensor]) -> CtfParameters:
    """The same parameters with ``change`` applied to each column that has a value a particle."""
    columns = {field.name: getattr(parameters, field.name) for field in fields(parameters)}
    return CtfParameters(
        **{
            name: change(value) if isinstance(value, torch.Tensor) and value.ndim else value
            for name, value in columns.items()
        }
    )


def _read_rows(mapped: np.memmap, rows: np.ndarray, n_columns: int) -> np.ndarray:
    """The first columns of some rows of a mapped file (N, P, 2), read and not mapped.

    Pages of a mapped file count as memory of the process, and a system maps far more than is touched.
    """
    out = np.empty((len(rows), n_columns, *mapped.shape[2:]), mapped.dtype)
    with FileIO(str(mapped.filename)) as file:
        for place, row in zip(out, rows.tolist(), strict=True):
            file.seek(mapped.offset + row * mapped.strides[0])
            if file.readinto(memoryview(place).cast("B")) != place.nbytes:
                raise InputError(
                    f"{mapped.filename}: ends within image {row}; it was cut or replaced, preprocess again"
                )
    return out
