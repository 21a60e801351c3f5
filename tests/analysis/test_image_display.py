"""Smoothing for the eye: waves below the limit stay, waves above go."""

import numpy as np

from cryoscape.analysis.image_display import grey_levels, low_pass_images


def wave(cycles: int) -> np.ndarray:
    return np.cos(2 * np.pi * cycles * np.arange(32) / 32)[None, None, :] * np.ones((1, 32, 1))


def test_waves_below_the_limit_stay_and_those_above_go() -> None:
    image = (3 + wave(4) + wave(12)).astype(np.float32)
    np.testing.assert_allclose(low_pass_images(image, 8 / 32), 3 + wave(4), atol=1e-5)
    np.testing.assert_allclose(low_pass_images(image, 1.0), image, atol=1e-5)


def test_grey_runs_from_dark_to_light_in_each_image() -> None:
    images = np.stack([np.linspace(0, 1, 256).reshape(16, 16), np.linspace(5, 3, 256).reshape(16, 16)])
    grey = grey_levels(images)
    assert grey.min() == 0
    assert grey.max() == 1
    np.testing.assert_allclose(grey[0] + grey[1], 1, atol=1e-6)
    assert (grey_levels(np.full((1, 4, 4), 7.0)) == 0.5).all()
