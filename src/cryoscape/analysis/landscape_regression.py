"""From latents to coordinates of maps where no matrix gives them: a smooth function learned from examples."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

from cryoscape.typing import Latents

_WIDTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
_RIDGES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_TUNED_ON = 800
_ROWS = 4096


@dataclass(frozen=True, eq=False)
class MapRegression:
    """A linear trend and a sum of Gaussians about the examples (kernel ridge regression).

    Attributes
    ----------
    shift, scale : (zdim,) latents are standardised by.
    trend : (zdim + 1, c) linear part; the last row is the constant.
    examples : (m, zdim) standardised latents of the examples.
    weights : (m, c) of the Gaussians.
    width : of the Gaussians, in standardised units times the root of zdim.
    """

    shift: Float[np.ndarray, " zdim"]
    scale: Float[np.ndarray, " zdim"]
    trend: Float[np.ndarray, "p c"]
    examples: Float[np.ndarray, "m zdim"]
    weights: Float[np.ndarray, "m c"]
    width: float

    def at(self, z: Latents) -> Float[np.ndarray, "n c"]:
        """Coordinates of the maps at latents z."""
        out = np.empty((len(z), self.trend.shape[1]))
        for start in range(0, len(z), _ROWS):
            x = (np.asarray(z[start : start + _ROWS], np.float64) - self.shift) / self.scale
            out[start : start + _ROWS] = (
                _with_constant(x) @ self.trend + _kernel(x, self.examples, self.width) @ self.weights
            )
        return out


def fit_map_regression(z: Latents, coordinates: Float[np.ndarray, "m c"], *, seed: int = 0) -> MapRegression:
    """Learn coordinates (m, c) of maps from their latents (m, zdim).

    Width and ridge are those with the smallest leave-one-out error, in closed form, on up to 800 examples.
    """
    shift, scale = np.asarray(z, np.float64).mean(axis=0), np.asarray(z, np.float64).std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    x = (np.asarray(z, np.float64) - shift) / scale
    trend = np.linalg.lstsq(_with_constant(x), coordinates, rcond=None)[0]
    rest = coordinates - _with_constant(x) @ trend
    rows = np.random.default_rng(seed).choice(len(x), size=min(len(x), _TUNED_ON), replace=False)
    width, ridge = _tune(x[rows], rest[rows])
    kernel = _kernel(x, x, width)
    kernel[np.diag_indices_from(kernel)] += ridge
    weights = cho_solve(cho_factor(kernel, lower=True, overwrite_a=True), rest)
    return MapRegression(shift, scale, trend, x, np.asarray(weights), width)


def r2_of(found: Float[np.ndarray, "n c"], true: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " c"]:
    """Share of the variance of each column that is explained; 1 where there is none to explain."""
    left = ((true - found) ** 2).sum(axis=0)
    total = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(np.where(total > 0, 1 - left / np.where(total > 0, total, 1.0), 1.0))


def _tune(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Width and ridge of the smallest leave-one-out error: residual i is (K + r)^-1 y over its diagonal."""
    best = (np.inf, 1.0, 1.0)
    for factor in _WIDTHS:
        width = factor * np.sqrt(x.shape[1])
        value, vector = np.linalg.eigh(_kernel(x, x, width))
        turned = vector.T @ y
        for ridge in _RIDGES:
            inverse = 1.0 / (np.maximum(value, 0.0) + ridge)
            residual = (vector @ (inverse[:, None] * turned)) / ((vector**2) @ inverse)[:, None]
            error = float((residual**2).sum())
            if error < best[0]:
                best = (error, float(width), ridge)
    return best[1], best[2]


def _kernel(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    return np.asarray(np.exp(-0.5 * cdist(a, b, "sqeuclidean") / width**2))


def _with_constant(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
