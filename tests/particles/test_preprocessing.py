from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from cryoscape.particles.fourier_store import PreprocessConfig
from cryoscape.particles.preprocessing import ImageStatistics, Preprocessor, background_pixels, window_of
from cryoscape.particles.threads import in_blocks, usable_cores
from cryoscape.physics.fourier import half_plane_coefficients
from cryoscape.physics.grids import half_plane
from cryoscape.physics.shifts import shift_phase
from particle_files import noise_images


@pytest.mark.parametrize("box", [2, 8, 14, 64])
@pytest.mark.parametrize("subtract", [False, True])
def test_the_same_as_the_transforms_in_physics(box: int, subtract: bool) -> None:
    """Also at the Nyquist frequency, where sign and phase are a convention."""
    images = noise_images(9, box) + np.float32(3)
    shift = np.random.default_rng(0).uniform(-0.3, 0.3, (9, 2))
    config = PreprocessConfig()
    plane = half_plane(box)
    found = Preprocessor(plane, config, ImageStatistics(2.5, subtract, 0.0))(images, shift)
    prepared = torch.from_numpy(images)
    if subtract:
        prepared = prepared - prepared[:, background_pixels(box)].mean(dim=1)[:, None, None]
    expected = half_plane_coefficients(prepared * window_of(config, box) / -2.5, plane)
    expected = expected * shift_phase(plane.k, torch.from_numpy(shift).float() * box, box)
    assert found.dtype == np.complex64
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-5 * box)


def test_threads_do_not_matter() -> None:
    images, plane = noise_images(70, 64), half_plane(64, 20.0)
    statistics = ImageStatistics(1.0, False, 0.0)
    with ThreadPoolExecutor(3) as executor:
        shared = Preprocessor(plane, PreprocessConfig(), statistics, executor)(images, None)
    np.testing.assert_array_equal(shared, Preprocessor(plane, PreprocessConfig(), statistics)(images, None))


def test_blocks_cover_everything_once() -> None:
    seen = np.zeros(1000, int)

    def work(block: slice) -> None:
        seen[block] += 1

    with ThreadPoolExecutor(2) as executor:
        in_blocks(1000, 100, work, executor)
    assert (seen == 1).all()
    in_blocks(0, 100, work, None)


def test_an_error_in_a_block_is_raised() -> None:
    def work(block: slice) -> None:
        if block.start > 50:
            raise KeyError(block.start)

    with ThreadPoolExecutor(2) as executor, pytest.raises(KeyError):
        in_blocks(1000, 100, work, executor)


def test_cores_are_bounded() -> None:
    assert usable_cores(1) == 1
    assert 1 <= usable_cores() <= 4096
