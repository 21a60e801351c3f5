"""Reading against mrcfile and files made by hand; writing read back by mrcfile."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.io.mrc import StackWriter, open_mrc, read_mrc_header, read_volume, write_volume
from particle_files import noise_images, write_map, write_stack

MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


def values(dtype: str, shape: tuple[int, int, int]) -> np.ndarray:
    return (
        np.random.default_rng(0).uniform(-100, 100, shape) * (dtype != "u2") + np.arange(shape[2])
    ).astype(dtype)


def by_hand(
    path: Path,
    data: np.ndarray,
    mode: int,
    order: str = "<",
    extended: int = 0,
    stamp: bytes | None = None,
    edit: Callable[[bytearray], None] | None = None,
) -> Path:
    """An MRC file put together byte by byte, at the offsets of the MRC2014 table."""
    header = bytearray(1024)

    def put(word: int, value: object, kind: str) -> None:
        raw = np.array(value, dtype=f"{order}{kind}").tobytes()
        header[4 * (word - 1) : 4 * (word - 1) + len(raw)] = raw

    put(1, data.shape[::-1], "i4")
    put(4, mode, "i4")
    put(8, (data.shape[2], data.shape[1], 1), "i4")
    put(11, (data.shape[2] * 1.5, data.shape[1] * 1.5, 1.5), "f4")
    put(24, extended, "i4")
    header[208:212] = b"MAP "
    default = b"\x44\x44\x00\x00" if order == "<" else b"\x11\x11\x00\x00"
    header[212:216] = default if stamp is None else stamp
    if edit is not None:
        edit(header)
    path.write_bytes(
        bytes(header) + b"\xaa" * extended + data.astype(data.dtype.newbyteorder(order)).tobytes()
    )
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extended", [0, 128, 15360])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_in_both_orders_behind_any_header(
    tmp_path: Path, mode: int, extended: int, order: str
) -> None:
    data = values(MODES[mode], (3, 6, 6))
    path = by_hand(tmp_path / "a.mrcs", data, mode, order, extended)
    header = read_mrc_header(path)
    assert (header.n_x, header.n_y, header.n_z, header.mode) == (6, 6, 3, mode)
    assert header.data_offset == 1024 + extended
    assert header.pixel_size_angstrom == pytest.approx(1.5)
    np.testing.assert_array_equal(open_mrc(path), data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mrcfile.open(path, permissive=True) as mrc:
            np.testing.assert_array_equal(mrc.data, data)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stamp", [b"\0\0\0\0", b"\x44\x41\0\0", b"\x11\x11\0\0", b"??\0\0"])
def test_a_machine_stamp_that_is_missing_or_wrong(tmp_path: Path, stamp: bytes, order: str) -> None:
    data = values("f4", (3, 6, 6))
    np.testing.assert_array_equal(open_mrc(by_hand(tmp_path / "a.mrc", data, 2, order, stamp=stamp)), data)


def test_bytes_of_imod_may_be_unsigned(tmp_path: Path) -> None:
    data = np.arange(108, dtype="u1").reshape(3, 6, 6) + 100

    def imod(flags: int) -> Callable[[bytearray], None]:
        def edit(header: bytearray) -> None:
            header[152:160] = np.array([1146047817, flags], "<i4").tobytes()

        return edit

    found = open_mrc(by_hand(tmp_path / "a.mrc", data, 0, edit=imod(0)))
    np.testing.assert_array_equal(found, data)
    found = open_mrc(by_hand(tmp_path / "b.mrc", data, 0, edit=imod(1)))
    np.testing.assert_array_equal(found, data.view("i1"))


@pytest.mark.parametrize("suffix", [".mrc", ".mrcs"])
def test_the_header_and_not_the_suffix_tells_stack_from_volume(tmp_path: Path, suffix: str) -> None:
    stack = write_stack(tmp_path / f"stack{suffix}", noise_images(3, 8))
    square = write_stack(tmp_path / f"square{suffix}", noise_images(8, 8))
    volume = write_map(tmp_path / f"volume{suffix}", noise_images(8, 8))
    for path, is_stack in ((stack, True), (square, True), (volume, False)):
        assert read_mrc_header(path).is_stack is is_stack
    assert open_mrc(square, as_="stack").shape == (8, 8, 8)
    with pytest.raises(InputError, match=r"is a 3D map .8 x 8 x 8., not a stack"):
        open_mrc(volume, as_="stack")
    with pytest.raises(InputError, match=r"is a stack of images .3 x 8 x 8., not a 3D map"):
        read_volume(stack)


def test_a_map_cut_out_of_a_box_is_read(tmp_path: Path) -> None:
    data = noise_images(4, 8)
    volume = read_volume(write_map(tmp_path / "a.mrc", data, 2.0))
    np.testing.assert_array_equal(volume.data, data)


def test_a_truncated_file_tells_both_sizes(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "a.mrcs", noise_images(5, 8))
    whole = path.stat().st_size
    os.truncate(path, whole - 100)
    with pytest.raises(
        InputError, match=rf"truncated.*5 sections of 8 x 8 .{whole} bytes.*has {whole - 100} bytes"
    ):
        read_mrc_header(path)


def test_bytes_after_the_data_are_no_fault(tmp_path: Path) -> None:
    data = noise_images(2, 8)
    path = write_stack(tmp_path / "a.mrcs", data)
    with path.open("ab") as handle:
        handle.write(b"more")
    np.testing.assert_array_equal(open_mrc(path), data)


def test_offsets_beyond_32_bits(tmp_path: Path) -> None:
    """An image that starts behind 2 and 4 GiB of a sparse file."""
    box, n = 512, 5000
    last = noise_images(1, box)[0]
    path = by_hand(tmp_path / "a.mrcs", np.zeros((0, box, box), "f4"), 2)
    with path.open("r+b") as handle:
        handle.write(np.array([box, box, n], "<i4").tobytes())
        handle.seek(1024 + (n - 1) * box * box * 4)
        handle.write(last.tobytes())
    assert path.stat().st_size > 2**32
    header = read_mrc_header(path)
    assert header.n_z == n
    images = open_mrc(path)
    np.testing.assert_array_equal(images[-1], last)
    assert not images[2**31 // (box * box * 4) + 1].any()


@pytest.mark.parametrize(("mode", "named"), [(3, "complex 16-bit"), (4, "complex"), (101, "4-bit")])
def test_numbers_not_supported_are_named(tmp_path: Path, mode: int, named: str) -> None:
    with pytest.raises(InputError, match=f"{named}.*mode {mode}.*convert"):
        read_mrc_header(by_hand(tmp_path / "a.mrc", values("f4", (2, 6, 6)), mode))


@pytest.mark.parametrize("content", [b"", b"data_\n", bytes(1024), b"\xff" * 2000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mrc").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mrc is not an MRC file"):
        read_mrc_header(tmp_path / "a.mrc")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*a\.mrc"):
        open_mrc(tmp_path / "a.mrc")


def test_pixel_size_is_cell_over_sampling(tmp_path: Path) -> None:
    """Not over columns: the two differ in a map cut out of a larger cell."""

    def edit(sampling: int, cell: float) -> Callable[[bytearray], None]:
        def change(header: bytearray) -> None:
            header[28:32], header[40:44] = np.int32(sampling).tobytes(), np.float32(cell).tobytes()

        return change

    data = values("f4", (2, 6, 6))
    for sampling, cell, expected in ((12, 18, 1.5), (0, 18, 3.0), (6, 0, 0.0), (6, np.nan, 0.0)):
        path = by_hand(tmp_path / "a.mrc", data, 2, edit=edit(sampling, cell))
        assert read_mrc_header(path).pixel_size_angstrom == pytest.approx(expected)


def test_data_is_mapped_read_only(tmp_path: Path) -> None:
    images = open_mrc(write_stack(tmp_path / "a.mrcs", noise_images(2, 8)))
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_a_written_volume_is_valid_and_comes_back(tmp_path: Path) -> None:
    volume = noise_images(6, 6).astype(np.float64)
    write_volume(tmp_path / "a.mrc", volume, 1.7, (1.0, -2.0, 3.5))
    assert mrcfile.validate(tmp_path / "a.mrc")
    with mrcfile.open(tmp_path / "a.mrc") as mrc:
        np.testing.assert_array_equal(mrc.data, volume.astype(np.float32))
        assert mrc.is_volume()
        assert mrc.voxel_size.x == pytest.approx(1.7)
        assert mrc.header.origin.tolist() == (1.0, -2.0, 3.5)
        assert mrc.header.rms == pytest.approx(volume.std(), rel=1e-5)
    found = read_volume(tmp_path / "a.mrc")
    assert found.data.dtype == np.float32
    assert (found.pixel_size_angstrom, found.origin_angstrom) == (pytest.approx(1.7), (1.0, -2.0, 3.5))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 10), max_size=4), half=st.booleans())
def test_a_streamed_stack_is_valid_however_it_is_cut(tmp_path: Path, cuts: list[int], half: bool) -> None:
    images = noise_images(10, 8) * 20
    path = tmp_path / "a.mrcs"
    with StackWriter(path, 10, 8, 1.25, "float16" if half else "float32") as writer:
        for block in np.split(images, sorted(cuts)):
            writer.append(block)
    assert half or mrcfile.validate(path)  # its statistics of half precision overflow
    with mrcfile.open(path) as mrc:
        np.testing.assert_array_equal(mrc.data, images.astype(np.float16 if half else np.float32))
        assert mrc.is_image_stack()
        assert mrc.voxel_size.x == pytest.approx(1.25)
        assert mrc.header.dmin == pytest.approx(images.min(), rel=1e-3)
        assert mrc.header.dmean == pytest.approx(images.mean(), abs=0.01)
        assert mrc.header.rms == pytest.approx(images.std(), rel=1e-3)


@pytest.mark.parametrize("n", [1, 3])
def test_a_stack_of_another_length_does_not_appear(tmp_path: Path, n: int) -> None:
    def write() -> None:
        with StackWriter(tmp_path / "a.mrcs", 2, 8, 1.0) as writer:
            writer.append(noise_images(n, 8))

    with pytest.raises(ValueError, match="stack of"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_stack_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "a.mrcs", noise_images(2, 8))
    before = path.read_bytes()

    def write() -> None:
        with StackWriter(path, 2, 8, 1.0) as writer:
            writer.append(noise_images(1, 8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_real_files(shared_data: Path) -> None:
    folder = shared_data / "particles"
    for name, is_stack in (
        ("empiar_10076_7.mrc", True),
        ("relion31.mrcs", True),
        ("toymodel_small_nocenter.mrc", False),
    ):
        assert read_mrc_header(folder / name).is_stack is is_stack
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mrc = mrcfile.open(folder / name, permissive=True)
        with mrc:
            np.testing.assert_array_equal(open_mrc(folder / name), mrc.data)
