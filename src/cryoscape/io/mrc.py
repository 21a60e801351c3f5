"""MRC2014 files: headers, memory-mapped data, volumes, streamed stacks.

Layout: Cheng et al. 2015, J. Struct. Biol. 192, 146 (MRC2014). Axes are not flipped; arrays are [z, y, x].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.typing import PathLikeStr

HEADER_BYTES = 1024
_MODES: dict[int, str] = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_REFUSED = {3: "complex 16-bit integers", 4: "complex floats", 101: "4-bit integers"}
_HEADER = np.dtype(
    [
        ("n", "i4", 3), ("mode", "i4"), ("nstart", "i4", 3), ("m", "i4", 3), ("cell", "f4", 3),
        ("angles", "f4", 3), ("map", "i4", 3), ("dmin", "f4"), ("dmax", "f4"), ("dmean", "f4"),
        ("ispg", "i4"), ("nsymbt", "i4"), ("extra1", "V8"), ("exttyp", "S4"), ("nversion", "i4"),
        ("extra2", "V40"), ("imod_stamp", "i4"), ("imod_flags", "i4"), ("extra3", "V36"),
        ("origin", "f4", 3), ("magic", "S4"), ("stamp", "u1", 4), ("rms", "f4"), ("nlabl", "i4"),
        ("label", "S80", 10),
    ]
)  # fmt: skip
_IMOD_STAMP = 1146047817
ByteOrder = Literal["<", ">"]


@dataclass(frozen=True)
class MrcHeader:
    """What the header of an MRC file says.

    `n_x` columns, `n_y` rows, `n_z` sections; `dtype` has the byte order of the file; the pixel size is 0.0
    where the file does not tell it.
    """

    path: Path
    n_x: int
    n_y: int
    n_z: int
    mode: int
    dtype: np.dtype[np.generic]
    data_offset: int
    pixel_size_angstrom: float
    origin_angstrom: tuple[float, float, float]
    is_stack: bool

    @property
    def image_bytes(self) -> int:
        """Bytes of one section."""
        return int(self.n_x) * int(self.n_y) * int(self.dtype.itemsize)


@dataclass(frozen=True)
class VolumeFile:
    """A map [z, y, x] as float32, with its pixel size and origin in angstrom."""

    data: np.ndarray
    pixel_size_angstrom: float
    origin_angstrom: tuple[float, float, float]


def _plausible(raw: np.ndarray) -> bool:
    n = raw["n"][0].astype(np.int64)
    known = int(raw["mode"][0]) in _MODES or int(raw["mode"][0]) in _REFUSED
    return bool(known and (n > 0).all() and (n < 2**31).all() and (n[:2] <= 65536).all())


def _parse(block: bytes, path: Path) -> tuple[np.ndarray, ByteOrder]:
    for order in _byte_orders(block[212:214]):
        raw = np.frombuffer(block, dtype=_HEADER.newbyteorder(order))
        if _plausible(raw):
            return raw, order
    raise InputError(f"{path} is not an MRC file: its header has no known mode and size; check the file")


def _byte_orders(stamp: bytes) -> tuple[ByteOrder, ByteOrder]:
    """Order to try: the machine stamp first; where it is 0 or wrong, whichever gives a plausible header."""
    return (">", "<") if stamp[:1] == b"\x11" else ("<", ">")


def read_mrc_header(path: PathLikeStr) -> MrcHeader:
    """Read and check the header of an MRC file.

    A cube is a volume (unless space group 0 and mz mark it as a stack of as many images as pixels); anything
    else is a stack. The suffix plays no part.

    Raises
    ------
    InputError
        If the file is missing, is not an MRC file, holds a kind of number that is not supported, or is
        shorter than its header says.
    """
    path = Path(path)
    try:
        with path.open("rb") as handle:
            block = handle.read(HEADER_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    if len(block) < HEADER_BYTES:
        raise InputError(
            f"{path} is not an MRC file: it has {len(block)} bytes, an MRC header alone has {HEADER_BYTES}"
        )
    raw, order = _parse(block, path)
    mode = int(raw["mode"][0])
    if mode in _REFUSED:
        raise InputError(
            f"{path} holds {_REFUSED[mode]} (MRC mode {mode}), which is not supported; convert it to mode 2"
        )
    n_x, n_y, n_z = (int(v) for v in raw["n"][0])
    dtype = np.dtype(_MODES[mode]).newbyteorder(order)
    imod_unsigned = raw["imod_stamp"][0] == _IMOD_STAMP and not int(raw["imod_flags"][0]) & 1
    if mode == 0 and imod_unsigned:
        dtype = np.dtype("u1")
    m_x = int(raw["m"][0][0])
    cell = float(raw["cell"][0][0])
    pixel = cell / m_x if m_x > 0 and np.isfinite(cell) and cell > 0 else 0.0
    origin = tuple(float(v) for v in raw["origin"][0])
    header = MrcHeader(
        path=path,
        n_x=n_x,
        n_y=n_y,
        n_z=n_z,
        mode=mode,
        dtype=dtype,
        data_offset=HEADER_BYTES + max(0, int(raw["nsymbt"][0])),
        pixel_size_angstrom=round(pixel, 6),
        origin_angstrom=(origin[0], origin[1], origin[2]),
        is_stack=_is_stack(raw),
    )
    _check_size(header)
    return header


def _is_stack(raw: np.ndarray) -> bool:
    """Tell by sampling: anything but a cube is a stack; a cube is one if mz says one section a volume.

    Space groups alone mislead: old maps carry 0, and some programs write stacks with 1.
    """
    n_x, n_y, n_z = (int(v) for v in raw["n"][0])
    is_cube = n_x == n_y == n_z and n_z > 1
    return not is_cube or (int(raw["ispg"][0]) == 0 and int(raw["m"][0][2]) != n_z)


def _check_size(header: MrcHeader) -> None:
    expected = header.data_offset + header.image_bytes * header.n_z
    actual = header.path.stat().st_size
    if actual < expected:
        raise InputError(
            f"{header.path} is truncated: its header says {header.n_z} sections of {header.n_y} x "
            f"{header.n_x} ({expected} bytes), the file has {actual} bytes; copy it again"
        )


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
    if as_ == "volume" and header.is_stack and not (header.n_x == header.n_y == header.n_z):
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


def read_images(header: MrcHeader, start: int, stop: int) -> np.ndarray:
    """Read images start..stop - 1 in one contiguous block, as float32, shape (n, y, x)."""
    count = stop - start
    with header.path.open("rb") as handle:
        handle.seek(header.data_offset + header.image_bytes * int(start))
        block = np.fromfile(handle, dtype=header.dtype, count=count * header.n_x * header.n_y)
    return block.reshape(count, header.n_y, header.n_x).astype(np.float32, copy=False)


def _header_bytes(
    shape: tuple[int, int, int],
    dtype: np.dtype[np.generic],
    pixel_size_angstrom: float,
    origin_angstrom: Sequence[float],
    is_stack: bool,
    statistics: tuple[float, float, float, float],
) -> bytes:
    raw = np.zeros(1, dtype=_HEADER.newbyteorder("<"))
    n_z, n_y, n_x = shape
    sampling = (n_x, n_y, 1 if is_stack else n_z)
    raw["n"], raw["m"] = (n_x, n_y, n_z), sampling
    raw["mode"] = {"f4": 2, "f2": 12, "i2": 1, "u2": 6, "i1": 0}[dtype.str[1:]]
    raw["cell"] = [pixel_size_angstrom * s for s in sampling]
    raw["angles"], raw["map"], raw["origin"] = (90, 90, 90), (1, 2, 3), tuple(origin_angstrom)
    raw["dmin"], raw["dmax"], raw["dmean"], raw["rms"] = statistics
    raw["ispg"], raw["nversion"] = 0 if is_stack else 1, 20140
    raw["magic"], raw["stamp"] = b"MAP ", (0x44, 0x44, 0, 0)
    raw["nlabl"] = 1
    raw["label"][0][0] = b"written by cryoscape"
    return raw.tobytes()


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
    header = _header_bytes(shape, data.dtype, pixel_size_angstrom, origin_angstrom, False, statistics)
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
        block.tofile(self._handle)
        self._written += len(block)
        flat = block.reshape(-1)
        if flat.size:
            self._sums += (float(flat.sum(dtype=np.float64)), float(np.vdot(flat, flat)))
            self._range = (min(self._range[0], float(flat.min())), max(self._range[1], float(flat.max())))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            if self._written != self._shape[0]:
                failure = ValueError(f"stack of {self._shape[0]} images got only {self._written}")
                self._handle.close()
                self._context.__exit__(ValueError, failure, None)
                raise failure
            self._handle.seek(0)
            self._handle.write(self._final_header())
        self._handle.close()
        self._context.__exit__(kind, error, trace)

    def _final_header(self) -> bytes:
        n = max(1, int(np.prod(self._shape)))
        mean = self._sums[0] / n
        rms = float(np.sqrt(max(0.0, self._sums[1] / n - mean**2)))
        low, high = self._range if self._written else (0.0, 0.0)
        statistics = (low, high, float(mean), rms)
        return _header_bytes(self._shape, self._dtype, self._pixel_size_angstrom, (0, 0, 0), True, statistics)
