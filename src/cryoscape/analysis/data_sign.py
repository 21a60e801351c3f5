"""Is density positive? Protein must be bright in a map, or the images went in with the wrong sign."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from scipy import stats
from torch import Tensor

from cryoscape.physics.fsc import low_pass
from cryoscape.physics.grids import HalfPlane, radius_grid_3d

_DISC_RADIUS = 0.175
_LARGEST_FREQUENCY = 6.0
_SMOOTHED_TO = 8.0


@dataclass(frozen=True)
class ImagesSign:
    """Evidence of single images, no poses needed.

    Attributes
    ----------
    t : mean over its standard error of how much brighter images are in the middle, CTF accounted for.
    p_value : of a t as large by chance (two-sided Student test over images).
    n_images : images looked at.
    """

    t: float
    p_value: float
    n_images: int


def images_sign(
    coefficients: Complex[Tensor, "n p"], ctf: Float[Tensor, "n p"], plane: HalfPlane
) -> ImagesSign:
    """Correlate images, multiplied by their CTF, with a disc of 0.175 box radius, at up to 6 cycles per box.

    Coefficients carry the assumed sign of the data; t > 0 says that it is right.
    """
    n = plane.count_within(_LARGEST_FREQUENCY)
    x = 2 * torch.pi * _DISC_RADIUS * plane.radius[:n].double()
    disc = (torch.special.bessel_j1(x) / x).to(ctf)
    score = ((coefficients[:, :n] * ctf[:, :n]).real * disc).sum(-1).double()
    if len(score) < 2:
        return ImagesSign(0.0, 1.0, len(score))
    t, p = stats.ttest_1samp(score.cpu().numpy(), 0.0)
    return ImagesSign(float(t), float(p), len(score))


@dataclass(frozen=True)
class MapSign:
    """Evidence of a map, smoothed and within the sphere that touches its box.

    Attributes
    ----------
    skewness : of the density; positive where the strong features are bright.
    brightest, darkest : extreme density, in standard deviations from the median.
    """

    skewness: float
    brightest: float
    darkest: float


def map_sign(volume: Float[Tensor, "z y x"]) -> MapSign:
    """Measure whether the strong features of a map are bright (protein) or dark (wrong sign)."""
    box = volume.shape[-1]
    inside = radius_grid_3d(box, device=volume.device) < 0.45 * box
    values = low_pass(volume, min(_SMOOTHED_TO, box / 4))[inside].double()
    values = values - values.median()
    spread = values.std().clamp(min=1e-30)
    skewness = float(((values - values.mean()) / spread).pow(3).mean())
    return MapSign(skewness, float(values.max() / spread), float(-values.min() / spread))
