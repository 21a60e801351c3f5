"""How well a model sits in maps: correlation, the shift and the hand that would be better, refinement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_laplace, map_coordinates, spline_filter
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from cryoscape.occupancy.elements import Element, moved
from cryoscape.occupancy.model import MapGrid, element_map
from cryoscape.typing import Volume

SEARCH_PX = 3
"""How far the shift of a model that should lie in place is looked for, in voxels."""
_MAX_ATOMS = 20_000
_GAIN, _LIKE = 0.05, 0.1
"""By how much, and to what, details must agree elsewhere before the model is called misplaced."""
_POOR, _NONE, _NO_DETAIL = 0.4, 0.1, 0.04
"""Correlations of densities below which a warning is given; of densities and gradients, below which the model
is not there. The proteins alone of the immature 50S map of the tests have 0.28 and 0.08."""


@dataclass(frozen=True)
class ModelFit:
    """How the density of a model agrees with a map.

    Shifts and hands are judged by the correlation of the gradients of both: densities alone agree almost as
    well a little beside, towards parts that the map has more of, and in the other hand.

    Attributes
    ----------
    correlation : of the densities (Pearson, over all voxels) where the model lies.
    detail : of the gradients, there.
    best_detail, best_shift_angstrom : the highest within the shifts looked at, and how the model (x, y, z)
        would have to move for it.
    mirrored_detail : the highest within these shifts were the map of the other hand (z mirrored about voxel
        D // 2).
    voxel_angstrom : of the map.
    """

    correlation: float
    detail: float
    best_detail: float
    best_shift_angstrom: tuple[float, float, float]
    mirrored_detail: float
    voxel_angstrom: float

    @property
    def shift_px(self) -> float:
        """Length of the best shift in voxels."""
        return float(np.linalg.norm(self.best_shift_angstrom)) / self.voxel_angstrom

    @property
    def verdict(self) -> Literal["good", "poor", "shifted", "misplaced", "other hand", "inverted", "none"]:
        """In one word; "good", "poor" and "shifted" (by under a voxel and a half) may be worked with."""
        gain = self.best_detail - self.detail
        if self.correlation < -_NONE and self.best_detail < -self.detail:
            return "inverted"
        if self.mirrored_detail > max(self.best_detail + _GAIN, _LIKE):
            return "other hand"
        if self.shift_px > 1.5 and gain > _GAIN and self.best_detail > _LIKE:
            return "misplaced"
        if self.correlation < _NONE or self.best_detail < _NO_DETAIL:
            return "none"
        if self.shift_px > 0.4 and gain > 0.4 * _GAIN:
            return "shifted"
        return "good" if self.correlation >= _POOR else "poor"


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
    details = _correlations(density, volume, of_gradients=True)
    best, shift = _peak(details, search_px)
    mirrored, _ = _peak(_correlations(density, _mirrored(volume), of_gradients=True), search_px)
    x, y, z = (float(s) * grid.voxel_angstrom for s in shift[::-1])
    return ModelFit(
        correlation=float(_correlations(density, volume, of_gradients=False)[0, 0, 0]),
        detail=float(details[0, 0, 0]),
        best_detail=best,
        best_shift_angstrom=(x, y, z),
        mirrored_detail=mirrored,
        voxel_angstrom=grid.voxel_angstrom,
    )


def _mirrored(volume: Volume) -> Volume:
    turned = volume[::-1]
    return np.roll(turned, 1, axis=0) if len(volume) % 2 == 0 else turned


def _correlations(density: Volume, volume: Volume, of_gradients: bool) -> Float[np.ndarray, "z y x"]:
    """Pearson correlation at all cyclic shifts of the density; 0 where either is constant.

    Of gradients: the sum over their three components, a factor k^2 in Fourier space.
    """
    a, b = np.fft.rfftn(density), np.fft.rfftn(volume)
    z, y, x = density.shape
    weight = np.fft.fftfreq(z)[:, None, None] ** 2 + np.fft.fftfreq(y)[:, None] ** 2 + np.fft.rfftfreq(x) ** 2
    if not of_gradients:
        weight = (weight > 0).astype(np.float64)
    twice = np.full(weight.shape[2], 2.0)  # frequencies whose opposites the half spectrum leaves out
    twice[0] = 1.0
    if x % 2 == 0:
        twice[-1] = 1.0
    norm = float(np.sqrt((weight * twice * np.abs(a) ** 2).sum() * (weight * twice * np.abs(b) ** 2).sum()))
    if norm == 0:
        return np.zeros(density.shape)
    product = np.fft.irfftn(weight * b * np.conj(a), s=density.shape, axes=(0, 1, 2))
    return np.asarray(product * density.size / norm)


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
    translation = first
    # anywhere first; then from there, where the parabolas through the neighbours are most exact
    for search_px in (None, SEARCH_PX):
        there = moved(elements, np.eye(3), translation)
        fit = measure_fit(there, resolution_angstrom, volume, grid, search_px)
        translation = translation + np.asarray(fit.best_shift_angstrom)
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
    """Climb sum_a Z_a V(x_a) over turns about the model's centre and shifts, from a shift.

    Lengths along the turns are those at the model's root mean square radius, so that all six are alike.
    """
    every = max(1, len(coordinates) // _MAX_ATOMS)
    atoms, weights = coordinates[::every], electrons[::every] / electrons[::every].sum()
    centre = atoms.mean(axis=0)
    radius = float(np.sqrt(((atoms - centre) ** 2).sum(axis=1).mean())) or 1.0

    def motion(parameters: np.ndarray) -> Placing:
        turn = Rotation.from_rotvec(parameters[:3] / radius).as_matrix()
        return Placing(turn, centre - turn @ centre + translation + parameters[3:])

    found = np.zeros(6)
    # the map first, which leads from afar; then its details, as a map alone draws to parts that are fuller
    for target in (volume, -gaussian_laplace(volume.astype(np.float64), 1.0)):
        smooth = spline_filter(target.astype(np.float64), order=3)
        scale = float(target.std()) or 1.0

        def loss(parameters: np.ndarray, smooth: np.ndarray = smooth, scale: float = scale) -> float:
            placing = motion(parameters)
            at = atoms @ placing.rotation.T + placing.translation_angstrom
            voxels = ((at - grid.origin_angstrom) / grid.voxel_angstrom).T[::-1]
            values = map_coordinates(smooth, voxels, order=3, prefilter=False, mode="constant")
            return -float(weights @ values) / scale

        # in steps of a twentieth of a voxel, or the differences that stand for the gradient drown in rounding
        step = 0.05 * grid.voxel_angstrom
        climbed = minimize(loss, found, method="L-BFGS-B", options={"eps": step})
        if climbed.fun < loss(found):
            found = np.asarray(climbed.x)
    return motion(found)
