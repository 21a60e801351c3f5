"""Whether maps of successive epochs agree, and how noisy each is."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from cryoscape.errors import InputError
from cryoscape.physics.fsc import fourier_shell_correlation
from cryoscape.physics.grids import radius_grid_3d
from cryoscape.physics.masks import soft_mask_from_map
from cryoscape.typing import Volume

_SPHERE = 0.425
"""Radius in boxes within which images constrain a map: where the window of the images starts to fall."""
_HIGH = 2 / 3
"""Share of Nyquist from which a frequency counts as high."""


@dataclass(frozen=True)
class MaskOptions:
    """A soft mask about the density of each map."""

    threshold: float | None = None
    """Density that is inside; None for half of the 99.99th percentile of the map."""
    dilation_px: float = 3.0
    """Voxels by which that density is widened."""
    edge_px: float = 10.0
    """Voxels over which the mask falls to 0, as a raised cosine."""


def check_mask_options(options: MaskOptions) -> None:
    """Raise InputError for widths below 0."""
    for name, value in (("--dilate", options.dilation_px), ("--dist", options.edge_px)):
        if not (0 <= value < np.inf):
            raise InputError(f"{name}: expected a width in voxels, 0 or more, found {value:g}.")


def mask_about_density(volume: Volume, options: MaskOptions) -> Volume:
    """The mask of one map, 0 to 1; all 1 where no density is above the threshold."""
    level = options.threshold
    if level is None:
        level = float(np.percentile(volume, 99.99)) / 2
    mask = soft_mask_from_map(torch.from_numpy(volume), level, options.dilation_px, options.edge_px).numpy()
    return np.asarray(mask if mask.any() else np.ones_like(volume), dtype=np.float32)


def solvent_noise(volume: Volume, mask: Volume) -> float:
    """Standard deviation of the density outside the mask over that inside.

    Counted within the sphere that images constrain. NaN where the mask leaves less than 1 % of that outside.
    """
    sphere = radius_grid_3d(len(volume)).numpy() <= _SPHERE * len(volume)
    outside, inside = volume[sphere & (mask < 0.5)], volume[sphere & (mask >= 0.5)]
    if len(outside) < 0.01 * sphere.sum() or not len(inside) or inside.std() == 0:
        return float("nan")
    return float(outside.std() / inside.std())


def high_frequency_noise(volume: Volume, fsc: Float[np.ndarray, " s"]) -> float:
    """Share of the power of a (masked) map that lies above two thirds of Nyquist and is not reproducible.

    In each shell 1 - FSC of the power counts as such, FSC with the map of an earlier epoch (shells 1 to
    D // 2, see `map_fsc`). NaN for a map without contrast.
    """
    box = len(volume)
    full = np.fft.fftfreq(box, 1 / box)
    radius = np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + full**2)
    shell = np.round(radius).astype(np.int64).ravel()
    power = np.bincount(shell, weights=(np.abs(np.fft.fftn(volume)) ** 2).ravel())[1 : box // 2 + 1]
    total = power.sum()
    if not total > 0:
        return float("nan")
    high = np.arange(1, box // 2 + 1) > _HIGH * (box / 2)
    return float((power * (1 - np.clip(fsc, 0, 1)))[high].sum() / total)


def map_correlation(a: Volume, b: Volume) -> float:
    """Pearson correlation of the voxels of two (masked) maps; NaN for a map without contrast."""
    x, y = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    if x.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def map_fsc(a: Volume, b: Volume) -> Float[np.ndarray, " s"]:
    """Fourier shell correlation of two (masked) maps in shells 1 to D // 2."""
    curve = fourier_shell_correlation(torch.from_numpy(a), torch.from_numpy(b))
    return np.asarray(curve[1:].numpy(), dtype=np.float64)
