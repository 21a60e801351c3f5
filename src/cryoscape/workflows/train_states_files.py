"""The files of a states run: tables and maps of states, beside those of every run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cryoscape.engines.latent_table import write_latents
from cryoscape.engines.linear_maps import LinearWeights, write_linear_maps
from cryoscape.engines.run_folder import RunFolder
from cryoscape.engines.states.fit import StatesResult
from cryoscape.io.atomic import replace_when_done, write_text
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.io.mrc import write_volume
from cryoscape.physics.fsc import fourier_shell_correlation, resolution_angstrom
from cryoscape.typing import Rows

_THRESHOLD = 0.143


@dataclass(frozen=True)
class StateLine:
    """A line of states.csv: particles by likeliest state, share by probabilities."""

    state: int
    particles: int
    share: float
    stability: float
    resolution_angstrom: float


def write_states(folder: Path, result: StatesResult, rows: Rows) -> list[StateLine]:
    """Write everything that was found; weights last, so that weights present mean that the run is whole."""
    write_latents(folder, result.latents, rows)
    write_array_pickle(folder / "states.pkl", result.states.astype(np.int64))
    with replace_when_done(folder / "probabilities.npy") as temporary, temporary.open("wb") as stream:
        np.save(stream, result.probabilities.astype(np.float32))
    counts = np.bincount(result.states, minlength=len(result.shares))
    lines = []
    for k in range(len(result.centres)):
        resolution = _write_maps(folder, result, k)
        lines.append(
            StateLine(k, int(counts[k]), float(result.shares[k]), float(result.stability[k]), resolution)
        )
    header = "state,particles,share,stability,resolution_angstrom\n"
    text = "".join(
        f"{line.state},{line.particles},{line.share:.5f},{line.stability:.4f},{line.resolution_angstrom:.3f}\n"
        for line in lines
    )
    write_text(folder / "states.csv", header + text)
    weights = LinearWeights(result.maps, result.noise_variance)
    write_linear_maps(RunFolder(folder).weights(None), weights)
    return lines


def _write_maps(folder: Path, result: StatesResult, k: int) -> float:
    """Map and half maps of a state; their resolution at an FSC of 0.143."""
    at, pixel_size = result.centres[k : k + 1], result.maps.pixel_size_angstrom
    halves = [half.volumes(at)[0] for half in result.halves]
    for name, volume in zip(("", "_half_a", "_half_b"), (result.maps.volumes(at)[0], *halves), strict=True):
        write_volume(folder / f"state_{k:03d}{name}.mrc", volume, pixel_size)
    a, b = (torch.from_numpy(np.ascontiguousarray(half)) for half in halves)
    return resolution_angstrom(fourier_shell_correlation(a, b), _THRESHOLD, len(halves[0]), pixel_size)
