"""Masks about densities, with the meaning that the options of relion_mask_create have."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import distance_transform_edt

from cryoscape.occupancy.model import Patch
from cryoscape.typing import Volume

_FILTER_EDGE_SHELLS = 2


@dataclass(frozen=True)
class MaskConfig:
    """How a density becomes a mask, in the order of the steps; the defaults are those of the protocol.

    Attributes
    ----------
    lowpass_angstrom : low-pass filter before all else; None for none.
    threshold : voxels at or above it are inside.
    extend_px : voxels nearer than this to the inside are taken in; of a negative number, those nearer to the
        outside are taken out.
    edge_px : width of a raised cosine edge added around.
    invert : 1 outside, 0 inside.
    """

    lowpass_angstrom: float | None = None
    threshold: float = 0.01
    extend_px: float = 0.0
    edge_px: float = 0.0
    invert: bool = False


def make_mask(density: Volume, voxel_angstrom: float, config: MaskConfig) -> Volume:
    """Mask of a whole map, float32 from 0 to 1."""
    if config.lowpass_angstrom is not None:
        density = raised_cosine_low_pass(density, voxel_angstrom, config.lowpass_angstrom)
    inside = density >= np.float32(config.threshold)
    mask = np.zeros(density.shape, dtype=np.float32)
    box = _surroundings(inside, config)
    if box is not None:
        mask[box] = _softened(inside[box], config)
    return 1 - mask if config.invert else mask


def mask_of_patch(
    patch: Patch, shape: tuple[int, int, int], voxel_angstrom: float, config: MaskConfig
) -> Volume:
    """Mask (float32, `shape`) of a density given as a patch."""
    return make_mask(patch.place(shape), voxel_angstrom, config)


def _surroundings(inside: Bool[np.ndarray, "z y x"], config: MaskConfig) -> tuple[slice, ...] | None:
    """Box that holds all that can become other than 0: distances are then short to find. None if nothing."""
    margin = math.ceil(max(config.extend_px, 0)) + math.ceil(max(config.edge_px, 0)) + 1
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        held = np.flatnonzero(inside.any(axis=others))
        if not len(held):
            return None
        box.append(slice(max(0, int(held[0]) - margin), int(held[-1]) + margin + 1))
    return tuple(box)


def _softened(inside: Bool[np.ndarray, "z y x"], config: MaskConfig) -> Volume:
    """Extend (strictly nearer than E), then add the edge: 1/2 + 1/2 cos(pi d / W) for d < W."""
    if config.extend_px > 0:
        inside = _squared_distance(inside) < config.extend_px**2
    elif config.extend_px < 0 and not inside.all():
        inside = _squared_distance(~inside) >= config.extend_px**2
    mask = inside.astype(np.float32)
    if config.edge_px > 0 and inside.any():
        square = _squared_distance(inside)
        edge = ~inside & (square < config.edge_px**2)
        mask[edge] = 0.5 + 0.5 * np.cos(np.pi * np.sqrt(square[edge]) / config.edge_px)
    return mask


def _squared_distance(inside: Bool[np.ndarray, "z y x"]) -> np.ndarray:
    """Squared distance in voxels to the nearest voxel inside, exact whole numbers."""
    _, nearest = distance_transform_edt(~inside, return_distances=True, return_indices=True)
    away = nearest - np.indices(inside.shape)
    return np.asarray((away**2).sum(axis=0))


def raised_cosine_low_pass(density: Volume, voxel_angstrom: float, resolution_angstrom: float) -> Volume:
    """Low-pass filter whose edge is a raised cosine two shells wide, centred at the resolution.

    The shell s = round(N voxel / resolution) of the longest side N; 1 below (s - 1) / N cycles a voxel,
    0 above (s + 1) / N.
    """
    n = max(density.shape)
    shell = round(n * voxel_angstrom / resolution_angstrom)
    low = max((shell - _FILTER_EDGE_SHELLS / 2) / n, 0.0)
    high = min((shell + _FILTER_EDGE_SHELLS / 2) / n, 0.5)
    z, y, x = density.shape
    radius = np.sqrt(
        np.fft.fftfreq(z)[:, None, None] ** 2 + np.fft.fftfreq(y)[:, None] ** 2 + np.fft.rfftfreq(x) ** 2
    )
    part = np.clip((radius - low) / max(high - low, 1e-12), 0, 1)
    kept = np.where(radius > high, 0.0, 0.5 + 0.5 * np.cos(np.pi * part))
    filtered: Volume = np.fft.irfftn(np.fft.rfftn(density) * kept, s=density.shape, axes=(0, 1, 2))
    return filtered.astype(np.float32)
