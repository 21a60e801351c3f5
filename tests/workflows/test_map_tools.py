"""flip_hand, invert_contrast and add_psize, read back with mrcfile."""

import shutil
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.io.mrc import StackWriter, write_volume
from cryoscape.workflows.map_tools import add_psize, flip_hand, invert_contrast
from particle_files import noise_images, write_stack

BOX = 16


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "map.mrc"
    write_volume(path, noise_images(BOX, BOX), 1.5, (-12.0, 3.0, 0.5))
    return path


def read(path: Path) -> np.ndarray:
    with mrcfile.open(path) as mrc:
        return mrc.data.copy()


def test_the_other_hand_mirrors_about_the_centre_and_back(volume: Path) -> None:
    flipped = flip_hand(volume)
    assert flipped == volume.with_name("map_flipped.mrc")
    before, after = read(volume), read(flipped)
    for z in range(-7, 8):
        np.testing.assert_array_equal(after[8 + z], before[8 - z])
    with mrcfile.open(flipped) as mrc:
        assert mrc.voxel_size.x == pytest.approx(1.5)
        assert mrc.header.origin.item() == (-12.0, 3.0, 0.5)
        assert mrcfile.validate(flipped)
    np.testing.assert_array_equal(read(flip_hand(flipped, volume.with_name("back.mrc"))), before)
    legacy = flip_hand(volume, volume.with_name("legacy.mrc"), legacy=True)
    np.testing.assert_array_equal(read(legacy), before[::-1])


def test_contrast_of_a_map_and_of_a_stack(volume: Path) -> None:
    np.testing.assert_array_equal(read(invert_contrast(volume)), -read(volume))
    stack = write_stack(volume.with_name("s.mrcs"), noise_images(BOX, BOX, 1)[:5], 2.5)
    inverted = invert_contrast(stack)
    assert inverted.name == "s_inverted.mrcs"
    np.testing.assert_array_equal(read(inverted), -read(stack))
    with mrcfile.open(inverted) as mrc:
        assert mrc.voxel_size.x == pytest.approx(2.5)
        assert mrc.is_image_stack()


def test_a_cube_that_is_a_stack_stays_one(tmp_path: Path) -> None:
    with StackWriter(tmp_path / "s.mrcs", BOX, BOX, 2.0) as writer:
        writer.append(noise_images(BOX, BOX))
    with mrcfile.open(invert_contrast(tmp_path / "s.mrcs")) as mrc:
        assert mrc.is_image_stack()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stack", [True, False])
def test_only_the_pixel_size_in_the_header_changes(tmp_path: Path, order: str, stack: bool) -> None:
    source = tmp_path / ("s.mrcs" if stack else "m.mrc")
    data = (100 * noise_images(BOX, BOX)).astype(f"{order}i2")
    with mrcfile.new(source) as mrc:
        mrc.set_data(data[:6] if stack else data)
        if stack:
            mrc.set_image_stack()
        mrc.set_extended_header(np.frombuffer(b"kept as it is, and longer".ljust(80), "V80"))
        mrc.add_label("by somebody")
        mrc.voxel_size = 1.0
    target = add_psize(source, 3.25)
    assert target.stem == f"{source.stem}_psize"
    with mrcfile.open(target) as mrc:
        assert [mrc.voxel_size[axis] for axis in "xyz"] == pytest.approx([3.25] * 3)
        assert bool(mrc.is_image_stack()) is stack
    before, after = source.read_bytes(), target.read_bytes()
    assert before[:40] + before[52:] == after[:40] + after[52:]


def test_in_place_only_by_force(volume: Path) -> None:
    before = volume.read_bytes()
    with pytest.raises(InputError, match="--force"):
        add_psize(volume, 2.0, volume)
    assert volume.read_bytes() == before
    add_psize(volume, 2.0, volume, force=True)
    with mrcfile.open(volume) as mrc:
        assert mrc.voxel_size.y == pytest.approx(2.0)
    np.testing.assert_array_equal(read(volume), np.frombuffer(before[1024:], "<f4").reshape([BOX] * 3))


def test_what_is_refused(volume: Path) -> None:
    shutil.copy(volume, volume.with_name("map_flipped.mrc"))
    with pytest.raises(InputError, match="is there already"):
        flip_hand(volume)
    with pytest.raises(InputError, match=r"--Apix -1: expected a pixel size"):
        add_psize(volume, -1.0)
    with pytest.raises(InputError, match="expected an output that ends in"):
        add_psize(volume, 2.0, volume.with_name("map.txt"))
    with volume.open("r+b") as handle:
        handle.seek(1024)
        handle.write(np.float32(np.inf).tobytes())
    with pytest.raises(InputError, match="not finite"):
        invert_contrast(volume)
