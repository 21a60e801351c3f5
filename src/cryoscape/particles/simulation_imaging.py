"""From maps to particle images: central slices, transfer function, shifts, noise.

An image is -contrast x CTF x slice + noise: with the sign of the CTF (negative at low frequency) particles
are light on dark, as extraction programs write them, so the default sign of every command is right.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryoscape.particles.metadata import CtfTable
from cryoscape.particles.simulation_drawing import DrawnParticles, ImagingConfig, Noise
from cryoscape.physics.ctf import contrast_transfer
from cryoscape.physics.grids import half_plane
from cryoscape.physics.shifts import shift_phase
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.volume_grid import volume_to_grid

_VALUES_A_BATCH = 1 << 21
_NOISE_FLOOR = 0.3
_NOISE_KNEE = 0.15
_EDGE_WIDTH_PX = 1.0
_EDGE_REACH = 0.35


class Projector:
    """Noiseless images of maps on a grid; slices are read from a padded, oversampled transform.

    Parameters
    ----------
    config
        Box, pixel size and envelope.
    """

    def __init__(self, config: ImagingConfig) -> None:
        box = config.box_size
        self._config = config
        # At four times the sampling the error of an image is about 1 %; memory forbids it in large boxes.
        self._grid = FourierGrid(box // 2, oversampling=4 if box <= 64 else 3 if box <= 160 else 2)
        plane = half_plane(box)
        self._k = torch.cat([torch.zeros(1, 2, dtype=plane.k.dtype), plane.k])
        self.batch_size = max(8, _VALUES_A_BATCH // len(self._k))

    def transform(self, density: Float[Tensor, "z y x"]) -> Float[Tensor, "v 1 2"]:
        """Grid of a map, for `images`."""
        return volume_to_grid(density, self._grid)

    def images(
        self, values: Float[Tensor, "v 1 2"], particles: DrawnParticles, rows: Int[np.ndarray, " b"]
    ) -> Float[Tensor, "b y x"]:
        """Noiseless images of the particles in ``rows``, all of one map; content lies at -shift."""
        box = self._config.box_size
        rotation = torch.from_numpy(particles.true_rotation[rows]).float()
        slices = extract_slices(values, self._grid, rotation, self._k)[..., 0]
        shift_px = torch.from_numpy(particles.poses.shift_fraction[rows] * box).float()
        strength = torch.from_numpy(-particles.contrast[rows]).float()
        transfer = self._transfer(particles.ctf, rows) * strength[:, None]
        return images_from_half_plane(slices * shift_phase(self._k, -shift_px, box) * transfer, self._k, box)

    def _transfer(self, table: CtfTable, rows: Int[np.ndarray, " b"]) -> Float[Tensor, "b p"]:
        config = self._config
        envelope = torch.full((len(rows),), float(config.b_factor_angstrom2))
        parameters = replace(table.parameters(rows), b_factor_angstrom2=envelope)
        frequencies = self._k.float() / (config.box_size * config.pixel_size_angstrom)
        return contrast_transfer(frequencies, parameters)


def images_from_half_plane(
    coefficients: Complex[Tensor, "b p"], k: Int[Tensor, "p 2"], box_size: int
) -> Float[Tensor, "b y x"]:
    """Real images of their coefficients at k (origin included), kx > 0 or kx = 0 and ky >= 0.

    What is not given is 0; of a Nyquist frequency, which is its own opposite, the real part counts.
    """
    columns = box_size // 2 + 1
    kx, ky = k[:, 0], k[:, 1]
    spectrum = torch.zeros(len(coefficients), box_size * columns, dtype=coefficients.dtype)
    nyquist = (kx == box_size // 2) | (ky == box_size // 2)
    values = torch.where(nyquist | ((kx == 0) & (ky == 0)), coefficients.real.to(coefficients), coefficients)
    spectrum[:, (ky % box_size) * columns + kx] = values
    axis = (kx == 0) & (ky > 0)
    spectrum[:, (-ky[axis] % box_size) * columns] = values[:, axis].conj()
    images = torch.fft.irfft2(spectrum.reshape(-1, box_size, columns), s=(box_size, box_size))
    return torch.fft.fftshift(images, dim=(-2, -1))


def noise_power(kind: Noise, box_size: int) -> Float[Tensor, "y c"]:
    """Power of the noise at each frequency of an uncentred half transform, (D, D/2 + 1); mean over all is 1.

    "radial" is proportional to 0.3 + 0.7 / (1 + (r / 0.15)^2), r in units of Nyquist.
    """
    columns = box_size // 2 + 1
    if kind == "white":
        return torch.ones(box_size, columns)
    y = torch.fft.fftfreq(box_size) * 2
    radius_squared = y[:, None] ** 2 + y.abs()[None, :] ** 2
    power = _NOISE_FLOOR + (1 - _NOISE_FLOOR) / (1 + radius_squared / _NOISE_KNEE**2)
    return (power / power.mean())[:, :columns]


def draw_noise(n: int, kind: Noise, box_size: int, generator: torch.Generator) -> Float[Tensor, "n y x"]:
    """Noise images of unit variance."""
    noise = torch.randn(n, box_size, box_size, generator=generator)
    if kind == "white":
        return noise
    spectrum = torch.fft.rfft2(noise) * noise_power(kind, box_size).sqrt()
    return torch.fft.irfft2(spectrum, s=(box_size, box_size))


def draw_edges(n: int, box_size: int, rng: np.random.Generator) -> Float[Tensor, "n y x"]:
    """Images of the straight edge of a film, of mean 0 and variance 1.

    The step lies anywhere up to 0.35 of the box from the centre, in any direction, and either side may be the
    lighter one. The CTF has no part in it: absorption makes most of this contrast.
    """
    axis = np.arange(box_size) - box_size // 2
    angle = rng.uniform(0, 2 * np.pi, n)[:, None, None]
    offset = rng.uniform(-_EDGE_REACH, _EDGE_REACH, n)[:, None, None] * box_size
    distance = np.cos(angle) * axis + np.sin(angle) * axis[:, None] - offset
    images = np.tanh(distance / (2 * _EDGE_WIDTH_PX))
    images -= images.mean(axis=(1, 2), keepdims=True)
    images /= images.std(axis=(1, 2), keepdims=True)
    return torch.from_numpy(images).float()
