"""Do half maps of regression say how good the maps are? Their FSC against the truth of a simulated set.

    python benchmarks/fsc_honesty.py sets/assembly --run out/assembly/subspace -o out/fsc-assembly.json

Maps are made by regression at the particle in the middle of each of at most ``-n`` states, evenly chosen.
Half maps that correlate as h promise that the full map correlates with the truth as C = sqrt(2 h / (1 + h))
(Rosenthal & Henderson 2003): half maps at 0.143 stand for the truth at 0.5, half maps at 0.5 for the truth at
0.816. Both are compared, shell by shell and where they cross; a positive difference is a promise not kept.
The same is done for what differs between states: maps less the map of all particles, since a resolution that
rests on what all states share would hide a mistake in what they do not.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from bounds import bounds_of
from cryoscape.engines.regression.fit import RegressedMap, Regression
from cryoscape.engines.run_folder import LoadedRun, load_run
from cryoscape.errors import InputError
from cryoscape.io.atomic import write_text
from cryoscape.physics.fsc import (
    density_mask,
    fourier_shell_correlation,
    half_map_curves,
    resolution_shell,
)
from cryoscape.physics.masks import soft_sphere
from cryoscape.workflows.regressed_maps import images_of, preprocessing_of, regression_of
from datasets import Truth, load_truth
from scores import per_image_auc, recovered_fraction

CRITERIA = ((0.143, 0.5), (0.5, (2 / 3) ** 0.5))
"""Half-map correlation, and correlation of the full map with the truth that it stands for."""
_MASK_ANGSTROM = (6.0, 6.0)
_COLUMNS = ("map", "half 0.143", "truth 0.5", "half 0.5", "truth 0.816", "C promised - found", "worst shell")


@dataclass(frozen=True)
class Honesty:
    """What half maps promise of one map, and what the truth says.

    Attributes
    ----------
    half_shells, truth_shells : where either curve crosses, by `CRITERIA`; the last shell where it does not.
    mean_excess, largest_excess : C promised less C found, over the shells up to the last before Nyquist.
    """

    half_shells: tuple[float, ...]
    truth_shells: tuple[float, ...]
    mean_excess: float
    largest_excess: float


def promised(halves: torch.Tensor) -> torch.Tensor:
    """Correlation with the truth that a correlation of half maps stands for."""
    positive = halves.clamp(min=0)
    return (2 * positive / (1 + positive)).sqrt()


def judge(halves: torch.Tensor, found: torch.Tensor) -> Honesty:
    """Compare the curve of half maps with that of the full map and the truth, (S,) each."""
    last = len(halves) - 1
    pairs = [(resolution_shell(halves, half), resolution_shell(found, truth)) for half, truth in CRITERIA]
    excess = (promised(halves) - found)[1:last]
    return Honesty(
        tuple(float(last) if half is None else half for half, _ in pairs),
        tuple(float(last) if truth is None else truth for _, truth in pairs),
        float(excess.mean()),
        float(excess.max()),
    )


def of_map(made: RegressedMap, truth: np.ndarray, pixel_size_angstrom: float) -> Honesty:
    """Judge the corrected curve that `reconstruct` reports, and the truth within the same mask."""
    sphere = _sphere(truth.shape[-1])
    mask = density_mask((made.half_a + made.half_b) / 2 * sphere, pixel_size_angstrom, *_MASK_ANGSTROM)
    curves = half_map_curves(made.half_a, made.half_b, pixel_size_angstrom, mask)
    return judge(
        curves.corrected, fourier_shell_correlation(made.full * mask, torch.from_numpy(truth) * mask)
    )


def of_difference(
    made: RegressedMap, common: RegressedMap, truth: np.ndarray, true_mean: np.ndarray
) -> Honesty:
    """Judge what the map has beyond that of all particles, within a sphere."""
    sphere = _sphere(truth.shape[-1])
    a, b, full = (
        (getattr(made, name) - getattr(common, name)) * sphere for name in ("half_a", "half_b", "full")
    )
    true = (torch.from_numpy(truth) - torch.from_numpy(true_mean)) * sphere
    return judge(fourier_shell_correlation(a, b), fourier_shell_correlation(full, true))


def _sphere(box: int) -> torch.Tensor:
    return soft_sphere(box, 0.38 * box, 0.05 * box)


def middle_particles(z: np.ndarray, labels: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """At most n states, evenly chosen, and the row of the particle nearest to the mean latent of each."""
    states = np.unique(labels[labels >= 0])
    states = states[np.linspace(0, len(states) - 1, min(n, len(states))).round().astype(int)]
    rows = []
    for state in states:
        own = np.flatnonzero(labels == state)
        rows.append(own[((z[own] - z[own].mean(0)) ** 2).sum(1).argmin()])
    return states, np.array(rows)


class KeptMaps:
    """Maps made in one go, found again by their latents: what `scores.per_image_auc` asks for."""

    def __init__(self, z: np.ndarray, maps: Sequence[np.ndarray]) -> None:
        self.maps = {one.tobytes(): volume for one, volume in zip(z, maps, strict=True)}

    def volumes(self, z: np.ndarray) -> np.ndarray:
        """Maps (n, D, D, D) at latents that were made."""
        return np.stack([self.maps[one.tobytes()] for one in z])


def aucs(run: LoadedRun, regression: Regression, truth: Truth, n: int) -> dict[str, float]:
    """Per-image AUC-FSC of n maps by the run itself and by regression, and phi of both."""
    labels = truth.labels[run.original_rows]
    known = labels >= 0
    z, own = run.z[known], labels[known]
    points = z[:: max(1, len(z) // n)]
    made = regression.at_points(torch.from_numpy(points).float())
    kept = KeptMaps(points, [one.full.numpy() for one in made])
    bounds = bounds_of(truth.folder)
    found = {}
    for name, source in (("subspace", run.source), ("regression", kept)):
        auc = per_image_auc(source, z, own, truth.maps, n).mean
        found[f"auc_{name}"] = auc
        found[f"phi_{name}"] = recovered_fraction(auc, bounds.floor, bounds.oracle)
    return found


def measure(folder: Path, run_folder: Path, n_states: int, n_images: int) -> dict[str, object]:
    """All figures of a set and a run."""
    run, truth = load_run(run_folder), load_truth(folder)
    images = images_of(run)
    made = regression_of(run, images, preprocessing_of(run), run_folder, run.pixel_size_angstrom)
    regression = made.regression
    states, rows = middle_particles(run.z, truth.labels[run.original_rows], n_states)
    middle = run.z.mean(0, keepdims=True)  # of zero mean latent: the map of all particles
    points = torch.from_numpy(np.concatenate([middle, run.z[rows]])).float()
    common, *maps = regression.at_points(points)
    true_mean = np.einsum("k,kzyx->zyx", truth.fractions, truth.maps).astype(np.float32)
    names = [truth.names[state] for state in states]
    of_maps = [
        of_map(one, truth.maps[state], made.pixel_size_angstrom)
        for one, state in zip(maps, states, strict=True)
    ]
    differences = [
        of_difference(one, common, truth.maps[state], true_mean)
        for one, state in zip(maps, states, strict=True)
    ]
    return {
        "set": folder.name,
        "n_near": [one.n_near for one in maps],
        "maps": {name: asdict(one) for name, one in zip(names, of_maps, strict=True)},
        "differences": {name: asdict(one) for name, one in zip(names, differences, strict=True)},
        **aucs(run, regression, truth, n_images),
    }


def line(name: str, found: Sequence[dict[str, object]]) -> str:
    """A row of the table: means over maps; the worst shell is that of all."""
    half, truth = (
        np.array([one[key] for one in found], dtype=float).mean(0) for key in ("half_shells", "truth_shells")
    )
    excess = np.array([[one["mean_excess"], one["largest_excess"]] for one in found], dtype=float)
    cells = [name, f"{half[0]:.1f}", f"{truth[0]:.1f}", f"{half[1]:.1f}", f"{truth[1]:.1f}"]
    return f"| {' | '.join([*cells, f'{excess[:, 0].mean():+.3f}', f'{excess[:, 1].max():+.3f}'])} |"


def main() -> None:
    """Print the table of a set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path, help="folder of a simulated set")
    parser.add_argument("--run", type=Path, required=True, help="run folder of train_subspace on it")
    parser.add_argument("-n", type=int, default=14, help="states that are looked at")
    parser.add_argument("--images", type=int, default=100, help="maps of the AUC")
    parser.add_argument("-o", "--output", type=Path, help="JSON file for all figures")
    arguments = parser.parse_args()
    try:
        found = measure(arguments.set, arguments.run, arguments.n, arguments.images)
    except InputError as error:
        sys.exit(str(error))
    if arguments.output:
        write_text(arguments.output, json.dumps(found, indent=1))
    print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}")
    for key in ("maps", "differences"):
        entries = found[key]
        if isinstance(entries, dict):
            print(line(f"{arguments.set.name}, {key}", list(entries.values())))
    print(
        json.dumps({key: value for key, value in found.items() if key.startswith(("auc", "phi"))}, indent=1)
    )


if __name__ == "__main__":
    main()
