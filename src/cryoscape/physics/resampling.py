"""Bring a map to another box and pixel size, whatever their ratio."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryoscape.physics.grids import centred_indices


def resample_volume(
    volume: Float[Tensor, "z y x"],
    pixel_size_angstrom: float,
    new_box: int,
    new_pixel_size_angstrom: float,
) -> Float[Tensor, "w v u"]:
    """Sample the band-limited density of a map on another grid; the centres n // 2 coincide.

    What lies outside the new box is cut off first, and frequencies above either Nyquist are left out. Plain
    Fourier sums, one axis at a time: exact for any ratio of pixel sizes.

    Returns
    -------
    Map (D', D', D') whose values are those of the same density.
    """
    extent = new_box * new_pixel_size_angstrom
    position = centred_indices(volume.shape[-1]).double() * pixel_size_angstrom
    frequency = centred_indices(new_box).double() / extent
    usable = (frequency.abs() <= 0.5 / pixel_size_angstrom + 1e-9) & (2 * centred_indices(new_box) > -new_box)
    target = centred_indices(new_box).double() * new_pixel_size_angstrom
    to_frequency = _waves(frequency, position, -1) * usable[:, None] * (position.abs() <= extent / 2)
    to_position = _waves(target, frequency, 1)
    # volume element over box volume makes the sum of both transforms the density again
    matrix = (to_position @ to_frequency * (pixel_size_angstrom / extent)).real.to(volume)
    return torch.einsum("zyx,wz,vy,ux->wvu", volume, matrix, matrix, matrix)


def _waves(a: Float[Tensor, " n"], b: Float[Tensor, " m"], sign: int) -> Complex[Tensor, "n m"]:
    phase = 2 * torch.pi * sign * a[:, None] * b
    return torch.polar(torch.ones_like(phase), phase)
