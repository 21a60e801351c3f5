"""Centred transforms against closed forms and numpy; Fourier crop and pad against sums of waves."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.physics.fourier import (
    crop_images,
    crop_volume,
    fourier_2d,
    fourier_3d,
    half_plane_coefficients,
    hartley_2d,
    hartley_3d,
    hartley_from_half_plane,
    inverse_fourier_2d,
    inverse_fourier_3d,
    inverse_hartley_2d,
    inverse_hartley_3d,
)
from cryoscape.physics.grids import (
    centred_indices,
    frequency_grid_2d,
    frequency_grid_3d,
    half_plane,
    radius_grid_2d,
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def waves(box: int, coefficients: torch.Tensor, k: torch.Tensor, shape: int) -> torch.Tensor:
    """Real image on ``shape`` points of one period: sum of Re c exp(2 pi i k.x), x = 0 at the centre."""
    axis = centred_indices(shape).double() / shape
    x, y = axis[None, :, None], axis[:, None, None]
    return (coefficients * torch.exp(2j * math.pi * (k[:, 0] * x + k[:, 1] * y))).real.sum(-1)


@pytest.mark.parametrize("box", [8, 9])
def test_transform_of_a_point_is_a_wave(box: int) -> None:
    image = torch.zeros(box, box, dtype=torch.float64)
    image[box // 2 + 1, box // 2 - 3] = 2.0  # x = -3, y = 1
    k = frequency_grid_2d(box, torch.float64)
    expected = 2 * torch.exp(-2j * math.pi * (-3 * k[..., 0] + k[..., 1]) / box)
    torch.testing.assert_close(fourier_2d(image), expected)


@pytest.mark.parametrize("box", [8, 9])
def test_transform_of_a_point_in_a_volume(box: int) -> None:
    volume = torch.zeros(box, box, box, dtype=torch.float64)
    volume[box // 2 + 2, box // 2 + 1, box // 2 - 3] = 1.0
    k = frequency_grid_3d(box, torch.float64)
    phase = -3 * k[..., 0] + k[..., 1] + 2 * k[..., 2]
    torch.testing.assert_close(fourier_3d(volume), torch.exp(-2j * math.pi * phase / box))


def test_transform_of_a_gaussian_is_a_gaussian() -> None:
    box, sigma = 32, 2.0
    image = torch.exp(-(radius_grid_2d(box, torch.float64) ** 2) / (2 * sigma**2))
    k = radius_grid_2d(box, torch.float64) / box
    expected = 2 * math.pi * sigma**2 * torch.exp(-2 * math.pi**2 * sigma**2 * k**2)
    torch.testing.assert_close(fourier_2d(image), expected + 0j, atol=1e-7, rtol=0)


@settings(deadline=None, max_examples=25)
@given(box=st.integers(1, 13), seed=st.integers(0, 99))
def test_inverses_and_parseval(box: int, seed: int) -> None:
    images, volume = noise(2, box, box, seed=seed), noise(box, box, box, seed=seed)
    torch.testing.assert_close(inverse_fourier_2d(fourier_2d(images)), images)
    torch.testing.assert_close(inverse_fourier_3d(fourier_3d(volume)), volume)
    torch.testing.assert_close(inverse_hartley_2d(hartley_2d(images)), images)
    torch.testing.assert_close(inverse_hartley_3d(hartley_3d(volume)), volume)
    energy = images.square().sum()
    torch.testing.assert_close(fourier_2d(images).abs().square().sum() / box**2, energy)
    torch.testing.assert_close(hartley_2d(images).square().sum() / box**2, energy)
    torch.testing.assert_close(hartley_3d(volume).square().sum() / box**3, volume.square().sum())


@pytest.mark.parametrize("box", [6, 7])
def test_hartley_is_the_sum_with_cos_plus_sin(box: int) -> None:
    image = noise(box, box)
    x = centred_indices(box).double()
    angle = 2 * math.pi * x[:, None] * x / box
    both = angle[:, :, None, None] + angle  # ky y + kx x, axes (ky, y, kx, x)
    expected = torch.einsum("aybx,yx->ab", both.cos() + both.sin(), image)
    torch.testing.assert_close(hartley_2d(image), expected)


@pytest.mark.parametrize("box", [8, 9, 64])
def test_half_plane_coefficients_against_numpy(box: int) -> None:
    images = noise(3, box, box)
    plane = half_plane(box)
    full = np.fft.fft2(np.fft.ifftshift(images.numpy(), axes=(1, 2)))
    expected = full[:, plane.k[:, 1] % box, plane.k[:, 0] % box]
    # +D/2 is held at -D/2 (index D/2); numpy's index of kx = D/2 is the same one
    np.testing.assert_allclose(half_plane_coefficients(images, plane), expected, atol=1e-9)


def test_half_plane_of_single_precision_and_any_batch() -> None:
    images = noise(2, 3, 8, 8)
    plane = half_plane(8, 3.0)
    found = half_plane_coefficients(images.float(), plane)
    assert found.dtype == torch.complex64
    assert found.shape == (2, 3, plane.n_pixels)
    torch.testing.assert_close(
        found.to(torch.complex128), half_plane_coefficients(images, plane), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("box", [8, 9])
def test_hartley_of_the_half_plane_and_of_its_negative(box: int) -> None:
    images = noise(2, box, box)
    plane = half_plane(box, (box - 1) / 2)
    centre = box // 2
    hartley = hartley_2d(images)
    at = torch.cat([plane.k, -plane.k]) + centre
    found = hartley_from_half_plane(half_plane_coefficients(images, plane))
    torch.testing.assert_close(found, hartley[:, at[:, 1], at[:, 0]])


@settings(deadline=None, max_examples=40)
@given(old=st.integers(2, 16), new=st.integers(2, 16), seed=st.integers(0, 99))
def test_resampling_images_without_the_lost_frequencies_is_exact(old: int, new: int, seed: int) -> None:
    """Waves below both Nyquist frequencies: the same function on other points, its sum preserved."""
    below = half_plane(64, (min(old, new) - 1) / 2)
    coefficients = torch.view_as_complex(noise(below.n_pixels, 2, seed=seed))
    image, expected = 0.3 + waves(64, coefficients, below.k, old), 0.3 + waves(64, coefficients, below.k, new)
    found = crop_images(image[None], new)[0]
    torch.testing.assert_close(found, expected * (old / new) ** 2)


@settings(deadline=None, max_examples=40)
@given(old=st.integers(1, 16), new=st.integers(1, 16), seed=st.integers(0, 99))
def test_resampling_preserves_the_sum_of_images_and_the_mean_of_volumes(
    old: int, new: int, seed: int
) -> None:
    image, volume = noise(old, old, seed=seed), noise(old, old, old, seed=seed)
    torch.testing.assert_close(crop_images(image, new).sum(), image.sum())
    torch.testing.assert_close(crop_volume(volume, new).mean(), volume.mean())


@pytest.mark.parametrize("box", [8, 9])
@pytest.mark.parametrize("factor", [2, 3])
def test_padding_interpolates(box: int, factor: int) -> None:
    """The given pixels stay, Nyquist frequency and all: the centre goes to the centre."""
    image, volume = noise(box, box), noise(box, box, box)
    first = box * factor // 2 - factor * (box // 2)
    dense = crop_images(image, box * factor) * factor**2
    torch.testing.assert_close(dense[first::factor, first::factor], image)
    dense = crop_volume(volume, box * factor)
    torch.testing.assert_close(dense[first::factor, first::factor, first::factor], volume)


@settings(deadline=None, max_examples=30)
@given(box=st.integers(2, 12), more=st.integers(0, 9), seed=st.integers(0, 99))
def test_padding_then_cropping_gives_the_image_back(box: int, more: int, seed: int) -> None:
    image, volume = noise(box, box, seed=seed), noise(box, box, box, seed=seed)
    if box % 2 == 0:  # without the Nyquist frequency, which padding divides between two places
        image, volume = (
            crop(crop(x, box - 1), box) for crop, x in ((crop_images, image), (crop_volume, volume))
        )
    torch.testing.assert_close(crop_images(crop_images(image, box + more), box), image)
    torch.testing.assert_close(crop_volume(crop_volume(volume, box + more), box), volume)


def test_cropping_keeps_the_low_frequencies_and_only_them() -> None:
    image = noise(16, 16)
    large, small = fourier_2d(image), fourier_2d(crop_images(image, 8))
    torch.testing.assert_close(small[1:, 1:], large[5:12, 5:12])
    torch.testing.assert_close(crop_images(image, 16), image)
