import numpy as np
import pytest

from cryoscape.analysis.maps import MapOptions, check_map_options, finish_map, mirror_z
from cryoscape.errors import InputError


def spot(box, z, y, x):
    volume = np.zeros((box, box, box), dtype=np.float32)
    volume[z, y, x] = 1.0
    return volume


@pytest.mark.parametrize("box", [8, 9])
def test_flip_mirrors_about_the_centre_voxel(box):
    c = box // 2
    np.testing.assert_array_equal(mirror_z(spot(box, c, 2, 3)), spot(box, c, 2, 3))
    np.testing.assert_array_equal(mirror_z(spot(box, c + 2, 2, 3)), spot(box, c - 2, 2, 3))
    random = np.random.default_rng(0).normal(size=(box,) * 3).astype(np.float32)
    np.testing.assert_array_equal(mirror_z(mirror_z(random)), random)


def test_legacy_flip_reverses_the_slices():
    made = finish_map(spot(8, 6, 2, 3), 1.0, MapOptions(flip_legacy=True))
    np.testing.assert_array_equal(made.volume, spot(8, 1, 2, 3))


def test_downsampling_keeps_sum_place_and_shape_of_a_wave():
    box, small = 16, 8
    x = np.arange(box) - box // 2
    wave = 1 + np.cos(2 * np.pi * 2 * x / box)
    made = finish_map(np.broadcast_to(wave, (box,) * 3).astype(np.float32), 1.5, MapOptions(downsample=small))
    assert made.pixel_size_angstrom == pytest.approx(3.0)
    expected = (1 + np.cos(2 * np.pi * 2 * (np.arange(small) - small // 2) / small)) * (box / small) ** 3
    np.testing.assert_allclose(made.volume, np.broadcast_to(expected, (small,) * 3), atol=1e-4)


def test_crop_keeps_the_centre_and_states_the_origin():
    made = finish_map(spot(16, 8, 8, 8), 2.0, MapOptions(crop=6))
    np.testing.assert_array_equal(made.volume, spot(6, 3, 3, 3))
    assert made.origin_angstrom == (10.0, 10.0, 10.0)


def test_low_pass_keeps_slow_and_removes_fast_waves():
    box = 16
    x = np.arange(box)
    slow, fast = np.cos(2 * np.pi * 2 * x / box), np.cos(2 * np.pi * 6 * x / box)
    volume = np.broadcast_to(slow + fast, (box,) * 3).astype(np.float32)
    # 1 A pixels: the slow wave has a period of 8 A, the fast one of 2.7 A
    made = finish_map(volume, 1.0, MapOptions(low_pass_angstrom=4.0, invert=True))
    np.testing.assert_allclose(made.volume, -np.broadcast_to(slow, (box,) * 3), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (MapOptions(downsample=65), "even box"),
        (MapOptions(downsample=128), "at most 64"),
        (MapOptions(crop=40, downsample=32), "2 to 32"),
        (MapOptions(flip=True, flip_legacy=True), "exclude"),
        (MapOptions(low_pass_angstrom=0.0), "above 0"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        check_map_options(options, 64, 1.0)
