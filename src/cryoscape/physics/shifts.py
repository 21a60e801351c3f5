"""In-plane shifts as Fourier phases."""

import math

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryoscape.physics.grids import frequency_grid_2d


def shift_phase(
    k: Int[Tensor, "p 2"] | Float[Tensor, "p 2"], shift_px: Float[Tensor, "*batch 2"], box_size: int
) -> Complex[Tensor, "*batch p"]:
    """Return exp(-2 pi i k.t / D), which moves image content by +t = (x, y) pixels.

    Parameters
    ----------
    k
        Frequencies (kx, ky) in cycles per box.
    shift_px
        Shifts (x, y) in pixels.
    box_size
        Side of the image in pixels, D.
    """
    angle = shift_px @ k.to(shift_px.dtype).T * (-2 * math.pi / box_size)
    return torch.polar(torch.ones_like(angle), angle)


def shift_images(
    images: Float[Tensor, "*batch y x"], shift_px: Float[Tensor, "*batch 2"]
) -> Float[Tensor, "*batch y x"]:
    """Move image content by +t = (x, y) pixels, periodically; sub-pixel shifts by Fourier interpolation."""
    box_size = images.shape[-1]
    k = frequency_grid_2d(box_size, images.dtype, images.device)
    k = torch.fft.ifftshift(k, dim=(0, 1))[:, : box_size // 2 + 1].reshape(-1, 2)
    spectrum = torch.fft.rfft2(images)
    k = k.clone()
    k[:, 0] = k[:, 0].abs()  # the Nyquist column sits at -D/2 on the centred axis
    phase = shift_phase(k, shift_px, box_size).reshape(spectrum.shape)
    return torch.fft.irfft2(spectrum * phase, s=images.shape[-2:])
