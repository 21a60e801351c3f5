import numpy as np
import pytest
import torch

from cryoscape.physics.grids import centred_indices, half_plane
from cryoscape.physics.rotations import random_rotations
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.volume_grid import grid_to_volume, volume_to_grid


def noise_volume(box: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(box, box, box, dtype=dtype, generator=torch.Generator().manual_seed(box))


def transform_at(volume: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Plain sum over voxels: F(q) for q (M, 3) as (x, y, z), cycles per box."""
    box = volume.shape[-1]
    axis = centred_indices(box).double()
    waves = [torch.exp(-2j * np.pi * q[:, i, None] * axis / box) for i in range(3)]
    return torch.einsum("zyx,mx,my,mz->m", volume.to(torch.complex128), *waves)


@pytest.mark.parametrize(("box", "oversampling"), [(8, 1), (8, 2), (7, 2), (6, 3)])
def test_each_voxel_holds_the_transform_at_its_frequency(box: int, oversampling: int) -> None:
    volume = noise_volume(box)
    grid = FourierGrid(box // 2, oversampling)
    values = torch.view_as_complex(volume_to_grid(volume, grid, correct_gridding=False)).view(grid.shape)
    both = torch.arange(-grid.half, grid.half + 1)
    z, y, x = torch.meshgrid(both, both, both[grid.half :], indexing="ij")
    q = torch.stack([x, y, z], dim=-1).reshape(-1, 3).double() / oversampling
    torch.testing.assert_close(values.reshape(-1), transform_at(volume, q), atol=1e-9, rtol=0)


def test_there_and_back() -> None:
    volume = noise_volume(7)
    grid = FourierGrid(7, 3)  # holds every frequency of the transform padded to 21
    values = volume_to_grid(volume, grid, correct_gridding=False)
    torch.testing.assert_close(grid_to_volume(values, grid, 7, False), volume, atol=1e-12, rtol=0)


def test_a_map_known_to_lie_in_a_region_needs_no_more_than_that() -> None:
    grid, region = FourierGrid(7, 3), (slice(1, 5), slice(2, 7), slice(0, 3))
    volume = torch.zeros(7, 7, 7, dtype=torch.float64)
    volume[region] = noise_volume(7)[region]
    values = volume_to_grid(volume, grid, False)
    torch.testing.assert_close(volume_to_grid(noise_volume(7), grid, False, region), values)
    torch.testing.assert_close(grid_to_volume(values, grid, 7, False, region), volume, atol=1e-12, rtol=0)


def test_both_corrections_divide_by_the_window_of_interpolation() -> None:
    volume = noise_volume(7)
    grid = FourierGrid(7, 3)
    axis = np.sinc(np.arange(-3, 4) / 21) ** 2
    expected = volume.numpy() / (axis[:, None, None] * axis[:, None] * axis)
    before = grid_to_volume(volume_to_grid(volume, grid, True), grid, 7, False)
    after = grid_to_volume(volume_to_grid(volume, grid, False), grid, 7, True)
    np.testing.assert_allclose(before.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(after.numpy(), expected, atol=1e-12)


def test_frequencies_beyond_the_radius_are_left_out() -> None:
    grid = FourierGrid(3, 2)
    found = grid_to_volume(volume_to_grid(noise_volume(8), grid, False), grid, 8, False)
    inside = (grid.radius() <= 3)[:, None, None]
    values = volume_to_grid(noise_volume(8), grid, False)
    torch.testing.assert_close(grid_to_volume(values * inside, grid, 8, False), found)
    assert not torch.allclose(found, noise_volume(8))


def test_slices_of_a_corrected_grid_approach_the_exact_transform() -> None:
    box = 24
    axis = centred_indices(box).double()
    envelope = torch.exp(-(axis**2) / 18)
    volume = noise_volume(box) * envelope[:, None, None] * envelope[:, None] * envelope
    plane = half_plane(box, 10.0)
    rotations = random_rotations(6, torch.Generator().manual_seed(1)).double()
    k = torch.cat([plane.k.double(), torch.zeros(plane.n_pixels, 1)], dim=-1)
    exact = torch.stack([transform_at(volume, k @ r) for r in rotations])

    def error(oversampling: int, corrected: bool) -> float:
        grid = FourierGrid(10, oversampling)
        found = extract_slices(volume_to_grid(volume, grid, corrected), grid, rotations, plane.k)[..., 0]
        return float((found - exact).norm() / exact.norm())

    assert error(2, True) < 0.03
    assert error(4, True) < 0.3 * error(2, True)
    assert error(2, True) < error(2, False)


def test_single_precision_stays_single() -> None:
    grid = FourierGrid(4)
    values = volume_to_grid(noise_volume(8, torch.float32), grid)
    assert values.dtype == torch.float32
    assert grid_to_volume(values, grid, 8).dtype == torch.float32
