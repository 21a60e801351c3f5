"""The images of a whole simulation: all noiseless ones first, then scaled and given their noise."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from cryoscape.errors import InputError
from cryoscape.io.mrc import StackWriter
from cryoscape.particles.simulation_drawing import EDGE_SOURCE, DrawnParticles, ImagingConfig
from cryoscape.particles.simulation_imaging import Projector, draw_edges, draw_noise
from cryoscape.particles.simulation_states import DensityMaker, State

_NOISE_CHUNK = 256
"""Images a random stream: fixed, so that the same seed gives the same noise on every machine."""
_EDGE_STRENGTH = 3.0
"""Standard deviation of an edge, in that of the noiseless images of states."""
Update = Callable[[int], None]


@dataclass(frozen=True)
class SignalLevels:
    """What the images were multiplied by (maps are, too), and variances after that."""

    scale: float
    signal_variance: float
    noise_variance: float


@contextmanager
def scratch_images(folder: Path, n: int, box_size: int) -> Iterator[Float[np.ndarray, "n y x"]]:
    """An array on disk for images in the making, removed at the end."""
    path = folder / ".noiseless.part"
    try:
        yield np.memmap(path, dtype=np.float32, mode="w+", shape=(n, box_size, box_size))
    finally:
        path.unlink(missing_ok=True)


def project_all(
    out: Float[np.ndarray, "n y x"],
    states: Sequence[State],
    make_density: DensityMaker,
    particles: DrawnParticles,
    config: ImagingConfig,
    update: Update = lambda done: None,
) -> float:
    """Fill ``out`` with noiseless images, structure by structure, and return their variance.

    The variance is that of all pixels of the images that show a state (junk does not count).

    Raises
    ------
    InputError
        If no image shows anything.
    """
    projector = Projector(config)
    moments = np.zeros(3)
    done = int((particles.source < 0).sum())
    out[particles.source < 0] = 0
    for number, state in enumerate(states):
        rows = np.flatnonzero(particles.source == number)
        if not len(rows):
            continue
        values = projector.transform(make_density(state))
        for start in range(0, len(rows), projector.batch_size):
            batch = rows[start : start + projector.batch_size]
            images = projector.images(values, particles, batch)
            out[batch] = images.numpy()
            told = images[torch.from_numpy(particles.label[batch] >= 0)]
            if len(told):
                flat = told.double()
                moments += (flat.numel(), float(flat.sum()), float(flat.square().sum()))
            done += len(batch)
            update(done)
    variance = moments[2] / moments[0] - (moments[1] / moments[0]) ** 2 if moments[0] else 0.0
    if not variance > 0:
        raise InputError("the images show nothing: no atom lies in the box, or no particle has a structure")
    _fill_edges(out, particles, config, _EDGE_STRENGTH * float(variance) ** 0.5)
    return float(variance)


def _fill_edges(
    out: Float[np.ndarray, "n y x"], particles: DrawnParticles, config: ImagingConfig, strength: float
) -> None:
    rng = np.random.default_rng([config.seed, 6])
    rows = np.flatnonzero(particles.source == EDGE_SOURCE)
    for start in range(0, len(rows), _NOISE_CHUNK):
        batch = rows[start : start + _NOISE_CHUNK]
        scale = strength * particles.contrast[batch].astype(np.float32)
        out[batch] = scale[:, None, None] * draw_edges(len(batch), config.box_size, rng).numpy()


def levels_for(variance: float, snr: float) -> SignalLevels:
    """Scale that gives noise unit variance at this SNR; without noise the images have unit variance."""
    if np.isinf(snr):
        return SignalLevels(variance**-0.5, 1.0, 0.0)
    return SignalLevels((snr / variance) ** 0.5, snr, 1.0)


def write_noisy_stack(
    path: Path,
    noiseless: Float[np.ndarray, "n y x"],
    levels: SignalLevels,
    config: ImagingConfig,
    update: Update = lambda done: None,
) -> None:
    """Write scale x noiseless + noise as a stack; it appears under its name when whole."""
    n, box = len(noiseless), config.box_size
    with StackWriter(path, n, box, config.pixel_size_angstrom) as stack:
        for start in range(0, n, _NOISE_CHUNK):
            images = torch.from_numpy(np.array(noiseless[start : start + _NOISE_CHUNK])) * levels.scale
            if levels.noise_variance:
                stream = np.random.SeedSequence([config.seed, 2, start]).generate_state(1, np.uint64)[0]
                generator = torch.Generator().manual_seed(int(stream >> np.uint64(1)))
                images += levels.noise_variance**0.5 * draw_noise(len(images), config.noise, box, generator)
            stack.append(images.numpy())
            update(start + len(images))
