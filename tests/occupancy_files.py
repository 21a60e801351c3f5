"""A small model of three chains and maps of states that lack some of them, as files."""

from pathlib import Path

import numpy as np
import torch

from cryoscape.engines.latent_table import LatentTable, write_latents
from cryoscape.engines.linear_maps import LinearMaps, LinearWeights, write_linear_maps
from cryoscape.engines.run_files import write_run_files
from cryoscape.io.mrc import write_volume
from cryoscape.occupancy.model import MapGrid, element_map

BOX, VOXEL, RESOLUTION = 24, 5.0, 10.0
CHAINS = "ABC"
STATES = ("ABC", "AB", "AC")


def chain_atoms(chain: str) -> np.ndarray:
    """150 atoms of a chain, lopsided, (150, 3)."""
    rng = np.random.default_rng(ord(chain))
    at = {"A": (0, 0, 0), "B": (24, 6, -10), "C": (-12, 22, 16)}[chain]
    return np.round(BOX // 2 * VOXEL + np.array(at) + rng.normal(0, 6, (150, 3)) * [1.5, 1, 0.6], 3)


def write_model(path: Path, chains: str = CHAINS) -> Path:
    """A PDB file with Windows line ends."""
    lines = []
    for chain in chains:
        for i, (x, y, z) in enumerate(chain_atoms(chain), 1):
            head = f"ATOM  {len(lines) + 1:5d}  CA  GLY {chain}{i:4d}    "
            lines.append(f"{head}{x:8.3f}{y:8.3f}{z:8.3f}  1.00 20.00           C")
    path.write_bytes("\r\n".join([*lines, "END", ""]).encode())
    return path


def state_map(chains: str, seed: int = 0, noise: float = 0.02) -> np.ndarray:
    """Density of some chains on the grid, with a little noise."""
    shape = (BOX,) * 3
    total = sum(
        element_map(chain_atoms(c), np.full(150, 6.0), RESOLUTION, MapGrid(shape, VOXEL)).place(shape)
        for c in chains
    )
    spread = noise * float(np.std(total))
    return (total + np.random.default_rng(seed).normal(0, spread, shape)).astype(np.float32)


def write_maps(folder: Path, n: int = 9) -> Path:
    """vol_000.mrc..., map i of state i % 3."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        write_volume(folder / f"vol_{i:03d}.mrc", state_map(STATES[i % 3], i), VOXEL)
    return folder


def write_run(folder: Path, engine: str = "subspace", rows: np.ndarray | None = None) -> Path:
    """A linear run of 60 particles: particle i has all three chains, or lacks C, or B, by i % 3."""
    a, b, c = (state_map(chain, noise=0.0) for chain in "ABC")
    state = np.arange(60) % 3
    z = np.stack([state != 2, state != 1], axis=1).astype(np.float32)
    z += np.random.default_rng(0).normal(0, 0.02, z.shape).astype(np.float32)
    rows = np.arange(60, dtype=np.int64) if rows is None else rows
    folder.mkdir()
    write_run_files(
        folder, engine=engine, box_size=BOX, model_args={"zdim": 2},
        dataset_args={"particles": "s.mrcs", "invert_data": True}, training={"seed": 0, "mask": "solvent"},
        record={"command": [], "pixel_size_angstrom": VOXEL}, rows=rows,
    )  # fmt: skip
    ones = np.ones(60, np.float32)
    covariance = np.tile(0.01 * np.eye(2, dtype=np.float32), (60, 1, 1))
    table = LatentTable(
        mean=z, covariance=covariance, log_likelihood=ones, contrast=ones, junk_score=ones, state=None
    )
    write_latents(folder, table, rows)
    maps = LinearMaps(a, np.stack([b, c]), VOXEL)
    write_linear_maps(folder / "weights.pkl", LinearWeights(maps, torch.ones(BOX // 2)))
    return folder
