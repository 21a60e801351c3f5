"""Centred Fourier and Hartley transforms, half-plane coefficients, Fourier crop and pad.

The forward transform is unnormalised with sign exp(-2 pi i k.x); the inverse divides by the number of pixels.
The origin of images and transforms is index n // 2.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryoscape.physics.grids import HalfPlane


def _forward(x: Tensor, n_dims: int) -> Tensor:
    dims = tuple(range(-n_dims, 0))
    shifted = torch.fft.ifftshift(x, dim=dims)
    return torch.fft.fftshift(torch.fft.fftn(shifted, dim=dims), dim=dims)


def _inverse(x: Tensor, n_dims: int) -> Tensor:
    dims = tuple(range(-n_dims, 0))
    shifted = torch.fft.ifftshift(x, dim=dims)
    return torch.fft.fftshift(torch.fft.ifftn(shifted, dim=dims), dim=dims)


def fourier_2d(images: Float[Tensor, "*batch y x"]) -> Complex[Tensor, "*batch y x"]:
    """Transform images; frequency 0 at index (D // 2, D // 2)."""
    return _forward(images, 2)


def inverse_fourier_2d(transform: Complex[Tensor, "*batch y x"]) -> Float[Tensor, "*batch y x"]:
    """Invert `fourier_2d`; the real part is returned."""
    return _inverse(transform, 2).real


def fourier_3d(volumes: Float[Tensor, "*batch z y x"]) -> Complex[Tensor, "*batch z y x"]:
    """Transform volumes; frequency 0 at index D // 2 of each axis."""
    return _forward(volumes, 3)


def inverse_fourier_3d(transform: Complex[Tensor, "*batch z y x"]) -> Float[Tensor, "*batch z y x"]:
    """Invert `fourier_3d`; the real part is returned."""
    return _inverse(transform, 3).real


def hartley_2d(images: Float[Tensor, "*batch y x"]) -> Float[Tensor, "*batch y x"]:
    """Return the centred Hartley transform H = Re F - Im F = sum f(x) cas(2 pi k.x)."""
    transform = fourier_2d(images)
    return transform.real - transform.imag


def inverse_hartley_2d(transform: Float[Tensor, "*batch y x"]) -> Float[Tensor, "*batch y x"]:
    """Invert `hartley_2d`: the transform is its own inverse up to 1 / D^2."""
    return hartley_2d(transform) / (transform.shape[-1] * transform.shape[-2])


def hartley_3d(volumes: Float[Tensor, "*batch z y x"]) -> Float[Tensor, "*batch z y x"]:
    """Return the centred Hartley transform H = Re F - Im F."""
    transform = fourier_3d(volumes)
    return transform.real - transform.imag


def inverse_hartley_3d(transform: Float[Tensor, "*batch z y x"]) -> Float[Tensor, "*batch z y x"]:
    """Invert `hartley_3d`."""
    return hartley_3d(transform) / (transform.shape[-1] * transform.shape[-2] * transform.shape[-3])


def half_plane_coefficients(
    images: Float[Tensor, "*batch y x"], plane: HalfPlane
) -> Complex[Tensor, "*batch p"]:
    """Return the Fourier coefficients of images on a half plane (origin at pixel D // 2, unnormalised).

    For an even box the Nyquist frequency +D/2 is read at -D/2, where the discrete transform holds it.
    """
    box_size = images.shape[-1]
    transform = torch.fft.rfft2(torch.fft.ifftshift(images, dim=(-2, -1)))
    k = plane.k.to(images.device)
    column, row = k[:, 0], k[:, 1] % box_size
    flat = transform.reshape(*transform.shape[:-2], -1)
    return flat.index_select(-1, row * (box_size // 2 + 1) + column)


def hartley_from_half_plane(coefficients: Complex[Tensor, "*batch p"]) -> Float[Tensor, "*batch q"]:
    """Return Hartley values H(k) = Re - Im for the half plane, then H(-k) = Re + Im, along the last axis."""
    return torch.cat([coefficients.real - coefficients.imag, coefficients.real + coefficients.imag], dim=-1)


def _resize_spectrum(transform: Tensor, new: int, n_dims: int) -> Tensor:
    """Crop or zero-pad an uncentred rfftn spectrum.

    Padding divides the Nyquist frequency of an even axis between +D/2 and -D/2, two places that were one.
    """
    old = transform.shape[-2]
    smaller = min(old, new)
    low, high = (smaller + 1) // 2, smaller // 2
    for dim in range(-n_dims, -1):
        shape = list(transform.shape)
        shape[dim] = new
        out = transform.new_zeros(shape)
        out.narrow(dim, 0, low).copy_(transform.narrow(dim, 0, low))
        if high:
            out.narrow(dim, new - high, high).copy_(transform.narrow(dim, old - high, high))
        if new > old and old % 2 == 0:
            nyquist = out.narrow(dim, new - high, 1).mul_(0.5)
            out.narrow(dim, high, 1).copy_(nyquist)
        transform = out
    columns = smaller // 2 + 1
    if new < old:
        return transform[..., :columns]
    shape = list(transform.shape)
    shape[-1] = new // 2 + 1
    out = transform.new_zeros(shape)
    out[..., :columns] = transform[..., :columns]
    if new > old and old % 2 == 0:
        out[..., columns - 1] *= 0.5
    return out


def _resize(x: Tensor, new: int, n_dims: int) -> Tensor:
    dims = tuple(range(-n_dims, 0))
    spectrum = torch.fft.rfftn(torch.fft.ifftshift(x, dim=dims), dim=dims)
    spectrum = _resize_spectrum(spectrum, new, n_dims)
    out = torch.fft.irfftn(spectrum, s=(new,) * n_dims, dim=dims)
    return torch.fft.fftshift(out, dim=dims)


def crop_images(images: Float[Tensor, "*batch y x"], new_box: int) -> Float[Tensor, "*batch v u"]:
    """Downsample (or, for a larger box, interpolate) images by cropping (padding) their Fourier transform.

    The sum of each image is preserved, so the mean grows by (D / D')^2: file-compatible with cryoDRGN's
    downsampling. The pixel size becomes pixel_size * D / D'.
    """
    return _resize(images, new_box, 2)


def crop_volume(volumes: Float[Tensor, "*batch z y x"], new_box: int) -> Float[Tensor, "*batch w v u"]:
    """Downsample or interpolate volumes by cropping or padding their Fourier transform; density is preserved.

    Unlike images, the mean (not the sum) is kept, so that map levels stay comparable between box sizes.
    """
    return _resize(volumes, new_box, 3) * (new_box / volumes.shape[-1]) ** 3
