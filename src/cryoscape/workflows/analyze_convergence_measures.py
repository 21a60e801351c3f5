"""Measures of the whole network and of the encoder: the run's log of losses, and its latents."""

from pathlib import Path

import numpy as np

from cryoscape.analysis.convergence_plateau import Measure
from cryoscape.analysis.convergence_verdict import COSINE_DISTANCE, TOTAL_LOSS
from cryoscape.analysis.iteration_log import parse_iterations
from cryoscape.engines.run_folder import LoadedRun
from cryoscape.workflows.analyze_convergence_latents import LatentHistory
from cryoscape.workflows.analyze_pictures import learning_curve


def read_losses(run: LoadedRun, last: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(epochs as in the file names, total loss) up to the last epoch; None where no log holds any.

    Of networks on a subspace, the loss of images held out, since maps were last made again: losses of earlier
    maps are of another scale, and that of training changes with the weight of its KL term.
    """
    held_out = _held_out_losses(run.folder.path, last)
    if held_out is not None:
        return held_out
    curve = learning_curve(run.folder.path)
    if curve is None:
        return None
    # logs of cryoDRGN count from 1, also where its files count from 0
    shift = run.folder.epoch_base - 1 if not run.folder.record() and 0 not in curve.epoch else 0
    epoch = curve.epoch + shift
    known = (epoch <= last) & np.isfinite(curve.total)
    return (epoch[known], curve.total[known]) if known.any() else None


def first_epoch_of_last_maps(folder: Path, last: int) -> int:
    """Epoch from which on networks on a subspace use the maps of epoch `last`; 0 for runs of other models."""
    found = _held_out(folder, last)
    if found is None:
        return 0
    return int(found["epoch"][found["round"] == found["round"][-1]].min())


def _held_out_losses(folder: Path, last: int) -> tuple[np.ndarray, np.ndarray] | None:
    found = _held_out(folder, last)
    if found is None:
        return None
    of_last_maps = found["round"] == found["round"][-1]
    return found["epoch"][of_last_maps].astype(np.int64), -found["held_out_log_likelihood"][of_last_maps]


def _held_out(folder: Path, last: int) -> dict[str, np.ndarray] | None:
    """Metrics up to an epoch of a run that measures itself by images held out; None for others."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return None
    found = parse_iterations(path.read_text(errors="replace").splitlines(), "epoch")
    if not {"round", "held_out_log_likelihood"} <= set(found):
        return None
    known = (found["epoch"] <= last) & np.isfinite(found["held_out_log_likelihood"])
    return {name: values[known] for name, values in found.items()} if known.any() else None


def latent_measures(
    history: LatentHistory, losses: tuple[np.ndarray, np.ndarray] | None, agreement: np.ndarray
) -> tuple[Measure, ...]:
    """Loss, shifts of latents and relative positions of particles as measures with their tolerances."""
    scale = history.spread
    found = []
    if losses is not None:
        # the first epoch starts from random weights and would make all that follows look flat
        found.append(Measure(TOTAL_LOSS, "whole network", losses[0][1:], losses[1][1:], 0.0))
    epoch = history.shift_epochs
    found += [
        Measure("dot product of shifts", "encoder", epoch, history.shifts[:, 0], (0.1 * scale) ** 2),
        Measure("magnitude of shifts", "encoder", epoch, history.shifts[:, 1], 0.01 * scale),
        Measure(COSINE_DISTANCE, "encoder", epoch, history.shifts[:, 2], 0.05),
        Measure("relative positions of particles", "encoder", np.array(history.used[1:]), agreement, 0.005),
    ]
    return tuple(found)
