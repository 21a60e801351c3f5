from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.particles.resampling import shrink_images
from cryoscape.physics.fourier import crop_images
from particle_files import noise_images


@settings(max_examples=30, deadline=None)
@given(half=st.integers(1, 12), smaller=st.integers(0, 11), n=st.integers(0, 5))
def test_the_same_as_the_transform_in_physics(half: int, smaller: int, n: int) -> None:
    box, new = 2 * half, 2 * max(1, half - smaller)
    images = noise_images(n, box)
    expected = crop_images(torch.from_numpy(images), new).numpy() if n else np.zeros((0, new, new))
    found = shrink_images(images, new)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), images.sum(axis=(1, 2)), atol=1e-3)


def test_threads_do_not_matter() -> None:
    images = noise_images(75, 96)
    with ThreadPoolExecutor(3) as executor:
        np.testing.assert_array_equal(shrink_images(images, 32, executor), shrink_images(images, 32))


def test_views_and_integers_are_taken() -> None:
    images = (noise_images(4, 9) * 10).astype(np.int16)[:, :8, :8]
    np.testing.assert_allclose(shrink_images(images, 4), shrink_images(images.astype(np.float32), 4))


def test_an_image_with_nan_spoils_only_itself() -> None:
    images = noise_images(5, 16)
    images[2, 3, 3] = np.nan
    assert np.isnan(shrink_images(images, 8)).all(axis=(1, 2)).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(("box", "new"), [(9, 4), (8, 3), (8, 10)])
def test_odd_or_larger_boxes_are_refused(box: int, new: int) -> None:
    with pytest.raises(ValueError, match="cannot shrink"):
        shrink_images(noise_images(2, box), new)
