"""Find discrete states among particle images and leave a run folder."""

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cryoscape.engines.distributed import any_process, process_group
from cryoscape.engines.run_files import append_metrics_line, holds_run, remove_run, write_run_files
from cryoscape.engines.states.config import StatesConfig
from cryoscape.engines.states.fit import StatesResult, StepReport, fit_states
from cryoscape.engines.vae.checkpoint import pick_device
from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.workflows.progress import StepProgress, format_seconds
from cryoscape.workflows.subspace_start import SubspaceStart, check_same_images, read_subspace
from cryoscape.workflows.train_states_files import StateLine, write_states
from cryoscape.workflows.train_states_plan import (
    ENGINE,
    TrainStatesRequest,
    check_states_request,
)
from cryoscape.workflows.train_subspace import train_subspace
from cryoscape.workflows.training_images import (
    dataset_args,
    find_images,
    load_images,
    to_device,
    training_record,
)
from cryoscape.workflows.training_session import folder_of_process, log_to, nothing_left_behind

__all__ = ["TrainStatesRequest", "TrainStatesResult", "train_states"]

logger = logging.getLogger("cryoscape")

_STATE_FILES = ("state_[0-9]*.mrc", "states.pkl", "states.csv", "probabilities.npy")


@dataclass(frozen=True)
class TrainStatesResult:
    """Where the run lies and the states found."""

    folder: Path
    states: tuple[StateLine, ...]
    verdict: str


def train_states(request: TrainStatesRequest) -> TrainStatesResult:
    """Find states, place every particle, make their maps, write the run; see `TrainStatesRequest`.

    Raises
    ------
    InputError : unusable input, a folder that holds another run, or an unusable subspace run.
    TrainingError : what was found is not finite.
    StoppedBySignal : SIGINT or SIGTERM came while the subspace was trained.
    """
    with process_group() as first:
        check_states_request(request)
        device = pick_device(request.device)
        images = find_images(request.source)
        start = read_subspace(request.subspace_folder, device) if request.has_subspace else None
        if start is not None:
            _check_same_particles(request.subspace_folder, start, images.particles.row)
        any_process(False)  # all have looked at the folder before one writes
        if first and request.force and request.load is None:
            _remove_earlier(request.outdir)
        if start is None:
            train_subspace(request.subspace_request())
            any_process(False)  # the first process has written it
            start = read_subspace(request.subspace_folder, device)
        with folder_of_process(request.outdir, first) as folder, nothing_left_behind(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with log_to(folder / "run.log"):
                if request.max_threads:
                    torch.set_num_threads(request.max_threads)
                logger.info("%s", " ".join(request.command) or "train_states")
                started = time.perf_counter()
                preprocessing = PreprocessConfig(invert=start.invert_data)
                store = to_device(load_images(images, preprocessing, folder, request.lazy), device)
                # the subspace stays where it is, also for processes that write elsewhere
                own = replace(request, outdir=folder, subspace=request.subspace_folder)
                return replace(_fit(own, start, store, started), folder=request.outdir)


def _remove_earlier(folder: Path) -> None:
    if holds_run(folder):
        remove_run(folder)
    for pattern in _STATE_FILES:
        for path in folder.glob(pattern):
            path.unlink()


def _check_same_particles(folder: Path, start: SubspaceStart, rows: np.ndarray) -> None:
    # images that are constant or not finite are left out when they are read
    if not np.isin(start.rows, rows).all() or len(start.rows) > len(rows):
        raise InputError(
            f"--from {folder}: has particles that the input lacks; give the same particles and --ind"
        )


def _fit(
    request: TrainStatesRequest, start: SubspaceStart, store: FourierStore, started: float
) -> TrainStatesResult:
    folder = request.outdir
    check_same_images(f"--from {request.subspace_folder}", start, store)
    config = StatesConfig(k=request.k, seed=start.seed if request.seed is None else request.seed)
    logger.info(
        "%d images of %d px, subspace of %d components up to radius %d, seed %d; states: %s",
        *(store.n, store.box_size, start.model.maps.shape[1] - 1, start.radius, config.seed),
        "as many as can be told apart" if config.k is None else config.k,
    )
    _write_files(request, config, store, zdim=None)
    with StepProgress() as watch:
        result = fit_states(store, start.model, start.radius, start.mask, config, StepLog(folder), watch)
    seconds = time.perf_counter() - started
    found = {
        "n_states": len(result.shares),
        "held_out_log_likelihood": result.held_out,
        "verdict": result.verdict,
        "seconds": round(seconds, 2),
    }
    _write_files(request, config, store, zdim=result.maps.zdim, result=found)
    lines = write_states(folder, result, store.particles.row)
    _tell(folder, result, lines, seconds)
    return TrainStatesResult(folder, tuple(lines), result.verdict)


class StepLog:
    """Tells of each step in the log and in metrics.jsonl."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        self._started = time.perf_counter()

    def __call__(self, report: StepReport) -> None:
        """Log one step."""
        seconds = round(time.perf_counter() - self._started, 3)
        append_metrics_line(self._folder, {"iteration": self._number, **asdict(report), "seconds": seconds})
        self._number += 1
        cost = "" if report.nats_a_particle is None else f", {report.nats_a_particle:.2f} nats a particle"
        worth = "" if report.held_out is None else f", held-out log-likelihood {report.held_out:.3f} an image"
        logger.info("%s: %d states%s%s; %.1f s", report.step, report.n_states, cost, worth, seconds)


def _write_files(
    request: TrainStatesRequest, config: StatesConfig, store: FourierStore, zdim: int | None, **found: Any
) -> None:
    def absolute(path: Path | None) -> str | None:
        return None if path is None else str(path.resolve())

    inputs = (request.particles, request.poses, request.ctf, request.ind)
    write_run_files(
        request.outdir,
        engine=ENGINE,
        box_size=store.box_size,
        model_args={"zdim": zdim},
        dataset_args=dataset_args(request.source, store, float(store.scale)),
        training={**asdict(config), "subspace": absolute(request.subspace_folder)},
        record=training_record(request.command, config.seed, store, inputs) | found,
        rows=store.particles.row,
    )


def _tell(folder: Path, result: StatesResult, lines: list[StateLine], seconds: float) -> None:
    """The summary at the end of the log, and what to do next."""
    logger.info("%d states: %s", len(lines), result.verdict)
    for line in lines:
        logger.info(
            "state %d: %d particles (%.1f %%), stability %.2f, %.1f A",
            *(line.state, line.particles, 100 * line.share, line.stability, line.resolution_angstrom),
        )
    logger.info("Finished in %s", format_seconds(seconds))
    logger.info("next: cryoscape analyze %s", folder)
