"""From raw images to centred, signed, scaled half-plane coefficients."""

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch

from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import PreprocessConfig
from cryoscape.particles.stack import ImageStack, find_bad_images
from cryoscape.particles.threads import in_blocks
from cryoscape.physics.fourier import hartley_2d
from cryoscape.physics.grids import HalfPlane
from cryoscape.physics.masks import soft_window_2d

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
    """Turns blocks of images into half-plane coefficients with their content centred.

    The same numbers as `physics.fourier.half_plane_coefficients` times `physics.shifts.shift_phase`, made
    block by block in the cache of each core: the phase of a shift is a product of one factor a row and one a
    column, and both take along the sign (-1)^(kx + ky) that moves the origin from the corner to the centre.
    """

    def __init__(
        self,
        plane: HalfPlane,
        config: PreprocessConfig,
        statistics: ImageStatistics,
        executor: Executor | None = None,
    ) -> None:
        self.plane = plane
        box = plane.box_size
        sign = -1.0 if config.invert else 1.0
        self._weight = (window_of(config, box) * (sign / statistics.scale)).numpy()
        self._outside = background_pixels(box).numpy() if statistics.subtract_background else None
        k = plane.k.numpy()
        self._index = (k[:, 1] % box) * (box // 2 + 1) + k[:, 0]
        self._executor = executor

    def __call__(self, images: np.ndarray, shift_fraction: np.ndarray | None) -> np.ndarray:
        """Complex64 (n, P) of images (n, D, D); see `fill`."""
        out = np.empty((len(images), self.plane.n_pixels, 2), dtype=np.float32)
        self.fill(out, images, shift_fraction)
        return out.view(np.complex64)[..., 0]

    def fill(
        self,
        out: np.ndarray,
        images: np.ndarray,
        shift_fraction: np.ndarray | None,
        pixel_scale: torch.Tensor | None = None,
    ) -> None:
        """Write coefficients of images (n, D, D) to ``out`` (n, P, 2), divided by ``pixel_scale`` (P,).

        ``shift_fraction`` (n, 2) is (x, y) as a fraction of the box; content moves by +shift.
        """

        def work(block: slice) -> None:
            shift = None if shift_fraction is None else shift_fraction[block]
            values = self._coefficients(images[block], shift)
            if pixel_scale is None:
                out[block] = values
            else:  # torch converts to half precision several times as fast as numpy
                scaled = torch.from_numpy(values) / pixel_scale[:, None]
                torch.from_numpy(out[block]).copy_(scaled)

        in_blocks(len(images), self.plane.box_size, work, self._executor)

    def _coefficients(self, images: np.ndarray, shift_fraction: np.ndarray | None) -> np.ndarray:
        if self._outside is not None:
            images = images - images[:, self._outside].mean(axis=1)[:, None, None]
        transform = scipy.fft.rfft2(images * self._weight)
        rows, columns = self._phases(len(images), shift_fraction)
        transform *= rows[:, :, None] * columns[:, None, :]
        chosen = transform.reshape(len(images), -1).take(self._index, axis=1)
        return chosen.view(np.float32).reshape(*chosen.shape, 2)

    def _phases(self, n: int, shift_fraction: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Factors (n, D) of the rows and (n, D / 2 + 1) of the columns; Nyquist counts as +D / 2."""
        half = self.plane.box_size // 2
        ky, kx = np.concatenate([np.arange(half + 1), np.arange(1 - half, 0)]), np.arange(half + 1)
        shift = np.zeros((n, 2)) if shift_fraction is None else shift_fraction
        rows, columns = (
            (1 - 2 * (k % 2)) * np.exp(-2j * np.pi * shift[:, axis, None] * k)
            for axis, k in ((1, ky), (0, kx))
        )
        return rows.astype(np.complex64), columns.astype(np.complex64)
