"""Particle images as an eye can judge them: low-passed, and on one scale of grey."""

import numpy as np

from cryoscape.typing import Images


def low_pass_images(images: Images, cycles_per_pixel: float) -> Images:
    """Images without frequencies above a limit, which falls off as a cosine over a fifth of it.

    Parameters
    ----------
    images : (n, y, x)
    cycles_per_pixel : pixel size over resolution; from 0.5 on nothing is cut but the corners.
    """
    y = np.fft.fftfreq(images.shape[-2])[:, None]
    x = np.fft.rfftfreq(images.shape[-1])[None, :]
    beyond = (np.hypot(y, x) / cycles_per_pixel - 0.9) / 0.2
    weight = 0.5 + 0.5 * np.cos(np.pi * np.clip(beyond, 0, 1))
    cut = np.fft.irfft2(np.fft.rfft2(images) * weight, s=images.shape[-2:])
    return np.asarray(cut, dtype=np.float32)


def grey_levels(images: Images) -> Images:
    """Each image from its 1st percentile, 0, to its 99th, 1; an image without contrast is 0.5."""
    low, high = np.percentile(images, [1, 99], axis=(-2, -1), keepdims=True)
    span = high - low
    scaled = np.clip((images - low) / np.where(span > 0, span, 1), 0, 1)
    return np.asarray(np.where(span > 0, scaled, 0.5), dtype=np.float32)
