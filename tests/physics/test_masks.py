"""Soft masks against a loop over pixels and brute-force distances."""

import math

import numpy as np
import pytest
import torch

from cryoscape.physics.masks import cosine_edge, soft_mask_from_map, soft_sphere, soft_window_2d


def raised_cosine(distance: float, edge: float) -> float:
    if distance <= 0:
        return 1.0
    return 0.0 if distance >= edge else 0.5 + 0.5 * math.cos(math.pi * distance / edge)


@pytest.mark.parametrize("box", [16, 17])
@pytest.mark.parametrize(("inner", "outer"), [(0.85, 0.99), (0.5, 0.9), (0.0, 1.0)])
def test_window_pixel_by_pixel(box: int, inner: float, outer: float) -> None:
    found = soft_window_2d(box, inner, outer)
    assert found.dtype == torch.float32
    for y in range(box):
        for x in range(box):
            r = math.hypot(x - box // 2, y - box // 2) / (box / 2)
            expected = 1.0 if r < inner else 0.0 if r > outer else (outer - r) / (outer - inner)
            assert found[y, x].item() == pytest.approx(expected, abs=1e-6)


def test_window_without_a_ramp_is_sharp() -> None:
    found = soft_window_2d(8, 0.5, 0.5)
    assert found[4, 6] == found[2, 4] == 1  # r = 2 of 4
    assert found[5, 6] == 0
    assert set(found.unique().tolist()) == {0.0, 1.0}


def test_cosine_edge() -> None:
    distance = torch.tensor([-5.0, 0.0, 1.0, 2.0, 3.0, 4.0, 9.0])
    expected = [1, 1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0, 0]
    torch.testing.assert_close(cosine_edge(distance, 4.0), torch.tensor(expected))
    assert cosine_edge(distance, 0.0).tolist() == [1, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("box", [10, 11])
def test_sphere_voxel_by_voxel(box: int) -> None:
    found = soft_sphere(box, 2.5, 1.7)
    centre = box // 2
    for z, y, x in np.ndindex(found.shape):
        r = math.dist((z, y, x), (centre, centre, centre))
        assert found[z, y, x].item() == pytest.approx(raised_cosine(r - 2.5, 1.7), abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mask_of_a_map_by_brute_force(dtype: torch.dtype) -> None:
    volume = torch.zeros(12, 12, 12, dtype=dtype)
    atoms = [(3, 4, 5), (8, 8, 2), (9, 8, 2)]
    for atom in atoms:
        volume[atom] = 1.0
    volume[0, 0, 0] = 0.5  # not above the threshold
    found = soft_mask_from_map(volume, 0.5, 1.5, 2.0)
    assert found.dtype == dtype
    for voxel in np.ndindex(found.shape):
        distance = min(math.dist(voxel, atom) for atom in atoms)
        assert found[voxel].item() == pytest.approx(raised_cosine(distance - 1.5, 2.0), abs=1e-6)


def test_mask_of_nothing_is_empty() -> None:
    assert not soft_mask_from_map(torch.ones(4, 4, 4), 1.0, 2.0, 1.0).any()
