"""Small tests with known answers, of what all commands stand on."""

import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from cryoscape.io.mrc import read_volume, write_volume
from cryoscape.physics.fourier import fourier_2d, inverse_fourier_2d
from cryoscape.physics.grids import half_plane
from cryoscape.physics.rotations import random_rotations
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.volume_grid import volume_to_grid

_BOX = 32
_SIGMA_PX = 2.5
_CENTRE_PX = (1.0, -0.5, 1.5)
"""Of the blob, (x, y, z) from the middle of the box: off it, so that slices depend on the rotation."""
_N_IMAGES = 200
_FILE_BOX = 160


def transforms() -> tuple[bool, str]:
    """Transform images forth and back; answers whether they return, and the rate."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(_N_IMAGES, 128, 128, generator=generator)
    start = time.perf_counter()
    back = inverse_fourier_2d(fourier_2d(images))
    seconds = time.perf_counter() - start
    error = float((back - images).abs().max())
    return error < 1e-4, f"{_N_IMAGES / seconds:,.0f} images of 128 px a second, error {error:.0e}"


def compiled_slices() -> tuple[bool, str]:
    """Slices of a Gaussian blob against its transform in closed form; compiles or loads the kernels."""
    axis = (torch.arange(_BOX) - _BOX // 2).float()
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    squares = torch.stack([(a - c) ** 2 for a, c in zip((x, y, z), _CENTRE_PX, strict=True)]).sum(0)
    blob = torch.exp(-squares / (2 * _SIGMA_PX**2))
    plane = half_plane(_BOX, _BOX / 2 - 1)
    grid = FourierGrid(_BOX // 2)
    rotations = random_rotations(_N_IMAGES, torch.Generator().manual_seed(0))
    values = volume_to_grid(blob, grid)
    extract_slices(values, grid, rotations[:1], plane.k)
    start = time.perf_counter()
    slices = extract_slices(values, grid, rotations, plane.k)[..., 0]
    seconds = time.perf_counter() - start
    k = plane.k.float() / _BOX
    phase = -2 * math.pi * (k @ rotations[:, :2] @ torch.tensor(_CENTRE_PX))
    peak = (math.sqrt(2 * math.pi) * _SIGMA_PX) ** 3
    size = peak * torch.exp(-2 * (math.pi * _SIGMA_PX) ** 2 * (k**2).sum(-1))
    error = float((slices - torch.polar(size.expand_as(phase), phase)).abs().max()) / peak
    return error < 3e-2, f"{_N_IMAGES / seconds:,.0f} slices of {_BOX} px a second, error {error:.0e}"


def files(folder: Path) -> tuple[bool, str]:
    """Write a map in the folder, read it again, remove it."""
    volume = np.random.default_rng(0).standard_normal((_FILE_BOX,) * 3).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix=".cryoscape-doctor-", dir=folder) as place:
        path = Path(place) / "map.mrc"
        start = time.perf_counter()
        write_volume(path, volume, 1.5)
        back = read_volume(path)
        seconds = time.perf_counter() - start
    same = np.array_equal(back.data, volume) and abs(back.pixel_size_angstrom - 1.5) < 1e-5
    return (
        same,
        f"{volume.nbytes / 1e6:.0f} MB written and read in {1000 * seconds:.0f} ms",
    )
