"""Shrink blocks of images on several processor cores."""

from concurrent.futures import Executor

import numpy as np
import scipy.fft

from cryoscape.particles.threads import in_blocks


def shrink_images(images: np.ndarray, box_size: int, executor: Executor | None = None) -> np.ndarray:
    """Crop the Fourier transforms of images, as `physics.fourier.crop_images` does, several times as fast.

    The sum of each image is preserved. Columns that will be cropped are left out of the second transform, and
    as both boxes are even, moving the origin to a corner and back cancels.

    Parameters
    ----------
    images
        (n, D, D) real, D even.
    box_size
        New side D', even and at most D.
    executor
        Threads to share the work; default the calling one.

    Returns
    -------
    (n, D', D') float32
    """
    old = images.shape[-1]
    if old % 2 or box_size % 2 or box_size > old:
        raise ValueError(f"cannot shrink images of {old} px to {box_size} px: expected even, smaller boxes")
    small = np.empty((len(images), box_size, box_size), dtype=np.float32)

    def shrink(block: slice) -> None:
        small[block] = _shrink_block(images[block], box_size)

    in_blocks(len(images), old, shrink, executor)
    return small


def _shrink_block(images: np.ndarray, box_size: int) -> np.ndarray:
    half = box_size // 2
    rows = scipy.fft.rfft(images.astype(np.float32, copy=False), axis=-1)[..., : half + 1]
    columns = scipy.fft.fft(rows, axis=-2)
    kept = np.concatenate([columns[:, :half], columns[:, images.shape[-1] - half :]], axis=-2)
    kept = scipy.fft.ifft(kept, axis=-2, overwrite_x=True)
    return scipy.fft.irfft(kept, n=box_size, axis=-1)
