"""A small heterogeneous data set with exact central slices: sums of Gaussian blobs, known in closed form."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.metadata import Particles, Poses
from cryoscape.physics.grids import half_plane

BOX = 16
SIGMA_PX = 1.1


@dataclass(frozen=True)
class Blobs:
    """Images, the state of each, and the true maps."""

    store: FourierStore
    state: np.ndarray
    centres: np.ndarray  # (states, blobs, 3) in px from the centre, (x, y, z)

    def volume(self, state: int) -> np.ndarray:
        """True map [z, y, x] in real space."""
        axis = np.arange(BOX) - BOX // 2
        z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        total = np.zeros((BOX, BOX, BOX))
        for cx, cy, cz in self.centres[state]:
            square = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2
            total += np.exp(-square / (2 * SIGMA_PX**2)) / (2 * np.pi * SIGMA_PX**2) ** 1.5
        return total


def make_blobs(n: int, noise: float, seed: int = 0) -> Blobs:
    """Two states that share four blobs and differ in the place of one."""
    generator = np.random.default_rng(seed)
    shared = np.array([[0, 0, 0], [2.5, 1, -1], [-2, 2.5, 1], [0.5, -2.5, 2]], dtype=float)
    centres = np.stack([np.vstack([shared, [[4.0, 0, 2]]]), np.vstack([shared, [[-3.0, -3, -2]]])])
    plane = half_plane(BOX)
    rotations = Rotation.random(n, rng=generator).as_matrix()
    state = generator.integers(0, 2, n)
    k = plane.k.numpy() / BOX
    q = np.einsum("pi,nij->npj", np.pad(k, ((0, 0), (0, 1))), rotations)
    envelope = np.exp(-2 * np.pi**2 * SIGMA_PX**2 * (k**2).sum(1))
    phase = np.einsum("npj,naj->npa", q, centres[state])
    clean = envelope * np.exp(-2j * np.pi * phase).sum(-1)
    scale = float(np.sqrt((np.abs(clean) ** 2).mean()) * np.sqrt(1 + noise**2))
    sigma = noise * np.sqrt((np.abs(clean) ** 2).mean() / 2)
    noisy = clean + sigma * (generator.normal(size=clean.shape) + 1j * generator.normal(size=clean.shape))
    values = np.stack([noisy.real, noisy.imag], axis=-1).astype(np.float32) / scale
    particles = Particles(
        images=None,
        row=np.arange(n) * 2,  # as if every other row had been selected
        uid=None,
        poses=Poses(rotation=rotations, shift_fraction=np.zeros((n, 2))),
        ctf=None,
        data_sign=None,
        source=Path("blobs.mrcs"),
        box_size_px=BOX,
        n_original=2 * n,
    )
    return Blobs(FourierStore(plane, values, scale, particles, PreprocessConfig()), state, centres)


@pytest.fixture(scope="session")
def blobs() -> Blobs:
    """800 images, noise as strong as the signal."""
    return make_blobs(800, noise=1.0)


@pytest.fixture(scope="session")
def few_blobs() -> Blobs:
    """45 images: with batches of 8 an epoch is six steps, the last one small."""
    return make_blobs(45, noise=0.5, seed=1)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
