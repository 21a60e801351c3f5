"""Learn a linear subspace of maps from particle images and leave a run folder."""

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cryoscape.engines.distributed import any_process, process_group
from cryoscape.engines.latent_table import HALF_TABLE_FILE, write_latents, write_latents_table
from cryoscape.engines.linear_maps import LinearWeights, write_linear_maps, write_tensors
from cryoscape.engines.run_files import (
    RESUME_FILE,
    append_metrics_line,
    drop_metrics_from,
    holds_run,
    remove_run,
    write_run_files,
)
from cryoscape.engines.run_folder import ROWS_FILE, RunFolder
from cryoscape.engines.subspace.fit import IterationReport, SubspaceResult, fit_subspace
from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.workflows.progress import StepProgress, format_seconds
from cryoscape.workflows.train_subspace_plan import (
    ENGINE,
    SubspacePlan,
    TrainSubspaceRequest,
    check_request,
    plan_subspace,
    training_section,
    with_room,
)
from cryoscape.workflows.training_images import (
    dataset_args,
    find_images,
    load_images,
    to_device,
    training_record,
)
from cryoscape.workflows.training_session import (
    StoppedBySignal,
    catch_signals,
    folder_of_process,
    log_to,
    nothing_left_behind,
    signal_of,
)

__all__ = ["TrainSubspaceRequest", "TrainSubspaceResult", "train_subspace"]

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class TrainSubspaceResult:
    """Where the run lies and what was found.

    Attributes
    ----------
    radius : largest frequency used, cycles per box.
    held_out_information : gain of images not trained on over the mean map, nats an image; None if unknown.
    """

    folder: Path
    n_components: int
    radius: int
    held_out_information: float | None
    verdict: str


def train_subspace(request: TrainSubspaceRequest) -> TrainSubspaceResult:
    """Learn mean and components, place every particle, write the run; see `TrainSubspaceRequest`.

    Raises
    ------
    InputError : unusable input, a folder that holds another run, or no run to continue.
    TrainingError : what was found is not finite.
    StoppedBySignal : SIGINT or SIGTERM came; the state is saved exactly.
    """
    with process_group() as first, folder_of_process(request.outdir, first) as folder:
        return _train(replace(request, outdir=folder))


def _train(request: TrainSubspaceRequest) -> TrainSubspaceResult:
    folder = request.outdir
    check_request(request)
    images = find_images(request.source)
    plan = plan_subspace(request, images)
    if request.force and not plan.continues and holds_run(folder):
        remove_run(folder)
    with nothing_left_behind(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with log_to(folder / "run.log"), catch_signals() as caught:
            if request.max_threads:
                torch.set_num_threads(request.max_threads)
            logger.info("%s", " ".join(request.command) or "train_subspace")
            started = time.perf_counter()
            preprocessing = PreprocessConfig(invert=request.invert_data)
            store = to_device(load_images(images, preprocessing, folder, request.lazy), plan.device)
            return _fit(request, plan, store, caught, started)


def _fit(
    request: TrainSubspaceRequest,
    plan: SubspacePlan,
    store: FourierStore,
    caught: list[int],
    started: float,
) -> TrainSubspaceResult:
    folder, plan = request.outdir, with_room(plan, store.box_size)
    if plan.continues:
        _check_same_particles(folder, store)
        logger.info("continuing from %s", folder / RESUME_FILE)
    logger.info(
        "%d images of %d px on %s, seed %d; components: %s; maps may differ in: %s",
        *(store.n, store.box_size, plan.device, plan.config.seed),
        *("as many as held-out images support" if request.zdim is None else request.zdim, request.mask),
    )
    _write_files(request, plan, store, zdim=request.zdim)
    report = IterationLog(folder, store.box_size, store.pixel_size_angstrom)
    with StepProgress() as watch:
        result = fit_subspace(
            store,
            plan.config,
            mask=plan.mask,
            report=report,
            watch=watch,
            should_stop=lambda: any_process(bool(caught)),
            state=plan.state or None,  # empty where the run was stopped before its first iteration
        )
    if not result.finished:
        write_tensors(folder / RESUME_FILE, {"state": result.state})
        raise StoppedBySignal(signal_of(caught), folder / RESUME_FILE)
    seconds = time.perf_counter() - started
    _write_result(request, plan, store, result, report.last, seconds)
    _tell(folder, result, report, seconds)
    information = None if report.last is None else report.last.held_out_information
    return TrainSubspaceResult(folder, result.maps.zdim, result.radius, information, result.verdict)


def _check_same_particles(folder: Path, store: FourierStore) -> None:
    path = folder / ROWS_FILE
    earlier = np.load(path, allow_pickle=False) if path.is_file() else np.zeros(0, np.int64)
    if not np.array_equal(earlier, store.particles.row):
        raise InputError(
            f"{folder}: the run to continue has {len(earlier)} particles, the input {store.n}, or others; "
            "give the same --ind and particles, or train anew with --force"
        )


class IterationLog:
    """Tells of each iteration in the log and in metrics.jsonl, and keeps the last."""

    def __init__(self, folder: Path, box_size: int, pixel_size_angstrom: float) -> None:
        self.last: IterationReport | None = None
        self._folder, self._extent_angstrom = folder, box_size * pixel_size_angstrom

    def __call__(self, report: IterationReport) -> None:
        """Log one iteration; its number replaces metrics of an earlier run from there on."""
        if self.last is None:
            drop_metrics_from(self._folder, report.iteration, "iteration")
        self.last = report
        line = asdict(report)
        line.pop("estimated_left_seconds")
        append_metrics_line(self._folder, line)
        left = report.estimated_left_seconds
        logger.info(
            "iteration %d, radius %s: %d images, %d components, held-out information %.3f nats an image, "
            "noise %.4g, contrast spread %.3f; %.1f s%s",
            report.iteration,
            self.describe(report.radius),
            report.n_images,
            report.n_components,
            report.held_out_information,
            report.noise,
            report.contrast_spread,
            report.seconds,
            "" if left is None else f", about {format_seconds(left)} left",
        )

    def describe(self, radius: int) -> str:
        """A radius with its resolution, where the pixel size is known."""
        resolution = f" ({self._extent_angstrom / radius:.3g} A)" if self._extent_angstrom and radius else ""
        return f"{radius}{resolution}"


def _write_files(
    request: TrainSubspaceRequest, plan: SubspacePlan, store: FourierStore, zdim: int | None, **found: Any
) -> None:
    """Configuration, record and rows; ``zdim`` and ``found`` are known in full once training is done."""
    mask_file = None if plan.mask is None else Path(request.mask)
    inputs = (request.particles, request.poses, request.ctf, request.ind, mask_file)
    write_run_files(
        request.outdir,
        engine=ENGINE,
        box_size=store.box_size,
        model_args={"zdim": zdim},
        dataset_args=dataset_args(request.source, store, float(store.scale)),
        training=training_section(request, plan.config),
        record=training_record(request.command, plan.config.seed, store, inputs) | found,
        rows=store.particles.row,
    )


def _write_result(
    request: TrainSubspaceRequest,
    plan: SubspacePlan,
    store: FourierStore,
    result: SubspaceResult,
    last: IterationReport | None,
    seconds: float,
) -> None:
    """Latents first and weights last, so that weights present mean that the run is whole."""
    found = {
        "n_components": result.maps.zdim,
        "radius": result.radius,
        "held_out_information": None if last is None else last.held_out_information,
        "contrast_spread": None if last is None else last.contrast_spread,
        "half_set_agreement": np.asarray(result.half_set_agreement, dtype=float).round(4).tolist(),
        "verdict": result.verdict,
        "seconds": round(seconds, 2),
    }
    folder = request.outdir
    _write_files(request, plan, store, zdim=result.maps.zdim, result=found)
    write_latents_table(folder / HALF_TABLE_FILE, result.by_half, store.particles.row)
    write_latents(folder, result.latents, store.particles.row)
    weights = LinearWeights(result.maps, result.noise_variance, result.state)
    write_linear_maps(RunFolder(folder).weights(None), weights)
    (folder / RESUME_FILE).unlink(missing_ok=True)


def _tell(folder: Path, result: SubspaceResult, report: IterationLog, seconds: float) -> None:
    """The summary at the end of the log, and what to do next."""
    logger.info("%d components: %s", result.maps.zdim, result.verdict)
    if result.maps.zdim:
        agreement = ", ".join(f"{a:.2f}" for a in np.asarray(result.half_set_agreement))
        logger.info("agreement of half sets, by component: %s", agreement)
    logger.info("radius %s of %d", report.describe(result.radius), result.maps.box_size // 2)
    if report.last is not None:
        logger.info(
            "held-out information %.3f nats an image, contrast spread %.3f",
            report.last.held_out_information,
            report.last.contrast_spread,
        )
    logger.info("Finished in %s", format_seconds(seconds))
    if result.maps.zdim:
        logger.info("next: cryoscape analyze %s", folder)
    else:
        logger.warning(
            "no differences between particles beyond noise: check poses and sign with backproject_voxel, "
            "or give --zdim"
        )
