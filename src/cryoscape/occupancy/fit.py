"""How well a model sits in maps: correlation, the shift and the hand that would be better, refinement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.ndimage import map_coordinates, spline_filter
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from cryoscape.occupancy.elements import Element
from cryoscape.occupancy.model import MapGrid, element_map
from cryoscape.typing import Volume

SEARCH_PX = 3
"""How far the shift of a model that should lie in place is looked for, in voxels."""
_MAX_ATOMS = 20_000
_OF_ANOTHER_HAND, _OF_ANOTHER_PLACE = 0.05, 0.05
"""By how much the correlation must be higher there before the model is called misplaced."""
_POOR, _NONE = 0.4, 0.15


@dataclass(frozen=True)
class ModelFit:
    """Correlations (Pearson, over all voxels) of the density of a model with a map.

    Attributes
    ----------
    correlation : where the model lies.
    best_correlation, best_shift_angstrom : the highest within the shifts looked at, and how the model (x, y,
        z) would have to move for it.
    mirrored_correlation : the highest within these shifts were the map of the other hand (z mirrored about
        voxel D // 2).
    voxel_angstrom : of the map.
    """

    correlation: float
    best_correlation: float
    best_shift_angstrom: tuple[float, float, float]
    mirrored_correlation: float
    voxel_angstrom: float

    @property
    def shift_px(self) -> float:
        """Length of the best shift in voxels."""
        return float(np.linalg.norm(self.best_shift_angstrom)) / self.voxel_angstrom

    @property
    def verdict(self) -> Literal["good", "poor", "shifted", "misplaced", "other hand", "inverted", "none"]:
        """In one word; "good", "poor" and "shifted" (by under a voxel and a half) may be worked with."""
        gain = self.best_correlation - self.correlation
        if self.correlation < -_NONE and self.best_correlation < -self.correlation:
            return "inverted"
        if self.mirrored_correlation > max(self.best_correlation + _OF_ANOTHER_HAND, 2 * _NONE):
            return "other hand"
        if self.shift_px > 1.5 and gain > _OF_ANOTHER_PLACE:
            return "misplaced"
        if self.best_correlation < _NONE:
            return "none"
        if self.shift_px > 0.4 and gain > 0.01:
            return "shifted"
        return "good" if self.best_correlation >= _POOR else "poor"


@dataclass(frozen=True)
class Placing:
    """A rigid motion of the model: x -> rotation @ x + translation, in angstrom."""

    rotation: Float[np.ndarray, "3 3"]
    translation_angstrom: Float[np.ndarray, " 3"]


def measure_fit(
    elements: Sequence[Element],
    resolution_angstrom: float,
    volume: Volume,
    grid: MapGrid,
    search_px: int | None = SEARCH_PX,
) -> ModelFit:
    """Compare the density of a model with a map at shifts up to `search_px` voxels a side (None: all).

    Shifts are cyclic, found by Fourier transform, and refined by parabolas through the neighbours.
    """
    coordinates = np.concatenate([element.coordinates_angstrom for element in elements])
    electrons = np.concatenate([element.electrons for element in elements])
    density = element_map(coordinates, electrons, resolution_angstrom, grid).place(grid.shape)
    as_is = _correlations(density, volume)
    best, shift = _peak(as_is, search_px)
    mirrored, _ = _peak(_correlations(density, _mirrored(volume)), search_px)
    x, y, z = (float(s) * grid.voxel_angstrom for s in shift[::-1])
    return ModelFit(float(as_is[0, 0, 0]), best, (x, y, z), mirrored, grid.voxel_angstrom)


def _mirrored(volume: Volume) -> Volume:
    turned = volume[::-1]
    return np.roll(turned, 1, axis=0) if len(volume) % 2 == 0 else turned


def _correlations(density: Volume, volume: Volume) -> Float[np.ndarray, "z y x"]:
    """Pearson correlation at all cyclic shifts of the density; 0 where either is constant."""
    a, b = density - density.mean(dtype=np.float64), volume - volume.mean(dtype=np.float64)
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if norm == 0:
        return np.zeros(density.shape)
    product = np.fft.rfftn(b) * np.conj(np.fft.rfftn(a))
    return np.asarray(np.fft.irfftn(product, s=density.shape, axes=(0, 1, 2)) / norm)


def _peak(
    correlations: Float[np.ndarray, "z y x"], search_px: int | None
) -> tuple[float, Float[np.ndarray, " 3"]]:
    """Highest correlation and its shift (z, y, x) in voxels, to a fraction of one."""
    allowed = correlations
    if search_px is not None:
        near = [np.abs(_signed(np.arange(n), n)) <= search_px for n in correlations.shape]
        inside = near[0][:, None, None] & near[1][:, None] & near[2]
        allowed = np.where(inside, correlations, -np.inf)
    top = np.array(np.unravel_index(int(allowed.argmax()), correlations.shape))
    shift = np.empty(3)
    height = float(correlations[tuple(top)])
    value = height
    for axis, n in enumerate(correlations.shape):
        step = np.eye(3, dtype=np.int64)[axis]
        below, above = (float(correlations[tuple((top + s * step) % correlations.shape)]) for s in (-1, 1))
        curvature = below - 2 * height + above
        offset = float(np.clip(0.5 * (below - above) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0
        value -= 0.25 * (below - above) * offset
        shift[axis] = _signed(top[axis], n) + offset
    return min(value, 1.0), shift


def _signed(index: Any, n: int) -> Any:
    """Cyclic index, or indices, as distance from 0: n - 1 is -1."""
    return (index + n // 2) % n - n // 2


def find_placing(
    elements: Sequence[Element],
    resolution_angstrom: float,
    volume: Volume,
    grid: MapGrid,
    turn: bool = False,
) -> Placing:
    """Where the model fits the map best: the best shift of all, then, with `turn`, small turns as well.

    Parameters
    ----------
    turn
        Refine all six degrees of freedom, from the best shift, by the map's values at the atoms; finds turns
        of up to some ten degrees.
    """
    coordinates = np.concatenate([element.coordinates_angstrom for element in elements])
    extent = np.array(grid.shape[::-1]) * grid.voxel_angstrom
    middle = np.asarray(grid.origin_angstrom) + (extent // (2 * grid.voxel_angstrom)) * grid.voxel_angstrom
    first = middle - (coordinates.min(axis=0) + coordinates.max(axis=0)) / 2
    from_middle = tuple(
        Element(e.name, e.parts, e.coordinates_angstrom + first, e.electrons) for e in elements
    )
    fit = measure_fit(from_middle, resolution_angstrom, volume, grid, None)
    translation = first + np.asarray(fit.best_shift_angstrom)
    if not turn:
        return Placing(np.eye(3), translation)
    electrons = np.concatenate([element.electrons for element in elements])
    return _refined(coordinates, electrons, volume, grid, translation)


def _refined(
    coordinates: Float[np.ndarray, "a 3"],
    electrons: Float[np.ndarray, " a"],
    volume: Volume,
    grid: MapGrid,
    translation: Float[np.ndarray, " 3"],
) -> Placing:
    """Climb sum_a Z_a V(x_a) over turns about the model's centre and shifts, from a shift."""
    every = max(1, len(coordinates) // _MAX_ATOMS)
    atoms, weights = coordinates[::every], electrons[::every] / electrons[::every].sum()
    centre = atoms.mean(axis=0)
    radius = float(np.sqrt(((atoms - centre) ** 2).sum(axis=1).mean())) or 1.0
    smooth = spline_filter(volume.astype(np.float64), order=3)
    scale = float(volume.std()) or 1.0

    def motion(parameters: np.ndarray) -> Placing:
        turn = Rotation.from_rotvec(parameters[:3] / radius).as_matrix()
        return Placing(turn, centre - turn @ centre + translation + parameters[3:])

    def loss(parameters: np.ndarray) -> float:
        placing = motion(parameters)
        at = atoms @ placing.rotation.T + placing.translation_angstrom
        voxels = ((at - grid.origin_angstrom) / grid.voxel_angstrom).T[::-1]
        values = map_coordinates(smooth, voxels, order=3, prefilter=False, mode="constant")
        return -float(weights @ values) / scale

    # in steps of a tenth of a voxel, or the differences that stand for the gradient drown in rounding
    start = np.zeros(6)
    found = minimize(loss, start, method="L-BFGS-B", options={"eps": 0.05 * grid.voxel_angstrom})
    return motion(np.asarray(found.x) if found.fun < loss(start) else start)
