"""From raw images to centred, signed, scaled half-plane coefficients."""

from dataclasses import dataclass

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import PreprocessConfig
from cryoscape.particles.stack import ImageStack, find_bad_images
from cryoscape.physics.fourier import half_plane_coefficients, hartley_2d
from cryoscape.physics.grids import HalfPlane
from cryoscape.physics.masks import soft_window_2d
from cryoscape.physics.shifts import shift_phase

SAMPLE_SIZE = 1000
WINDOW_OUTER_RADIUS = 0.99
_BACKGROUND_TOLERANCE = 0.2
"""Background mean, in standard deviations, above which images count as not normalised."""


@dataclass(frozen=True)
class ImageStatistics:
    """What a sample of the raw images says: ``scale`` is the std of their Hartley coefficients."""

    scale: float
    subtract_background: bool
    background_in_std: float


def window_of(config: PreprocessConfig, box_size: int) -> torch.Tensor:
    """Soft window (D, D) float32 of the configuration; all ones without one."""
    if not config.window:
        return torch.ones(box_size, box_size)
    inner = config.window_radius
    return soft_window_2d(box_size, inner=inner, outer=max(WINDOW_OUTER_RADIUS, inner)).float()


def background_pixels(box_size: int) -> torch.Tensor:
    """Boolean (D, D): pixels outside the circle that touches the box, which hold solvent only."""
    axis = torch.arange(box_size) - box_size // 2
    return axis[:, None] ** 2 + axis**2 >= (box_size // 2) ** 2


def measure(stack: ImageStack, config: PreprocessConfig) -> ImageStatistics:
    """Statistics of up to 1000 images at a regular stride, before any window.

    The transform is extended to both ends of the Nyquist row and column, and its own mean is removed, so
    that the scale is that of the published system.

    Raises
    ------
    InputError
        If none of the sampled images holds a signal.
    """
    stride = max(1, len(stack) // SAMPLE_SIZE)
    rows = np.arange(0, len(stack), stride)[:SAMPLE_SIZE]
    moments = np.zeros(3)
    background, spread = [], []
    outside = background_pixels(stack.box_size)
    subtract: bool | None = {"auto": None, "keep": False, "subtract": True}[config.background]
    blocks = np.array_split(rows, max(1, len(rows) // 100))
    for block in blocks:
        images = _good_images(stack, block)
        if len(images):
            background.append(images[:, outside].mean(dim=1))
            spread.append(images.std(dim=(1, 2)))
    if not spread:
        raise InputError("the images sampled are all constant or not finite: is this a stack of particles?")
    in_std = (torch.cat(background).abs() / torch.cat(spread)).median().item()
    if subtract is None:
        subtract = in_std > _BACKGROUND_TOLERANCE
    for block in blocks:
        images = _good_images(stack, block)
        if subtract:
            images = images - images[:, outside].mean(dim=1)[:, None, None]
        moments += _hartley_moments(images)
    mean = moments[1] / moments[0]
    scale = float(np.sqrt(moments[2] / moments[0] - mean**2))
    return ImageStatistics(scale, subtract, in_std)


def _good_images(stack: ImageStack, rows: np.ndarray) -> torch.Tensor:
    images = stack.read(rows)
    return torch.from_numpy(images[~find_bad_images(images)])


def _hartley_moments(images: torch.Tensor) -> np.ndarray:
    """Count, sum and sum of squares of the Hartley coefficients on the symmetric (D+1)^2 grid."""
    if not len(images):
        return np.zeros(3)
    values = hartley_2d(images).double()
    values = torch.cat([values, values[:, :1]], dim=1)
    values = torch.cat([values, values[:, :, :1]], dim=2)
    return np.array([values.numel(), values.sum().item(), values.square().sum().item()])


class Preprocessor:
    """Turns blocks of images (n, D, D) into coefficients (n, P, 2), content centred by the given shifts."""

    def __init__(self, plane: HalfPlane, config: PreprocessConfig, statistics: ImageStatistics) -> None:
        self.plane = plane
        sign = -1.0 if config.invert else 1.0
        self._weight = window_of(config, plane.box_size) * (sign / statistics.scale)
        self._outside = background_pixels(plane.box_size) if statistics.subtract_background else None

    def __call__(self, images: torch.Tensor, shift_fraction: torch.Tensor | None) -> torch.Tensor:
        """Complex64 (n, P); ``shift_fraction`` (n, 2) as (x, y) of the box, content moves by +shift."""
        if self._outside is not None:
            images = images - images[:, self._outside].mean(dim=1)[:, None, None]
        coefficients = half_plane_coefficients(images * self._weight, self.plane)
        if shift_fraction is None:
            return coefficients
        box = self.plane.box_size
        return coefficients * shift_phase(self.plane.k, shift_fraction.float() * box, box)
