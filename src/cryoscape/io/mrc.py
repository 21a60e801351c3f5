"""MRC2014 files: memory-mapped data, volumes, streamed stacks. Axes are not flipped; arrays are [z, y, x]."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.mrc_header import HEADER_BYTES, MrcHeader, header_bytes, read_mrc_header
from cryoscape.typing import PathLikeStr

__all__ = [
    "MrcHeader",
    "StackWriter",
    "VolumeFile",
    "check_kind",
    "open_mrc",
    "read_mrc_header",
    "read_volume",
    "write_volume",
]


@dataclass(frozen=True)
class VolumeFile:
    """A map [z, y, x] as float32, with its pixel size and origin in angstrom."""

    data: np.ndarray
    pixel_size_angstrom: float
    origin_angstrom: tuple[float, float, float]


def open_mrc(path: PathLikeStr, as_: Literal["stack", "volume"] | None = None) -> np.ndarray:
    """Map the data of a file into memory, read-only, in its stored type; shape (n_z, n_y, n_x).

    Raises
    ------
    InputError
        As `read_mrc_header`; also if `as_` asks for the other kind of file.
    """
    header = read_mrc_header(path)
    check_kind(header, as_)
    return np.memmap(
        header.path,
        dtype=header.dtype,
        mode="r",
        offset=header.data_offset,
        shape=(header.n_z, header.n_y, header.n_x),
    )


def check_kind(header: MrcHeader, as_: Literal["stack", "volume"] | None) -> None:
    """Raise InputError if a stack is given as a volume, or a volume as a stack."""
    size = f"{header.n_z} x {header.n_y} x {header.n_x}"
    if as_ == "stack" and not header.is_stack:
        raise InputError(
            f"{header.path} is a 3D map ({size}), not a stack of images; give the particle stack"
        )
    # maps cut out of a box are no cubes: what calls itself a volume, with its size, may be read as one
    is_cube = header.n_x == header.n_y == header.n_z
    claims_volume = header.space_group > 0 and header.pixel_size_angstrom > 0
    if as_ == "volume" and header.is_stack and not is_cube and not claims_volume:
        raise InputError(f"{header.path} is a stack of images ({size}), not a 3D map; give a map")


def read_volume(path: PathLikeStr) -> VolumeFile:
    """Read a map as float32 with its pixel size and origin.

    Raises
    ------
    InputError
        As `open_mrc`.
    """
    header = read_mrc_header(path)
    data = np.array(open_mrc(path, as_="volume"), dtype=np.float32)
    return VolumeFile(data, header.pixel_size_angstrom, header.origin_angstrom)


def write_volume(
    path: PathLikeStr,
    volume: np.ndarray,
    pixel_size_angstrom: float,
    origin_angstrom: Sequence[float] = (0.0, 0.0, 0.0),
) -> None:
    """Write a map [z, y, x] as 32-bit floats (mode 2), strictly MRC2014, whole or not at all."""
    data = np.ascontiguousarray(volume, dtype="<f4")
    statistics = (float(data.min()), float(data.max()), float(data.mean()), float(data.std()))
    shape = (data.shape[0], data.shape[1], data.shape[2])
    header = header_bytes(shape, data.dtype, pixel_size_angstrom, origin_angstrom, False, statistics)
    with replace_when_done(path) as temporary, temporary.open("wb") as handle:
        handle.write(header)
        data.tofile(handle)


class StackWriter:
    """Write a stack of images block by block; the file appears under its name when the last is in.

    Use as a context manager; on an exception nothing is left behind.

    Parameters
    ----------
    path
        File to write.
    n_images, box_size
        How many images will come, and their side in pixels.
    pixel_size_angstrom
        Written to the header.
    dtype
        float32 (mode 2) or float16 (mode 12).

    Raises
    ------
    InputError
        If the folder cannot be written.
    ValueError
        If fewer or more images come than announced.
    """

    def __init__(
        self,
        path: PathLikeStr,
        n_images: int,
        box_size: int,
        pixel_size_angstrom: float,
        dtype: Literal["float32", "float16"] = "float32",
    ) -> None:
        self._context = replace_when_done(path)
        self._shape = (int(n_images), int(box_size), int(box_size))
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._pixel_size_angstrom = float(pixel_size_angstrom)
        self._written = 0
        self._sums = np.zeros(2)
        self._range = (np.inf, -np.inf)

    def __enter__(self) -> "StackWriter":
        self._temporary = self._context.__enter__()
        self._handle = self._temporary.open("wb")
        self._handle.write(bytes(HEADER_BYTES))
        return self

    def append(self, images: np.ndarray) -> None:
        """Add images, shape (n, y, x)."""
        block = np.ascontiguousarray(images, dtype=self._dtype)
        if block.shape[1:] != self._shape[1:] or self._written + len(block) > self._shape[0]:
            raise ValueError(f"stack of {self._shape} got {block.shape} after {self._written} images")
        if not len(block):
            return
        block.tofile(self._handle)
        self._written += len(block)
        flat = np.asarray(images, dtype=np.float32).reshape(-1)
        self._sums += (float(flat.sum(dtype=np.float64)), float(np.vdot(flat, flat)))
        self._range = (min(self._range[0], float(flat.min())), max(self._range[1], float(flat.max())))
        if self._written == self._shape[0]:
            self._finish()

    def _finish(self) -> None:
        """Complete and close the file; it gets its name on exit. Thousands may wait for that at once."""
        if not self._handle.closed:
            self._handle.seek(0)
            self._handle.write(self._final_header())
            self._handle.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._written != self._shape[0]:
                    raise ValueError(f"stack of {self._shape[0]} images got only {self._written}")
                self._finish()
            self._handle.close()
        except BaseException as failure:
            self._handle.close()
            self._context.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._context.__exit__(kind, error, trace)

    def _final_header(self) -> bytes:
        n = max(1, int(np.prod(self._shape)))
        mean = self._sums[0] / n
        rms = float(np.sqrt(max(0.0, self._sums[1] / n - mean**2)))
        low, high = self._range if self._written else (0.0, 0.0)
        statistics = (low, high, float(mean), rms)
        return header_bytes(
            self._shape, self._dtype, self._pixel_size_angstrom, (0.0, 0.0, 0.0), True, statistics
        )
