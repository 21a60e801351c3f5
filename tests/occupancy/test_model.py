"""Maps of elements against the closed form and an independent interpolation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from cryoscape.occupancy.model import MapGrid, element_map, molmap

RESOLUTION = 9.0
SIGMA = RESOLUTION / (math.pi * math.sqrt(2))


def gaussian(at: np.ndarray, atom: np.ndarray, z: float) -> np.ndarray:
    """The published closed form of one atom, zero beyond the cube of five sigma."""
    away = at - atom
    value = z * np.exp(-(away**2).sum(axis=-1) / (2 * SIGMA**2)) / ((2 * math.pi) ** 1.5 * SIGMA**3)
    return np.where((np.abs(away) <= 5 * SIGMA).all(axis=-1), value, 0.0)


def positions(grid: MapGrid) -> np.ndarray:
    """Position (x, y, z) of every voxel, shape (z, y, x, 3)."""
    axes = [
        np.arange(n) * grid.voxel_angstrom + o
        for n, o in zip(grid.shape, grid.origin_angstrom[::-1], strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.stack([x, y, z], axis=-1)


def test_one_atom_has_the_closed_form() -> None:
    """On voxels that are points of the atom's own grid (steps of 3 A) nothing is interpolated."""
    atom, z = np.array([30.0, 24.0, 33.0]), 26.0
    grid = MapGrid((24, 22, 20), 3.0)
    found = element_map(atom[None], np.array([z]), RESOLUTION, grid).place(grid.shape)
    np.testing.assert_allclose(found, gaussian(positions(grid), atom, z), atol=1e-7)
    assert found[11, 8, 10] == found.max() == pytest.approx(z / ((2 * math.pi) ** 1.5 * SIGMA**3))


def test_many_atoms_are_summed_on_their_own_grid_and_interpolated() -> None:
    rng = np.random.default_rng(1)
    atoms, z = rng.uniform(20, 60, (40, 3)), rng.integers(1, 30, 40).astype(float)
    grid = MapGrid((18, 16, 17), 5.3, (-7.0, 3.0, 1.5))
    step = RESOLUTION / 3
    axes = [
        np.arange(math.ceil((hi - lo + 6 * RESOLUTION) / step)) * step + lo - 3 * RESOLUTION
        for lo, hi in zip(atoms.min(axis=0), atoms.max(axis=0), strict=True)
    ]
    own = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    density = sum(gaussian(own, a, w) for a, w in zip(atoms, z, strict=True))
    expected = RegularGridInterpolator(axes, density, bounds_error=False, fill_value=0.0)(positions(grid))
    found = element_map(atoms, z, RESOLUTION, grid).place(grid.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_the_integral_is_the_number_of_electrons() -> None:
    rng = np.random.default_rng(2)
    atoms, z = rng.normal(0, 15, (300, 3)), rng.integers(1, 17, 300).astype(float)
    density, _, step = molmap(atoms, z, RESOLUTION)
    assert density.sum() * step**3 == pytest.approx(z.sum(), rel=2e-3)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.floats(-200, 200)] * 3), st.floats(2.0, 8.0))
def test_a_shifted_origin_with_a_shifted_model_gives_the_same_map(
    shift: tuple[float, float, float], voxel: float
) -> None:
    atoms, z = np.array([[10.0, 20.0, 30.0], [22.0, 14.0, 25.0]]), np.array([6.0, 15.0])
    here = MapGrid((10, 11, 12), voxel)
    there = MapGrid((10, 11, 12), voxel, shift)
    a = element_map(atoms, z, RESOLUTION, here).place(here.shape)
    b = element_map(atoms + np.array(shift), z, RESOLUTION, there).place(there.shape)
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_cropped_grid_holds_a_part_of_the_whole_map() -> None:
    atoms, z = np.array([[30.0, 20.0, 25.0]]), np.array([8.0])
    whole = element_map(atoms, z, RESOLUTION, MapGrid((16, 16, 16), 4.0)).place((16, 16, 16))
    part = element_map(atoms, z, RESOLUTION, MapGrid((8, 10, 6), 4.0, (20.0, 8.0, 12.0))).place((8, 10, 6))
    np.testing.assert_allclose(part, whole[3:11, 2:12, 5:11], atol=1e-7)


def test_atoms_outside_the_maps_leave_nothing() -> None:
    patch = element_map(np.array([[500.0, 0, 0]]), np.array([6.0]), RESOLUTION, MapGrid((8, 8, 8), 4.0))
    assert not patch.place((8, 8, 8)).any()
