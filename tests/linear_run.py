"""A finished run folder of a linear engine, made without training."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from cryoscape.engines.latent_table import LatentTable, write_latents
from cryoscape.engines.linear_maps import LinearMaps, LinearWeights, write_linear_maps
from cryoscape.engines.run_files import write_run_files

N, BOX, ZDIM = 60, 16, 3
PIXEL_SIZE_ANGSTROM = 2.5


def blob(x: float, y: float, z: float) -> np.ndarray:
    """A Gaussian ball, coordinates in px from the centre."""
    axis = np.arange(BOX) - BOX // 2
    square = (axis[:, None, None] - z) ** 2 + (axis[:, None] - y) ** 2 + (axis - x) ** 2
    return np.exp(-square / 4).astype(np.float32)


def linear_maps() -> LinearMaps:
    """A ball, and three that come and go."""
    bases = np.stack([blob(4, 0, 0), blob(0, 4, 0), blob(0, 0, 4)])
    return LinearMaps(3 * blob(0, 0, 0), bases, PIXEL_SIZE_ANGSTROM)


def latent_table(states: bool = False) -> LatentTable:
    """Latents of four clusters along z0."""
    rng = np.random.default_rng(0)
    cluster = np.arange(N) % 4
    mean = 0.1 * rng.normal(size=(N, ZDIM))
    mean[:, 0] += cluster
    return LatentTable(
        mean=mean.astype(np.float32),
        covariance=np.tile(0.04 * np.eye(ZDIM, dtype=np.float32), (N, 1, 1)),
        log_likelihood=rng.normal(size=N).astype(np.float32),
        contrast=rng.uniform(0.8, 1.2, N).astype(np.float32),
        junk_score=rng.normal(size=N).astype(np.float32),
        state=cluster if states else None,
    )


def write_linear_run(folder: Path, engine: str = "subspace", **images: Any) -> Path:
    """Every file of a finished run but its log; ``images`` are entries of dataset_args."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = 2 * np.arange(N, dtype=np.int64)
    write_run_files(
        folder,
        engine=engine,
        box_size=BOX,
        model_args={"zdim": ZDIM},
        dataset_args={"particles": "s.mrcs", "invert_data": True, **images},
        training={"seed": 4, "mask": "solvent"},
        record={"command": ["cryoscape", f"train_{engine}"], "pixel_size_angstrom": PIXEL_SIZE_ANGSTROM},
        rows=rows,
    )
    write_latents(folder, latent_table(engine == "states"), rows)
    write_linear_maps(folder / "weights.pkl", LinearWeights(linear_maps(), torch.ones(BOX // 2)))
    return folder
