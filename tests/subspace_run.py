"""A finished run of train_subspace, made without training, with the state that later trainings start from."""

from pathlib import Path

import numpy as np
import torch

from cryoscape.engines.latent_table import LatentTable, write_latents
from cryoscape.engines.linear_maps import LinearMaps, LinearWeights, write_linear_maps
from cryoscape.engines.run_files import write_run_files

N, BOX, PIXEL = 20, 16, 1.5


def subspace_run(folder: Path, n: int = N, engine: str = "subspace") -> Path:
    """A finished run of train_subspace with two components."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    bases = rng.normal(size=(2, BOX, BOX, BOX)).astype(np.float32)
    state = {
        "maps": torch.from_numpy(rng.normal(size=(2, 4, BOX, BOX, BOX))).float(),
        "power": torch.ones(9, 4),
        "noise": torch.ones(9),
        "contrast_spread": 0.1,
        "mask": torch.ones(BOX, BOX, BOX),
    }
    write_run_files(
        folder,
        engine=engine,
        box_size=BOX,
        model_args={"zdim": 2},
        dataset_args={"invert_data": True},
        training={"seed": 5},
        record={"command": ["x"], "n_images": n, "pixel_size_angstrom": PIXEL, "result": {"radius": 7}},
        rows=np.arange(n),
    )
    scores = np.zeros(n, np.float32)
    write_latents(folder, LatentTable(np.zeros((n, 2), np.float32), None, *[scores] * 3), np.arange(n))
    maps = LinearMaps(np.ones((BOX,) * 3, np.float32), bases, PIXEL)
    write_linear_maps(folder / "weights.pkl", LinearWeights(maps, torch.ones(9), state))
    return folder
