"""Shifts move content by +t, (x, y), exactly as np.roll does for whole pixels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.physics.fourier import crop_images, half_plane_coefficients
from cryoscape.physics.grids import half_plane
from cryoscape.physics.shifts import shift_images, shift_phase

shifts = st.tuples(st.floats(-20, 20), st.floats(-20, 20))


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def below_nyquist(box: int) -> torch.Tensor:
    odd = box - 1 + box % 2
    return crop_images(noise(2, odd, odd), box)


def double(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@settings(deadline=None, max_examples=40)
@given(box=st.integers(2, 12), x=st.integers(-15, 15), y=st.integers(-15, 15))
def test_whole_pixels_are_rolls(box: int, x: int, y: int) -> None:
    images = noise(2, box, box)
    found = shift_images(images, double([[x, y], [y, x]]))
    np.testing.assert_allclose(found[0], np.roll(images[0], (y, x), axis=(0, 1)), atol=1e-12)
    np.testing.assert_allclose(found[1], np.roll(images[1], (x, y), axis=(0, 1)), atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(box=st.integers(3, 12), first=shifts, second=shifts)
def test_shifts_add_up(box: int, first: tuple[float, float], second: tuple[float, float]) -> None:
    images, a, b = below_nyquist(box), double([first] * 2), double([second, first])
    torch.testing.assert_close(shift_images(shift_images(images, a), b), shift_images(images, a + b))
    torch.testing.assert_close(shift_images(shift_images(images, a), -a), images)
    phase = [shift_phase(half_plane(box).k, t, box) for t in (a, b, a + b)]
    torch.testing.assert_close(phase[0] * phase[1], phase[2])


@pytest.mark.parametrize("box", [16, 17])
def test_a_wave_moves_by_part_of_a_pixel(box: int) -> None:
    x = torch.arange(box, dtype=torch.float64)
    image = torch.cos(2 * math.pi * (3 * x[None, :] - 2 * x[:, None]) / box)
    moved = torch.cos(2 * math.pi * (3 * (x[None, :] - 0.3) - 2 * (x[:, None] - 1.6)) / box)
    torch.testing.assert_close(shift_images(image, double([0.3, 1.6])), moved)


@pytest.mark.parametrize("box", [8, 9])
def test_phases_are_the_transforms_of_moved_images(box: int) -> None:
    images, shift = below_nyquist(box), double([[0.7, -1.2], [3.0, 2.25]])
    plane = half_plane(box, (box - 1) / 2)
    found = half_plane_coefficients(images, plane) * shift_phase(plane.k, shift, box)
    torch.testing.assert_close(found, half_plane_coefficients(shift_images(images, shift), plane))


def test_a_wave_at_nyquist_stays_real_and_shrinks_by_the_cosine() -> None:
    """Half a pixel on, its samples are the zeros of the wave; a whole pixel on, its negative."""
    rows = (-1.0) ** torch.arange(8, dtype=torch.float64)[:, None].expand(8, 8)
    for image, shift in ((rows, double([0, 1])), (rows.T, double([1, 0]))):
        for t, factor in ((0.5, 0.0), (1.0, -1.0), (1 / 3, 0.5)):
            torch.testing.assert_close(shift_images(image, t * shift), factor * image, atol=1e-12, rtol=0)


def test_single_precision_stays_single() -> None:
    images = noise(3, 8, 8).float()
    found = shift_images(images, torch.tensor([[1.0, 0.0]] * 3))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, images.roll(1, dims=-1))
