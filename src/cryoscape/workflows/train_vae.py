"""Train the variational autoencoder on particle images and leave a run folder."""

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cryoscape.engines.distributed import any_process, process_group
from cryoscape.engines.vae.checkpoint import check_fits
from cryoscape.engines.vae.config import ModelConfig, TrainConfig
from cryoscape.engines.vae.fit import Trainer
from cryoscape.engines.vae.results import EpochResult
from cryoscape.engines.vae.run_store import (
    append_metrics,
    drop_metrics_from,
    holds_run,
    remove_run,
    save_epoch,
    save_interrupted,
    write_run_files,
)
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.workflows.progress import format_seconds, progress
from cryoscape.workflows.training_images import (
    ImageSource,
    dataset_args,
    find_images,
    load_images,
    to_device,
    training_record,
)
from cryoscape.workflows.training_plan import (
    TrainingPlan,
    TrainVaeRequest,
    check_epochs_left,
    check_request,
    plan_training,
    preprocessing,
)
from cryoscape.workflows.training_session import (
    LatentShifts,
    StoppedBySignal,
    catch_signals,
    folder_of_process,
    log_to,
    nothing_left_behind,
    signal_of,
)

__all__ = ["TrainVaeRequest", "TrainVaeResult", "train_vae"]

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class TrainVaeResult:
    """Where the run lies and how its last epoch went."""

    folder: Path
    last_epoch: int
    total_loss: float
    images_per_second: float


def train_vae(request: TrainVaeRequest) -> TrainVaeResult:
    """Train, checkpoint and log; see `TrainVaeRequest` for the choices.

    Raises
    ------
    InputError : unusable input, a folder that holds another run, or a checkpoint that does not fit.
    TrainingError : the loss stays non-finite.
    StoppedBySignal : SIGINT or SIGTERM came; the state is saved exactly.
    """
    with process_group() as first, folder_of_process(request.outdir, first) as folder:
        return _run(replace(request, outdir=folder))


def _run(request: TrainVaeRequest) -> TrainVaeResult:
    folder = request.outdir
    check_request(request)
    images = find_images(_source(request))
    plan = plan_training(request, images.box_size)
    if request.force and request.load is None and holds_run(folder):
        remove_run(folder)
    with nothing_left_behind(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with log_to(folder / "run.log"), catch_signals() as caught:
            if request.max_threads:
                torch.set_num_threads(request.max_threads)
            logger.info("%s", " ".join(request.command) or "train_vae")
            store = load_images(images, preprocessing(request), folder, request.lazy)
            trainer = _prepare(request, plan, store)
            return _train(request, trainer, caught)


def _source(request: TrainVaeRequest) -> ImageSource:
    return ImageSource(request.particles, request.poses, request.ctf, request.ind, request.datadir)


def _prepare(request: TrainVaeRequest, plan: TrainingPlan, store: FourierStore) -> Trainer:
    norm = None if request.norm is None else request.norm[1]
    trainer = Trainer(to_device(store, plan.device), plan.model, plan.config, plan.device, norm)
    if plan.checkpoint is not None:
        logger.info("continuing from %s", plan.checkpoint)
        _restore(trainer, plan.content, plan.checkpoint)
        check_epochs_left(request, trainer.epoch)
        drop_metrics_from(request.outdir, trainer.epoch)
    _describe(trainer)
    _write_files(request, trainer, plan.model, plan.config)
    return trainer


def _restore(trainer: Trainer, content: dict[str, Any], path: Path) -> None:
    check_fits(path, content["model_state_dict"], trainer.network.state_dict(), trainer.model_config)
    for name, own in (("batch_size", trainer.config.batch_size), ("n_images", trainer.store.n)):
        if content.get(name, own) != own:
            logger.warning(
                "%s: %s was %s, now %s: continuing with the next epoch, not exactly",
                path,
                name,
                content[name],
                own,
            )
    trainer.restore(content)


def _describe(trainer: Trainer) -> None:
    parameters = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in (("encoder", trainer.network.encoder), ("decoder", trainer.network.decoder))
    }
    logger.info(
        "%d images of %d px on %s, %s products, seed %d; %d parameters in encoder, %d in decoder",
        trainer.store.n,
        trainer.store.box_size,
        trainer.device,
        str(trainer.compute_dtype).removeprefix("torch."),
        trainer.config.seed,
        parameters["encoder"],
        parameters["decoder"],
    )


def _write_files(request: TrainVaeRequest, trainer: Trainer, model: ModelConfig, config: TrainConfig) -> None:
    inputs = [p for p in (request.particles, request.poses, request.ctf, request.ind) if p is not None]
    store = trainer.store
    write_run_files(
        request.outdir,
        model,
        dataset_args=dataset_args(_source(request), store, float(trainer.norm_std)),
        training={**asdict(config), "preset": request.preset},
        record=training_record(request.command, config.seed, store, inputs),
        rows=store.particles.row,
    )


def _train(request: TrainVaeRequest, trainer: Trainer, caught: list[int]) -> TrainVaeResult:
    last = request.num_epochs - 1
    shifts = LatentShifts(request.outdir, trainer.epoch)
    start, result = time.perf_counter(), None
    while trainer.epoch <= last:
        epoch_start = time.perf_counter()
        with progress(trainer.store.n, f"epoch {trainer.epoch} of 0 to {last}") as update:
            result = trainer.run_epoch(update, should_stop=lambda: any_process(bool(caught)))
        if not result.finished:
            raise StoppedBySignal(signal_of(caught), save_interrupted(request.outdir, trainer.state()))
        _log_epoch(trainer, result)
        # Latents are cheap beside training (the encoder is under 1% of the work): shifts cover every epoch.
        latents = trainer.encode()
        shift = shifts.add(latents)
        wall = time.perf_counter() - epoch_start
        append_metrics(request.outdir, result, shift, wall)
        if result.epoch == last or result.epoch % request.checkpoint == 0:
            save_epoch(request.outdir, result.epoch, trainer.state(), latents)
        left = (last - result.epoch) * wall
        logger.info("%.1f images a second; about %s left", result.images_per_second, format_seconds(left))
        if any_process(bool(caught)) and result.epoch < last:
            raise StoppedBySignal(signal_of(caught), save_interrupted(request.outdir, trainer.state()))
    assert result is not None
    logger.info("Finished in %s", format_seconds(time.perf_counter() - start))
    logger.info("next: cryoscape analyze %s %d", request.outdir, last)
    return TrainVaeResult(request.outdir, last, result.total_loss, result.images_per_second)


def _log_epoch(trainer: Trainer, result: EpochResult) -> None:
    if result.skipped_rows:
        rows = trainer.store.particles.row[list(result.skipped_rows)]
        logger.warning("loss not finite, batches skipped; particle rows: %s", rows[:40].tolist())
    logger.info(
        "# =====> Epoch: %d Average gen loss = %.6f, KLD = %.6f, total loss = %.6f; Finished in %s",
        result.epoch,
        result.generative_loss,
        result.kl,
        result.total_loss,
        format_seconds(result.seconds),
    )
