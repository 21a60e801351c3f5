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


@dataclass(frozen=True)
class MapQuality:
    """What may grow in a map when training goes on for too long.

    Attributes
    ----------
    solvent_noise : standard deviation of the density outside the mask over that inside; NaN where the mask
        leaves nothing outside.
    high_frequency_share : share of the power of the masked map above two thirds of Nyquist.
    """

    solvent_noise: float
    high_frequency_share: float


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


def map_quality(volume: Volume, mask: Volume) -> MapQuality:
    """Noise outside the mask and power at high frequencies within it."""
    sphere = radius_grid_3d(len(volume)).numpy() <= _SPHERE * len(volume)
    outside, inside = volume[sphere & (mask < 0.5)], volume[sphere & (mask >= 0.5)]
    noise = float("nan")
    if len(outside) >= 0.01 * sphere.sum() and len(inside) and inside.std() > 0:
        noise = float(outside.std() / inside.std())
    power = np.abs(np.fft.rfftn(volume * mask)) ** 2
    full = np.fft.fftfreq(len(volume))
    half = np.fft.rfftfreq(len(volume))
    radius = np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2)
    within = (radius > 0) & (radius <= 0.5)
    total = power[within].sum()
    high = power[within & (radius > 0.5 * _HIGH)].sum()
    return MapQuality(noise, float(high / total) if total > 0 else float("nan"))


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
