"""The mask, boxes and shells in which maps live."""

import math

import numpy as np
import pytest
import torch

from cryoscape.engines.subspace.support import MARGIN, Support, box_for, change_box
from cryoscape.physics.masks import soft_sphere
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.volume_grid import grid_to_volume

from .conftest import SHARED, ball_map, random_images


def test_shells_are_rounded_radii_without_the_origin() -> None:
    support = Support(torch.ones(12, 12, 12), FourierGrid(4))
    grid = support.grid
    shell = support.shell.view(grid.shape)
    assert shell[grid.half, grid.half, 0] == -1
    assert shell[grid.half, grid.half, 1] == round(0.5)
    assert shell[grid.half + 3, grid.half - 4, 2] == round(math.sqrt(9 + 16 + 4) / 2)
    assert shell[grid.half, grid.half, 9] == -1
    counts = support.counts
    assert float(counts[1:].sum()) + float((support.shell == 0).sum()) == float((support.shell >= 0).sum())
    # half of a spherical shell of the grid, oversampled twice
    volume = 2 * math.pi / 3 * 2**3 * ((3.5) ** 3 - (2.5) ** 3)
    assert float(counts[3]) == pytest.approx(volume, rel=0.15)
    ones = torch.ones(grid.n_voxels, 2)
    torch.testing.assert_close(support.shell_sums(ones)[1:], counts[1:, None].expand(-1, 2))


def test_calibration_is_the_share_of_the_mask_over_the_voxels_an_unknown() -> None:
    mask = torch.zeros(10, 10, 10)
    mask[:5] = 0.5
    assert Support(mask, FourierGrid(4)).calibration == pytest.approx(0.5 * 0.25 / 8)
    assert Support(mask, FourierGrid(4, 1)).calibration == pytest.approx(0.5 * 0.25)


def test_products_of_maps_in_shells_are_those_of_numpy() -> None:
    box, radius = 12, 4
    support = Support(torch.ones(box, box, box), FourierGrid(radius))
    a, b = torch.randn(2, 3, box, box, box, generator=torch.Generator().manual_seed(0))
    found = support.shell_products(a, b)
    axis = np.fft.fftfreq(box, 1 / box)
    r = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    for j in range(3):
        product = (np.fft.fftn(a[j].numpy()) * np.fft.fftn(b[j].numpy()).conj()).real
        for s in range(1, radius + 1):
            here = (np.round(r) == s) & (r <= radius)
            assert float(found[s, j]) == pytest.approx(product[here].mean(), rel=1e-4, abs=0.1)
    torch.testing.assert_close(support.power(a), support.shell_products(a, a.clone()))


def test_the_power_of_white_noise_in_the_mask_is_its_sum_of_squares() -> None:
    box = 16
    support = Support(soft_sphere(box, 5.0, 2.0), FourierGrid(7))
    noise = torch.randn(40, box, box, box, generator=torch.Generator().manual_seed(1)) * support.mask
    power = support.power(noise)[1:].mean(1)
    expected = float((support.mask**2).sum())
    np.testing.assert_allclose(power[2:], expected, rtol=0.1)


def test_a_map_read_from_the_grid_is_its_projection() -> None:
    box = 16
    volume = torch.from_numpy(ball_map(SHARED, box)).float()
    support = Support(torch.ones(box, box, box), FourierGrid(6))
    values = support.to_grid(volume[None])
    k = torch.tensor([[1.0, 0], [0, 2], [3, -1], [4, 4]])
    rotation = random_images().rotations[1:3]
    found = extract_slices(values, support.grid, rotation, k)[..., 0]
    q = torch.einsum("pi,bij->bpj", k, rotation[:, :2]).double()
    axis = torch.arange(box).double() - box // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    points = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    phase = torch.exp(-2j * torch.pi * (q @ points.T) / box)
    expected = phase @ volume.double().flatten().to(torch.complex128)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=0.02 * float(volume.sum()))


def test_spectra_without_interpolation_come_back_in_the_mask() -> None:
    """The nearest voxel's window is undone: a map's own spectrum gives the map over sinc, masked."""
    images = random_images()
    support = images.support
    low = torch.from_numpy(ball_map(SHARED[:1], support.box)).float()[None]
    spectra = support.to_grid(low, correct_gridding=False)
    found = support.from_spectra(spectra)[0]
    axis = np.sinc((np.arange(support.box) - support.box // 2) / (2 * support.box))
    window = axis[:, None, None] * axis[:, None] * axis
    expected = low[0].numpy() / window * support.mask.numpy()
    np.testing.assert_allclose(found, expected, atol=0.05 * float(low.max()))


def test_boxes_hold_the_radius_and_a_margin() -> None:
    assert box_for(8, 64) == 2 * (8 + MARGIN)
    assert box_for(31, 64) == 64


@pytest.mark.parametrize("box", [12, 24])
def test_another_box_keeps_the_fourier_sums(box: int) -> None:
    maps = torch.from_numpy(np.stack([ball_map(SHARED, 16), ball_map(SHARED[1:2], 16)])).float()
    changed = change_box(maps, box)
    torch.testing.assert_close(changed.sum((1, 2, 3)), maps.sum((1, 2, 3)), rtol=1e-4, atol=1e-4)
    before, after = (
        torch.fft.rfftn(torch.fft.ifftshift(m, dim=(1, 2, 3)), dim=(1, 2, 3)) for m in (maps, changed)
    )
    torch.testing.assert_close(after[:, :5, :5, :5], before[:, :5, :5, :5], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(change_box(changed, 16) if box > 16 else maps, maps, rtol=0, atol=1e-5)
    assert change_box(maps, 16) is maps


def test_the_mask_on_the_grid_is_the_mask_on_the_map() -> None:
    box = 16
    mask = torch.zeros(box, box, box)
    mask[3:9, 5:12, 2:7] = torch.rand(6, 7, 5, generator=torch.Generator().manual_seed(0))
    support = Support(mask, FourierGrid(7))
    assert support.region == (slice(3, 9), slice(5, 12), slice(2, 7))
    spectrum = support.to_grid(torch.from_numpy(ball_map(SHARED, box)).float()[None], correct_gridding=False)
    spectrum = spectrum * (support.shell >= 0)[:, None, None]
    volume = grid_to_volume(spectrum, support.grid, box, correct_gridding=False)
    expected = support.to_grid((volume * mask)[None], correct_gridding=False)
    torch.testing.assert_close(support.masked(spectrum), expected)
    assert not Support(torch.zeros_like(mask), FourierGrid(7)).masked(spectrum).any()
