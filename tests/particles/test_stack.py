from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.particles.metadata import ImageAddresses, Particles
from cryoscape.particles.stack import ImageStack, describe_stack_file, find_bad_images, prefetch
from particle_files import noise_images, write_map, write_stack


def stack_of(*files: Path, addresses: ImageAddresses | None = None) -> ImageStack:
    described = [describe_stack_file(file) for file in files]
    if addresses is None:
        addresses = ImageAddresses.whole_files(files, [file.n_images for file in described])
    return ImageStack(described, addresses)


def particles_of(addresses: ImageAddresses) -> Particles:
    return Particles(
        addresses, np.arange(len(addresses)), None, None, None, None, Path("p"), None, len(addresses)
    )


@pytest.fixture(scope="module")
def three_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Path, ...], np.ndarray]:
    folder = tmp_path_factory.mktemp("stacks")
    images = noise_images(60, 16)
    parts = (images[:25], images[25:30], images[30:])
    files = tuple(write_stack(folder / f"{i}.mrcs", part, 2.5) for i, part in enumerate(parts))
    return files, images


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 59), max_size=80))
@example(rows=[51, 51, 53])
def test_any_rows_come_in_the_order_asked(
    three_files: tuple[tuple[Path, ...], np.ndarray], rows: list[int]
) -> None:
    files, images = three_files
    chosen = np.array(rows, dtype=np.int64)
    np.testing.assert_array_equal(stack_of(*files).read(chosen), images[chosen])


def test_far_apart_rows_of_a_large_file(tmp_path: Path) -> None:
    images = noise_images(40, 128)
    stack = stack_of(write_stack(tmp_path / "a.mrcs", images))
    rows = np.array([39, 0, 20, 1, 21, 0])
    np.testing.assert_array_equal(stack.read(rows), images[rows])
    np.testing.assert_array_equal(stack.read(slice(5, 9)), images[5:9])


def test_iterate_gives_each_block_once_in_order(three_files: tuple[tuple[Path, ...], np.ndarray]) -> None:
    files, images = three_files
    blocks = list(stack_of(*files).iterate(7))
    np.testing.assert_array_equal(np.concatenate([rows for rows, _ in blocks]), np.arange(60))
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), images)
    some = np.array([50, 3, 4])
    (rows, block), *rest = stack_of(*files).iterate(10, some)
    assert not rest
    assert rows.tolist() == [50, 3, 4]
    np.testing.assert_array_equal(block, images[some])


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.float16, np.float32])
def test_every_mode_comes_as_float32(tmp_path: Path, dtype: type) -> None:
    images = (np.random.default_rng(0).integers(0, 100, (3, 8, 8))).astype(dtype)
    stack = stack_of(write_stack(tmp_path / "a.mrcs", images))
    assert stack.source_itemsize == np.dtype(dtype).itemsize
    read = stack.read(slice(None))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, images.astype(np.float32))


def test_big_endian_with_an_extended_header(tmp_path: Path) -> None:
    images = noise_images(4, 8)
    path = tmp_path / "big.mrcs"
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(images)
        mrc.set_image_stack()
    raw = bytearray(path.read_bytes())
    header = np.frombuffer(bytes(raw[:1024]), dtype="<i4").astype(">i4")
    header[23] = 15360
    # Words of text and the machine stamp are not numbers.
    header[52], header[53] = np.frombuffer(b"MAP ", ">i4")[0], np.frombuffer(b"\x11\x11\0\0", ">i4")[0]
    path.write_bytes(header.tobytes() + bytes(15360) + images.astype(">f4").tobytes())
    np.testing.assert_array_equal(stack_of(path).read(slice(None)), images)


def test_an_odd_box_loses_its_last_row_and_column(tmp_path: Path) -> None:
    images = noise_images(3, 9)
    stack = stack_of(write_stack(tmp_path / "odd.mrcs", images))
    assert (stack.source_box_size, stack.box_size) == (9, 8)
    np.testing.assert_array_equal(stack.read(slice(None)), images[:, :8, :8])


def test_a_map_is_not_a_stack(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is a 3D map"):
        describe_stack_file(write_map(tmp_path / "map.mrc", noise_images(8, 8)))


def test_images_must_be_square(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="10 x 8 px, expected square"):
        describe_stack_file(write_stack(tmp_path / "a.mrcs", np.zeros((3, 8, 10), np.float32)))


def test_a_truncated_stack_tells_both_sizes(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "a.mrcs", noise_images(4, 8))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=f"{1024 + 4 * 256} bytes.*{1024 + 4 * 256 - 10}"):
        describe_stack_file(path)


def test_two_boxes_are_refused_with_both_sizes(tmp_path: Path) -> None:
    first = write_stack(tmp_path / "a.mrcs", noise_images(2, 8))
    second = write_stack(tmp_path / "b.mrcs", noise_images(2, 10))
    with pytest.raises(InputError, match=r"b\.mrcs: images are 10 px, those of .*a\.mrcs are 8 px"):
        stack_of(first, second)


def test_an_image_beyond_the_end_is_refused(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "a.mrcs", noise_images(3, 8))
    addresses = ImageAddresses((path,), np.zeros(1, np.int32), np.array([3]))
    with pytest.raises(InputError, match="image 4 is asked for, the file holds 3"):
        ImageStack.from_particles(particles_of(addresses))


def test_offsets_beyond_four_gibibytes(tmp_path: Path) -> None:
    """A sparse file of 5 GB: an index of 32 bits would wrap and read another image."""
    box, n = 1024, 1250
    path = write_stack(tmp_path / "huge.mrcs", np.zeros((1, box, box), np.float32))
    marker = noise_images(1, box)[0]
    with path.open("r+b") as handle:
        handle.seek(8)
        handle.write(np.int32(n).tobytes())
        handle.seek(1024 + (n - 1) * box * box * 4)
        handle.write(marker.tobytes())
    addresses = ImageAddresses((path,), np.zeros(2, np.int32), np.array([n - 1, 1], dtype=np.int64))
    images = stack_of(path, addresses=addresses).read(slice(None))
    np.testing.assert_array_equal(images[0], marker)
    assert not images[1].any()


def test_pixel_size_prefers_the_metadata_over_the_header(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "a.mrcs", noise_images(3, 8), 1.25)
    particles = particles_of(ImageAddresses.whole_files([path], [3]))
    assert ImageStack.from_particles(particles).pixel_size_angstrom == pytest.approx(1.25)
    known = replace(particles, box_size_px=16, pixel_size_angstrom=np.full(3, 3.0))
    assert ImageStack.from_particles(known).pixel_size_angstrom == pytest.approx(6.0)


def test_bad_images_are_found() -> None:
    images = noise_images(6, 8)
    images[1] = 3.0
    images[2, 4, 4] = np.nan
    images[4, 0, 0] = np.inf
    images[5, 1, 1] = -np.inf
    assert find_bad_images(images).tolist() == [False, True, True, False, True, True]


def test_prefetch_raises_the_error_of_its_thread() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise InputError("disk is gone")

    items = prefetch(failing(), 2)
    assert next(items) == 1
    with pytest.raises(InputError, match="disk is gone"):
        next(items)


def test_prefetch_stops_its_thread_when_the_reader_leaves() -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    items = prefetch(endless(), 2)
    assert [next(items), next(items)] == [0, 1]
    items.close()  # type: ignore[attr-defined]
    seen = len(taken)
    assert seen < 10
    assert len(taken) == seen
