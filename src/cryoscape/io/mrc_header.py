"""Headers of MRC2014 files: what they say, whether it holds, and how one is written.

Layout: Cheng et al. 2015, J. Struct. Biol. 192, 146 (MRC2014).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cryoscape.errors import InputError
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
    where the file does not tell it. Space group 0 marks images, 1 a volume, where a program kept to that.
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
    space_group: int = 0

    @property
    def image_bytes(self) -> int:
        """Bytes of one section."""
        return int(self.n_x) * int(self.n_y) * int(self.dtype.itemsize)


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
    m_x = int(raw["m"][0][0]) or n_x
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
        space_group=int(raw["ispg"][0]),
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


def header_bytes(
    shape: tuple[int, int, int],
    dtype: np.dtype[np.generic],
    pixel_size_angstrom: float,
    origin_angstrom: Sequence[float],
    is_stack: bool,
    statistics: tuple[float, float, float, float],
) -> bytes:
    """The 1024 bytes of a little-endian header; statistics are (least, largest, mean, rms)."""
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


def with_pixel_size(header: bytes, pixel_size_angstrom: float) -> bytes:
    """The first 1024 bytes of a file with another pixel size, all else and the byte order as they were.

    Raises
    ------
    InputError
        If these bytes are not an MRC header.
    """
    raw, _ = _parse(header, Path("header"))
    changed = raw.copy()
    sampling = np.where(raw["m"][0] > 0, raw["m"][0], raw["n"][0])
    changed["m"][0] = sampling
    changed["cell"][0] = pixel_size_angstrom * sampling.astype(np.float64)
    return changed.tobytes()


def header_fields(path: PathLikeStr) -> dict[str, Any]:
    """The fields of a header as they are stored, under the names of the MRC2014 format, labels last.

    Raises
    ------
    InputError
        As `read_mrc_header`.
    """
    header = read_mrc_header(path)
    with header.path.open("rb") as handle:
        raw, order = _parse(handle.read(HEADER_BYTES), header.path)
    one = raw[0]
    fields: dict[str, Any] = {}
    for name, axes in (("n", "xyz"), ("m", "xyz"), ("cell", "abc")):
        fields |= {f"{name}{axis}": value.item() for axis, value in zip(axes, one[name], strict=True)}
        if name == "n":
            fields["mode"] = int(one["mode"])
            fields |= {f"n{axis}start": value.item() for axis, value in zip(axes, one["nstart"], strict=True)}
    fields |= {key: v.item() for key, v in zip(("alpha", "beta", "gamma"), one["angles"], strict=True)}
    fields |= {key: v.item() for key, v in zip(("mapc", "mapr", "maps"), one["map"], strict=True)}
    fields |= {key: float(one[key]) for key in ("dmin", "dmax", "dmean", "rms")}
    fields |= {"ispg": int(one["ispg"]), "nsymbt": int(one["nsymbt"])}
    fields |= {"exttyp": one["exttyp"].decode("latin1").strip(), "nversion": int(one["nversion"])}
    fields |= {f"origin {axis}": value.item() for axis, value in zip("xyz", one["origin"], strict=True)}
    fields["byte order"] = "big-endian" if order == ">" else "little-endian"
    labels = [label.decode("latin1").rstrip(" \0") for label in one["label"][: max(0, int(one["nlabl"]))]]
    return fields | {f"label {i}": label for i, label in enumerate(labels)}
