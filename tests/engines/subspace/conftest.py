"""Images of Gaussian balls, whose transforms are known in closed form, and random numbers of right shapes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from cryoscape.engines.subspace.support import Support
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.metadata import CtfTable, Particles, Poses
from cryoscape.physics.grids import half_plane
from cryoscape.physics.masks import soft_sphere
from cryoscape.physics.slices import FourierGrid

BOX, PIXEL_SIZE_ANGSTROM = 16, 4.0
SIGMA_PX = 1.3
SHARED = np.array([[0, 0, 0], [2.2, 1, -1], [-2, 2, 1], [0.5, -2.2, 2]])
MOVING = np.array([[3.6, 0, 1.5], [-2.6, -2.6, -1.5], [0.0, 2.5, -3.0]])


@dataclass(frozen=True)
class Balls:
    """Images of three states, and what they were made from.

    Attributes
    ----------
    clean : (N, P) coefficients without noise, in the units of the store.
    noise_variance : E |noise|^2 of a coefficient of the store.
    """

    store: FourierStore
    state: np.ndarray
    contrast: np.ndarray
    junk: np.ndarray
    clean: np.ndarray
    noise_variance: float

    def volume(self, state: int) -> np.ndarray:
        """True map [z, y, x] of a state."""
        return ball_map(np.vstack([SHARED, MOVING[state : state + 1]]), self.store.box_size)

    def mean_volume(self) -> np.ndarray:
        """Mean of the true maps over the particles."""
        share = np.bincount(self.state[~self.junk], minlength=len(MOVING)) / (~self.junk).sum()
        return sum(share[s] * self.volume(s) for s in range(len(MOVING)))


def ball_map(centres: np.ndarray, box: int) -> np.ndarray:
    """Sum of balls of weight one at (x, y, z) from the centre."""
    axis = np.arange(box) - box // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    total = np.zeros((box, box, box))
    for cx, cy, cz in centres:
        square = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2
        total += np.exp(-square / (2 * SIGMA_PX**2)) / (2 * np.pi * SIGMA_PX**2) ** 1.5
    return total


def make_balls(
    n: int,
    noise: float = 1.0,
    *,
    seed: int = 0,
    box: int = BOX,
    n_states: int = 3,
    contrast_spread: float = 0.0,
    junk_share: float = 0.0,
    with_ctf: bool = False,
) -> Balls:
    """Projections of the states at random; noise relative to the root mean square of the signal."""
    rng = np.random.default_rng(seed)
    plane = half_plane(box)
    rotation = Rotation.random(n, rng=rng).as_matrix()
    state = rng.integers(0, n_states, n)
    contrast = np.clip(rng.normal(1, contrast_spread, n), 0.1, None)
    junk = rng.random(n) < junk_share
    particles = Particles(
        images=None,
        row=np.arange(n),
        uid=None,
        poses=Poses(rotation=rotation, shift_fraction=np.zeros((n, 2))),
        ctf=_ctf_table(n, box, rng) if with_ctf else None,
        data_sign=None,
        source=Path("balls.mrcs"),
        box_size_px=box,
        n_original=n,
        pixel_size_angstrom=np.full(n, PIXEL_SIZE_ANGSTROM),
    )
    settings = PreprocessConfig(window=False)
    empty = np.zeros((n, plane.n_pixels, 2), np.float32)
    ctf = FourierStore(plane, empty, 1.0, particles, settings).ctf(torch.arange(n)).numpy()
    clean = ctf * (contrast * ~junk)[:, None] * projections(rotation, state, plane.k.numpy(), box)
    power = float((np.abs(clean) ** 2).mean() / max((~junk).mean(), 1e-9))
    scale = np.sqrt(power * (1 + noise**2))
    sigma = noise * np.sqrt(power / 2)
    noisy = clean + sigma * (rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape))
    values = np.stack([noisy.real, noisy.imag], axis=-1).astype(np.float32) / np.float32(scale)
    store = FourierStore(plane, values, float(scale), particles, settings)
    return Balls(store, state, contrast, junk, clean / scale, 2 * (sigma / scale) ** 2)


def projections(rotation: np.ndarray, state: np.ndarray, k: np.ndarray, box: int) -> np.ndarray:
    """Closed-form central slices (N, P) of each image's state."""
    k = k / box
    q = np.einsum("pi,nij->npj", k, rotation[:, :2])
    envelope = np.exp(-2 * np.pi**2 * SIGMA_PX**2 * (k**2).sum(1))
    shared = np.exp(-2j * np.pi * np.einsum("npj,aj->npa", q, SHARED)).sum(-1)
    moving = np.exp(-2j * np.pi * np.einsum("npj,nj->np", q, MOVING[state]))
    return envelope * (shared + moving)


def _ctf_table(n: int, box: int, rng: np.random.Generator) -> CtfTable:
    one = np.ones(n)
    defocus = rng.uniform(8000, 15000, n)
    sizes = (box * one, PIXEL_SIZE_ANGSTROM * one)
    return CtfTable(*sizes, defocus, defocus - 200, 30 * one, 300 * one, 2.7 * one, 0.1 * one, 0 * one)


@dataclass(frozen=True)
class RandomImages:
    """Random maps on a grid and random images of a few directions: no structure that could hide a fault."""

    support: Support
    maps: Tensor
    coefficients: Tensor
    ctf: Tensor
    rotations: Tensor
    k: Tensor
    noise_variance: Tensor

    @property
    def grid(self) -> FourierGrid:
        return self.support.grid


def random_images(n_images: int = 9, n_maps: int = 3, radius: int = 5, box: int = 14) -> RandomImages:
    """Everything random but the frequencies; the first image looks along z, so x = 0 and y = 0 are hit."""
    generator = torch.Generator().manual_seed(3)
    plane = half_plane(box, float(radius))
    rotations = torch.from_numpy(Rotation.random(n_images, random_state=1).as_matrix()).float()
    rotations[0] = torch.eye(3)
    shape = (n_images, plane.n_pixels)
    support = Support(soft_sphere(box, 0.3 * box, 2.0), FourierGrid(radius))
    return RandomImages(
        support,
        torch.randn(n_maps, box, box, box, generator=generator) * support.mask,
        torch.complex(torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)),
        torch.randn(shape, generator=generator),
        rotations,
        plane.k.float(),
        torch.rand(plane.n_pixels, generator=generator) + 0.5,
    )


@pytest.fixture(scope="session")
def balls() -> Balls:
    """600 images of three states with a CTF, noise as strong as the signal."""
    return make_balls(600, with_ctf=True)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
