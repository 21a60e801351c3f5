"""The fit check finds shifts, hands and turns that were put in."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoscape.analysis.maps import mirror_z
from cryoscape.occupancy.elements import Element, moved
from cryoscape.occupancy.fit import find_placing, measure_fit
from cryoscape.occupancy.model import MapGrid, element_map

RESOLUTION, VOXEL = 10.0, 4.0
GRID = MapGrid((32, 32, 32), VOXEL)


def element(seed: int = 0) -> Element:
    """A lopsided chiral heap of atoms about the middle of the box."""
    rng = np.random.default_rng(seed)
    spine = np.array([[0, 0, 0], [25, 0, 0], [25, 18, 0], [25, 18, 22], [-10, 12, 8], [-16, -20, -15]])
    atoms = np.concatenate([at + rng.normal(0, 4, (60, 3)) for at in spine]) + 16 * VOXEL
    return Element("e", (), atoms, np.full(len(atoms), 7.0))


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    e = element()
    density = element_map(e.coordinates_angstrom, e.electrons, RESOLUTION, GRID).place(GRID.shape)
    return density + np.random.default_rng(1).normal(0, 0.1 * density.std(), density.shape).astype(np.float32)


STAY = np.eye(3)


def test_a_model_in_place(volume: np.ndarray) -> None:
    fit = measure_fit([element()], RESOLUTION, volume, GRID)
    assert fit.verdict == "good"
    assert fit.correlation > 0.98
    assert fit.shift_px < 0.05
    assert fit.mirrored_detail < 0.4


@pytest.mark.parametrize("shift", [(2.0, 0, 0), (0, -6.2, 3.0), (0, 0, 9.0)])
def test_the_shift_back_is_found_to_a_tenth_of_a_voxel(
    volume: np.ndarray, shift: tuple[float, float, float]
) -> None:
    fit = measure_fit(moved([element()], STAY, np.array(shift, dtype=float)), RESOLUTION, volume, GRID)
    np.testing.assert_allclose(fit.best_shift_angstrom, -np.array(shift), atol=0.1 * VOXEL)
    assert fit.best_detail > 0.9 > fit.detail
    assert fit.verdict == ("shifted" if np.linalg.norm(shift) < 1.5 * VOXEL else "misplaced")


def test_the_wrong_hand_sign_and_no_likeness(volume: np.ndarray) -> None:
    e = [element()]
    assert measure_fit(e, RESOLUTION, mirror_z(volume), GRID).verdict == "other hand"
    assert measure_fit(e, RESOLUTION, -volume, GRID).verdict == "inverted"
    noise = np.random.default_rng(3).normal(size=GRID.shape).astype(np.float32)
    assert measure_fit(e, RESOLUTION, noise, GRID).verdict == "none"
    turned = moved(e, Rotation.from_rotvec([0, 2.0, 0.5]).as_matrix(), np.array([0.0, 50, -30]))
    assert measure_fit(turned, RESOLUTION, volume, GRID).verdict in ("none", "other hand", "misplaced")
    assert measure_fit(e, RESOLUTION, np.zeros(GRID.shape, np.float32), GRID).correlation == 0


def test_correlations_are_those_of_arrays(volume: np.ndarray) -> None:
    """Densities and gradients compared point by point."""
    e = element()
    shift = np.array([4.0, -8.0, 0.0])
    density = element_map(e.coordinates_angstrom, e.electrons, RESOLUTION, GRID).place(GRID.shape)
    fit = measure_fit(moved([e], STAY, shift), RESOLUTION, volume, GRID)
    there = np.roll(density, (-2, 1), axis=(1, 2))
    assert fit.correlation == pytest.approx(np.corrcoef(there.ravel(), volume.ravel())[0, 1], abs=1e-3)

    def gradient(x: np.ndarray) -> np.ndarray:
        k = [2j * np.pi * f for f in np.meshgrid(*[np.fft.fftfreq(n) for n in x.shape], indexing="ij")]
        return np.concatenate([np.fft.ifftn(np.fft.fftn(x) * one).ravel() for one in k])

    a, b = gradient(there), gradient(volume)
    expected = np.vdot(a, b).real / np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real)
    assert fit.detail == pytest.approx(expected, abs=2e-3)


def test_parts_that_the_map_has_more_of_do_not_draw_the_model_aside() -> None:
    """Half of the model at half strength: densities would agree best a fifth of a voxel off."""
    e = element()
    half = e.coordinates_angstrom[:, 0] > 16 * VOXEL + 5
    maps = [
        element_map(e.coordinates_angstrom[part], e.electrons[part], RESOLUTION, GRID).place(GRID.shape)
        for part in (half, ~half)
    ]
    fit = measure_fit([e], 2 * RESOLUTION, maps[0] + 0.3 * maps[1], GRID)
    assert fit.verdict == "good"
    assert fit.shift_px < 0.1


def test_noisy_maps_fit_poorly(volume: np.ndarray) -> None:
    noise = np.random.default_rng(3).normal(0, 3 * volume.std(), GRID.shape).astype(np.float32)
    assert measure_fit([element()], RESOLUTION, volume + noise, GRID).verdict == "poor"


def test_a_model_from_anywhere_is_placed(volume: np.ndarray) -> None:
    away = moved([element()], STAY, np.array([300.0, -100, 77]))
    placing = find_placing(away, RESOLUTION, volume, GRID)
    np.testing.assert_array_equal(placing.rotation, STAY)
    np.testing.assert_allclose(placing.translation_angstrom, [-300, 100, -77], atol=0.1 * VOXEL)


def test_a_turn_is_undone(volume: np.ndarray) -> None:
    turn = Rotation.from_rotvec(np.deg2rad([6.0, -4.0, 5.0])).as_matrix()
    away = moved([element()], turn, np.array([30.0, 10, 0]))
    placing = find_placing(away, RESOLUTION, volume, GRID, turn=True)
    left = Rotation.from_matrix(placing.rotation @ turn)
    assert np.rad2deg(left.magnitude()) < 1.0
    back = moved(away, placing.rotation, placing.translation_angstrom)
    away_by = back[0].coordinates_angstrom - element().coordinates_angstrom
    assert np.sqrt((away_by**2).sum(axis=1).mean()) < 0.5
