"""Noise variance of images: from known noise, with and without a window."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscape.engines.noise import pixel_shells, residual_power, shell_means, total_power, window_power
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.metadata import Particles
from cryoscape.particles.preprocessing import ImageStatistics, Preprocessor, window_of
from cryoscape.physics.grids import half_plane

BOX, N = 24, 400


def store_of(images: np.ndarray, window: bool) -> FourierStore:
    """Raw images as the programme prepares them."""
    plane = half_plane(BOX)
    config = PreprocessConfig(window=window)
    coefficients = Preprocessor(plane, config, ImageStatistics(1.0, False, 0.0))(images, None)
    n = len(images)
    particles = Particles(None, np.arange(n), None, None, None, None, Path("noise.mrcs"), BOX, n)
    return FourierStore(plane, torch.view_as_real(torch.from_numpy(coefficients)), 1.0, particles, config)


def white(sigma: float, n: int = N) -> np.ndarray:
    return (sigma * np.random.default_rng(0).standard_normal((n, BOX, BOX))).astype(np.float32)


@pytest.mark.parametrize("window", [False, True])
def test_white_noise_has_the_variance_of_its_pixels_times_their_number(window: bool) -> None:
    """The windowed coefficients have less, by the mean square of the window, which is made up for."""
    store = store_of(white(0.7), window)
    expected = 0.7**2 * BOX**2
    np.testing.assert_allclose(total_power(store)[2:], expected, rtol=0.06)
    raw = float(store.batch(torch.arange(N)).abs().square().mean())
    assert raw == pytest.approx(expected * window_power(store), rel=0.02)
    assert window_power(store) == pytest.approx(0.56 if window else 1.0, abs=0.1)


def test_the_power_of_the_window_is_its_mean_square() -> None:
    store = store_of(white(1.0, 4), window=True)
    window = window_of(store.config, BOX).double().numpy()
    assert window_power(store) == pytest.approx((window**2).mean())


def test_coloured_noise_is_told_shell_by_shell() -> None:
    noise = torch.fft.rfft2(torch.from_numpy(white(1.0)))
    axis = torch.fft.fftfreq(BOX, 1 / BOX)
    radius = (axis[:, None] ** 2 + axis[: BOX // 2 + 1].abs() ** 2).sqrt()
    images = torch.fft.irfft2(noise / (1 + radius / 4), s=(BOX, BOX)).numpy()
    found = total_power(store_of(images, window=False))
    shells = np.arange(2, BOX // 2)
    np.testing.assert_allclose(found[2:-1], BOX**2 / (1 + shells / 4) ** 2, rtol=0.1)


def test_shells_are_rounded_radii_and_their_means_plain_averages() -> None:
    store = store_of(white(1.0, 4), window=False)
    shells = pixel_shells(store)
    k = store.plane.k.double()
    assert shells.tolist() == [round(float(r)) for r in (k**2).sum(1).sqrt()]
    values = torch.rand(len(shells), generator=torch.Generator().manual_seed(0))
    found = shell_means(values, shells)
    for s in range(1, BOX // 2 + 1):
        assert float(found[s]) == pytest.approx(float(values[shells == s].mean()), rel=1e-5)
    assert found[0] == found[1]


def test_the_total_power_of_a_sample_is_near_that_of_all() -> None:
    store = store_of(white(1.0), window=False)
    torch.testing.assert_close(total_power(store, 100)[3:], total_power(store)[3:], rtol=0.2, atol=0)


def random_slices(n: int, pixels: int = 7, maps: int = 3):
    generator = torch.Generator().manual_seed(1)
    shape = (n, pixels, maps)
    return torch.complex(torch.randn(shape, generator=generator), torch.randn(shape, generator=generator))


def test_residuals_of_known_latents_are_the_noise() -> None:
    """For exact latents tt = t t^T, and the residual power is |image - slices t|^2."""
    n = 3000
    slices = random_slices(n)
    generator = torch.Generator().manual_seed(2)
    t = torch.randn(n, 3, generator=generator)
    variance = torch.tensor([0.5, 1, 2, 3, 4, 5, 6.0])
    noise = torch.complex(*torch.randn(2, n, 7, generator=generator)) * (variance / 2).sqrt()
    images = torch.einsum("bpn,bn->bp", slices, t + 0j) + noise
    found = residual_power(images, slices, t, t[:, :, None] * t[:, None])
    torch.testing.assert_close(found, noise.abs().square().mean(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found, variance, rtol=0.1)


def test_what_is_uncertain_of_latents_counts_as_residual() -> None:
    """The mean over draws of x ~ (t, tt - t t^T) of |image - slices x|^2, by drawing."""
    slices, draws = random_slices(2), 40000
    generator = torch.Generator().manual_seed(3)
    t = torch.randn(2, 3, generator=generator)
    root = torch.randn(2, 3, 3, generator=generator)
    x = t + torch.einsum("bij,dbj->dbi", root, torch.randn(draws, 2, 3, generator=generator))
    images = torch.complex(*torch.randn(2, 2, 7, generator=generator))
    drawn = (images - torch.einsum("bpn,dbn->dbp", slices, x + 0j)).abs().square().mean((0, 1))
    tt = t[:, :, None] * t[:, None] + root @ root.transpose(1, 2)
    torch.testing.assert_close(residual_power(images, slices, t, tt), drawn, rtol=0.03, atol=0.1)
