"""Images of a particle set, read from their files only when asked for."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from queue import Queue
from typing import TypeVar

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.mrc import MrcHeader, read_mrc_header
from cryoscape.particles.metadata import ImageAddresses, Particles

Item = TypeVar("Item")

_GAP_BYTES = 128 * 1024
"""Reading through a gap this small costs less than a second request to the disk."""
_RUN_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class StackFile:
    """What is needed to read images of one MRC stack without opening it again for its header."""

    path: Path
    n_images: int
    box_size: int
    dtype: np.dtype
    data_offset: int
    pixel_size_angstrom: float

    @property
    def image_bytes(self) -> int:
        """Bytes of one image in the file."""
        return self.box_size * self.box_size * self.dtype.itemsize


def describe_stack_file(path: Path) -> StackFile:
    """Read the header of a stack of square images and check it against the size of the file.

    Raises
    ------
    InputError
        If the file is a 3D map, holds images that are not square, or is shorter than its header says.
    """
    header = read_mrc_header(path)
    if is_map(header):
        raise InputError(
            f"{path}: this is a 3D map ({header.n_x} x {header.n_y} x {header.n_z}), "
            "expected a stack of particles"
        )
    if header.n_x != header.n_y:
        raise InputError(f"{path}: images are {header.n_x} x {header.n_y} px, expected square images")
    dtype = np.dtype(header.dtype)
    expected = header.data_offset + header.n_z * header.n_y * header.n_x * dtype.itemsize
    actual = path.stat().st_size
    if actual < expected:
        raise InputError(
            f"{path}: truncated, {header.n_z} images of {header.n_x} px need {expected} bytes, the file has "
            f"{actual}: copy it again"
        )
    return StackFile(path, header.n_z, header.n_x, dtype, header.data_offset, header.pixel_size_angstrom)


def is_map(header: MrcHeader) -> bool:
    """Whether an MRC header is that of a volume: as many sections as pixels on a side, and not a stack."""
    return header.n_z == header.n_y == header.n_x and header.n_x > 1 and not header.is_stack


class ImageStack:
    """N square images of even side, in the order of a particle set, read on demand.

    Images come as float32 (n, D, D) whatever the file holds (int8, int16, uint16, float16, float32, either
    byte order). An odd box loses its last row and column, so that its centre voxel stays the centre.
    """

    def __init__(self, files: Sequence[StackFile], addresses: ImageAddresses) -> None:
        self.files = tuple(files)
        self.addresses = addresses
        self.source_box_size = _common_box(self.files)
        self.box_size = self.source_box_size - self.source_box_size % 2
        self.pixel_size_angstrom = self.files[0].pixel_size_angstrom

    @classmethod
    def from_particles(cls, particles: Particles) -> "ImageStack":
        """Images of ``particles``; ``pixel_size_angstrom`` is the median of theirs, else the header's.

        Raises
        ------
        InputError
            If the set has no images, or a file is missing, truncated, too short, or of another box.
        """
        if particles.images is None:
            raise InputError(f"{particles.source}: names no image files")
        stack = cls([describe_stack_file(path) for path in particles.images.files], particles.images)
        stack._check_indices()
        pixel_size = particles.pixel_size_at(stack.box_size)
        if pixel_size is not None and len(pixel_size):
            stack.pixel_size_angstrom = float(np.median(pixel_size))
        return stack

    def __len__(self) -> int:
        return len(self.addresses)

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self)

    @property
    def source_itemsize(self) -> int:
        """Bytes a pixel takes in the files (the largest, if they differ)."""
        return max(file.dtype.itemsize for file in self.files)

    def _check_indices(self) -> None:
        for number, file in enumerate(self.files):
            wanted = self.addresses.image_index[self.addresses.file_index == number]
            if len(wanted) and (wanted.max() >= file.n_images or wanted.min() < 0):
                raise InputError(
                    f"{file.path}: image {int(wanted.max()) + 1} is asked for, the file holds {file.n_images}"
                )

    def read(self, rows: np.ndarray | slice) -> np.ndarray:
        """Images (n, D, D) float32 at positions ``rows`` of the set, in that order.

        Requests are sorted by file and place, and neighbours are read at once.
        """
        rows = np.arange(len(self))[rows]
        file_index, image_index = self.addresses.file_index[rows], self.addresses.image_index[rows]
        box = self.source_box_size
        images = np.empty((len(rows), box, box), dtype=np.float32)
        order = np.lexsort((image_index, file_index))
        start = 0
        for stop in _file_ends(file_index[order]):
            file = self.files[file_index[order[start]]]
            _read_sorted(file, image_index[order[start:stop]], images, order[start:stop])
            start = stop
        return images if box == self.box_size else images[:, : self.box_size, : self.box_size]

    def iterate(
        self, batch: int, rows: np.ndarray | None = None, read_ahead: int = 2
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (positions, images) in blocks of ``batch``, a thread reading ``read_ahead`` blocks ahead."""
        wanted = np.arange(len(self)) if rows is None else np.asarray(rows)
        blocks = (wanted[start : start + batch] for start in range(0, len(wanted), batch))
        return prefetch(((block, self.read(block)) for block in blocks), read_ahead)


def _common_box(files: Sequence[StackFile]) -> int:
    if not files:
        raise InputError("no image files are named")
    first = files[0]
    for file in files:
        if file.box_size != first.box_size:
            raise InputError(
                f"{file.path}: images are {file.box_size} px, those of {first.path} are {first.box_size} px: "
                "downsample both to one box first"
            )
    return first.box_size


def _file_ends(sorted_file_index: np.ndarray) -> Iterator[int]:
    changes = np.flatnonzero(np.diff(sorted_file_index)) + 1
    yield from changes.tolist()
    if len(sorted_file_index):
        yield len(sorted_file_index)


def _read_sorted(file: StackFile, index: np.ndarray, images: np.ndarray, slots: np.ndarray) -> None:
    """Read images ``index`` (ascending, may repeat) of one file into ``images[slots]``."""
    gap = max(1, _GAP_BYTES // file.image_bytes)
    longest = max(1, _RUN_BYTES // file.image_bytes)
    breaks = np.flatnonzero(np.diff(index) > gap) + 1
    with FileIO(file.path) as handle:
        for run in np.split(np.arange(len(index)), breaks):
            start = 0
            while start < len(run):
                stop = start + int(np.searchsorted(index[run[start:]], index[run[start]] + longest))
                _read_run(file, handle, index[run[start:stop]], images, slots[run[start:stop]])
                start = stop


def _read_run(
    file: StackFile, handle: FileIO, index: np.ndarray, images: np.ndarray, slots: np.ndarray
) -> None:
    first, count = int(index[0]), int(index[-1] - index[0]) + 1
    offset = file.data_offset + first * file.image_bytes
    # as many rows as images is not enough: one may be asked for twice and its neighbour not at all
    whole = bool(np.all(np.diff(index) == 1)) and bool(np.all(np.diff(slots) == 1))
    if whole and file.dtype == np.float32 and file.dtype.isnative:
        _read_exactly(file, handle, images[slots[0] : slots[0] + count], offset)
        return
    block = np.empty((count, file.box_size, file.box_size), dtype=file.dtype)
    _read_exactly(file, handle, block, offset)
    if whole:
        images[slots[0] : slots[0] + count] = block
    else:
        images[slots] = block[index - first]


def _read_exactly(file: StackFile, handle: FileIO, target: np.ndarray, offset: int) -> None:
    # An unbuffered read gives the lock back while it waits, so it overlaps with transforms in other threads.
    view = memoryview(target.reshape(-1).view(np.uint8).data)
    handle.seek(offset)
    while len(view):
        n_read = handle.readinto(view)
        if not n_read:
            raise InputError(f"{file.path}: ends before byte {offset + len(view)}: is it being changed?")
        view = view[n_read:]


def prefetch(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Yield from ``items``, a thread preparing up to ``depth`` of them ahead; its errors are raised here."""
    queue: Queue[tuple[Item | None, BaseException | None, bool]] = Queue(maxsize=max(1, depth))
    stopped = threading.Event()

    def offer(entry: tuple[Item | None, BaseException | None, bool]) -> None:
        queue.put(entry)

    thread = threading.Thread(target=_produce, args=(items, offer, stopped), daemon=True)
    thread.start()
    try:
        while True:
            item, error, finished = queue.get()
            if error is not None:
                raise error
            if finished:
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        while thread.is_alive():
            while not queue.empty():
                queue.get_nowait()
            thread.join(timeout=0.01)


def _produce(
    items: Iterator[Item],
    offer: Callable[[tuple[Item | None, BaseException | None, bool]], None],
    stopped: threading.Event,
) -> None:
    try:
        for item in items:
            offer((item, None, False))
            if stopped.is_set():
                return
        offer((None, None, True))
    except BaseException as error:
        offer((None, error, True))


def find_bad_images(images: np.ndarray) -> np.ndarray:
    """Boolean (n,): images that are constant or hold a NaN or an infinity, so carry no signal.

    Parameters
    ----------
    images
        (n, D, D) float32.
    """
    flat = images.reshape(len(images), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    # NaN survives min and max, and inf - inf is NaN: one comparison catches all three faults.
    with np.errstate(invalid="ignore"):
        spread = high - low
    bad: np.ndarray = ~((spread > 0) & np.isfinite(spread))
    return bad
