"""The half plane holds each pair of frequencies once, sorted; grids are centred at n // 2."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cryoscape.physics.grids import (
    centred_indices,
    flip_hand,
    frequency_grid_2d,
    frequency_grid_3d,
    half_plane,
    radius_grid_2d,
    radius_grid_3d,
    shell_index_3d,
)

boxes = st.integers(1, 41)


def as_set(k: torch.Tensor) -> set[tuple[int, int]]:
    return {(int(x), int(y)) for x, y in k}


@settings(deadline=None, max_examples=40)
@example(box=2, fraction=1 - 2e-16)
@given(box=boxes, fraction=st.floats(0, 1))
def test_half_plane_its_negative_and_the_origin_are_the_disc(box: int, fraction: float) -> None:
    radius = fraction * box / 2
    plane = half_plane(box, radius)
    reach = range(-(box // 2), box // 2 + 1)
    disc = {(x, y) for x in reach for y in reach if x * x + y * y <= radius**2 + 1e-6}
    half, opposite = as_set(plane.k), as_set(-plane.k)
    assert len(half) == plane.n_pixels
    assert not half & opposite
    assert half | opposite | {(0, 0)} == disc


@settings(deadline=None, max_examples=40)
@given(box=boxes, limit=st.floats(0, 30))
def test_a_lower_resolution_is_a_prefix(box: int, limit: float) -> None:
    plane = half_plane(box)
    lower = plane.prefix(limit)
    assert (plane.radius.diff() >= 0).all()
    torch.testing.assert_close(plane.radius, plane.k.float().norm(dim=1))
    assert lower.n_pixels == plane.count_within(limit) == int((plane.radius <= limit).sum())
    assert torch.equal(lower.k, plane.k[: lower.n_pixels])
    assert lower.box_size == box


@pytest.mark.parametrize(
    ("box", "n"), [(64, 1604), (4, 6), (5, 10), (1, 0)]
)  # 4: (0,1) (1,0) (1,1) (1,-1) (2,0) (0,2); 5: these and (1,2) (2,1) (1,-2) (2,-1), as 5 < 2.5^2
def test_known_counts(box: int, n: int) -> None:
    assert half_plane(box).n_pixels == n


def test_order_of_equal_radii_does_not_depend_on_the_largest_radius() -> None:
    plane = half_plane(64)
    for radius in (5.0, 16.0, 31.5):
        assert torch.equal(half_plane(64, radius).k, plane.prefix(radius).k)


def test_moving_to_a_device_keeps_everything() -> None:
    plane = half_plane(8)
    moved = plane.to("meta")
    assert moved.k.device.type == moved.radius.device.type == "meta"
    assert (moved.box_size, moved.n_pixels) == (8, plane.n_pixels)


@pytest.mark.parametrize("n", [1, 6, 7])
def test_grids_against_numpy(n: int) -> None:
    axis = np.fft.fftshift(np.fft.fftfreq(n)) * n
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    np.testing.assert_array_equal(centred_indices(n), axis)
    np.testing.assert_array_equal(frequency_grid_3d(n), np.stack([x, y, z], axis=-1))
    np.testing.assert_array_equal(frequency_grid_2d(n), np.stack([x[0], y[0]], axis=-1))
    np.testing.assert_allclose(radius_grid_3d(n), np.sqrt(x**2 + y**2 + z**2), rtol=1e-6)
    np.testing.assert_allclose(radius_grid_2d(n), np.hypot(x[0], y[0]), rtol=1e-6)


def test_shells_are_rounded_radii() -> None:
    shells = shell_index_3d(8)
    assert shells[4, 4, 4] == 0
    assert shells[4, 5, 5] == 1  # 1.41
    assert shells[5, 5, 5] == 2  # 1.73
    assert shells[4, 4, 0] == 4
    assert shells[0, 0, 0] == 7  # 6.93


@pytest.mark.parametrize("box", [6, 7])
def test_flip_hand_mirrors_z_about_the_centre(box: int) -> None:
    volume = torch.randn(2, box, box, box, generator=torch.Generator().manual_seed(0))
    flipped = flip_hand(volume)
    centre = box // 2
    for dz in range(-((box - 1) // 2), (box - 1) // 2 + 1):
        assert torch.equal(flipped[:, centre + dz], volume[:, centre - dz])
    assert torch.equal(flip_hand(flipped), volume)
    assert torch.equal(flip_hand(volume, legacy=True), volume.flip(1))
