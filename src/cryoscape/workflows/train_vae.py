"""Train the variational autoencoder on particle images and leave a run folder."""

import logging
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from cryoscape.engines.vae.checkpoint import check_fits, pick_device
from cryoscape.engines.vae.config import (
    DEFAULTS,
    PAPER,
    Activation,
    Domain,
    ModelConfig,
    PositionalEncoding,
    TrainConfig,
    check_model_config,
    parse_beta,
)
from cryoscape.engines.vae.fit import Trainer
from cryoscape.engines.vae.results import EpochResult
from cryoscape.engines.vae.run_store import (
    append_metrics,
    check_same_model,
    drop_metrics_from,
    find_checkpoint,
    holds_run,
    remove_run,
    save_epoch,
    save_interrupted,
    write_run_files,
)
from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.workflows.progress import format_seconds, progress
from cryoscape.workflows.training_images import ImageSource, fingerprint, load_images, to_device
from cryoscape.workflows.training_session import LatentShifts, StoppedBySignal, catch_signals, log_to

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class TrainVaeRequest:
    """What the user asked for; None means the preset's or the program's choice."""

    particles: Path
    outdir: Path
    zdim: int
    poses: Path | None = None
    ctf: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None
    num_epochs: int = 20
    batch_size: int | None = None
    amp: bool | None = None
    invert_data: bool = True
    window: bool = True
    window_radius: float = 0.85
    enc_dim: int | None = None
    enc_layers: int | None = None
    dec_dim: int | None = None
    dec_layers: int | None = None
    enc_mask: int | None = None
    pe_type: PositionalEncoding | None = None
    pe_dim: int | None = None
    feat_sigma: float | None = None
    domain: Domain = "fourier"
    activation: Activation = "relu"
    beta: str | float | None = None
    beta_control: float | None = None
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    norm: tuple[float, float] | None = None
    lazy: bool = False
    load: str | None = None
    preset: Literal["paper"] | None = None
    seed: int | None = None
    checkpoint: int = 1
    max_threads: int | None = None
    device: str = "auto"
    force: bool = False
    command: tuple[str, ...] = ()


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
    folder = request.outdir
    _check_request(request)
    if request.force and request.load is None and holds_run(folder):
        remove_run(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with log_to(folder / "run.log"), catch_signals() as caught:
        if request.max_threads:
            torch.set_num_threads(request.max_threads)
        logger.info("%s", " ".join(request.command) or "train_vae")
        store = load_images(_source(request), _preprocess(request), request.outdir, request.lazy)
        trainer = _prepare(request, store)
        return _train(request, trainer, caught)


def _check_request(request: TrainVaeRequest) -> None:
    if request.outdir.exists() and not request.outdir.is_dir():
        raise InputError(f"{request.outdir}: is a file; -o must name a folder")
    if request.load is None and not request.force and holds_run(request.outdir):
        raise InputError(
            f"{request.outdir}: holds a training run already; continue it with --load latest, "
            "replace it with --force, or give another -o"
        )
    if request.norm is not None and (request.norm[0] != 0.0 or not request.norm[1] > 0.0):
        raise InputError(
            f"--norm {request.norm[0]} {request.norm[1]}: expected mean 0 and a positive deviation"
        )
    for flag, value in (
        ("-n", request.num_epochs),
        ("-b", request.batch_size),
        ("--checkpoint", request.checkpoint),
    ):
        if value is not None and value < 1:
            raise InputError(f"{flag} {value}: expected at least 1")


def _source(request: TrainVaeRequest) -> ImageSource:
    return ImageSource(request.particles, request.poses, request.ctf, request.ind, request.datadir)


def _preprocess(request: TrainVaeRequest) -> PreprocessConfig:
    return PreprocessConfig(
        invert=request.invert_data,
        window=request.window,
        window_radius=request.window_radius,
        # The published system never subtracts a background.
        background="keep" if request.preset == "paper" else "auto",
    )


def _prepare(request: TrainVaeRequest, store: FourierStore) -> Trainer:
    preset = PAPER if request.preset == "paper" else DEFAULTS
    model = ModelConfig(
        box_size=store.box_size,
        zdim=request.zdim,
        enc_layers=request.enc_layers or preset.layers,
        enc_dim=request.enc_dim or preset.width,
        dec_layers=request.dec_layers or preset.layers,
        dec_dim=request.dec_dim or preset.width,
        enc_mask=request.enc_mask,
        pe_type=request.pe_type or preset.pe_type,
        pe_dim=request.pe_dim,
        feat_sigma=preset.feat_sigma if request.feat_sigma is None else request.feat_sigma,
        domain=request.domain,
        activation=request.activation,
    )
    check_model_config(model)
    content: dict[str, Any] = {}
    if request.load is not None:
        path, content, notices = find_checkpoint(request.outdir, request.load)
        for notice in notices:
            logger.warning("%s", notice)
        check_same_model(path, model)
        logger.info("continuing from %s", path)
    seed = request.seed if request.seed is not None else content.get("seed")
    config = TrainConfig(
        num_epochs=request.num_epochs,
        batch_size=request.batch_size or preset.batch_size,
        learning_rate=request.learning_rate,
        weight_decay=request.weight_decay,
        beta=parse_beta(request.beta, request.beta_control),
        beta_control=request.beta_control,
        seed=int(np.random.default_rng().integers(100_000)) if seed is None else int(seed),
        amp=request.amp,
    )
    device = pick_device(request.device)
    norm = None if request.norm is None else request.norm[1]
    trainer = Trainer(to_device(store, device), model, config, device, norm)
    if content:
        _restore(trainer, content, path)
        drop_metrics_from(request.outdir, trainer.epoch)
    _describe(trainer)
    _write_files(request, trainer, model, config)
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
    def absolute(path: Path | None) -> str | None:
        return None if path is None else str(path.resolve())

    inputs = [p for p in (request.particles, request.poses, request.ctf, request.ind) if p is not None]
    store = trainer.store
    write_run_files(
        request.outdir,
        model,
        dataset_args={
            "particles": absolute(request.particles),
            "norm": [0.0, float(trainer.norm_std)],
            "invert_data": request.invert_data,
            "ind": absolute(request.ind),
            "keepreal": False,
            "window": request.window,
            "window_r": request.window_radius,
            "datadir": absolute(request.datadir),
            "ctf": absolute(request.ctf),
            "poses": absolute(request.poses),
            "do_pose_sgd": False,
            "background": store.config.background,
        },
        training={**asdict(config), "preset": request.preset},
        record={
            "command": list(request.command) or sys.argv,
            "seed": config.seed,
            "pixel_size_angstrom": store.pixel_size_angstrom or None,
            "n_images": store.n,
            "excluded_rows": store.excluded_rows.tolist(),
            "inputs": [fingerprint(path) for path in inputs],
        },
        rows=store.particles.row,
    )


def _train(request: TrainVaeRequest, trainer: Trainer, caught: list[int]) -> TrainVaeResult:
    last = request.num_epochs - 1
    if trainer.epoch > last:
        raise InputError(
            f"{request.outdir}: epoch {trainer.epoch - 1} is done already, -n {request.num_epochs} asks for "
            f"epochs 0 to {last}; give a larger -n"
        )
    shifts = LatentShifts(request.outdir, trainer.epoch)
    start, result = time.perf_counter(), None
    while trainer.epoch <= last:
        epoch_start = time.perf_counter()
        with progress(trainer.store.n, f"epoch {trainer.epoch} of 0 to {last}") as update:
            result = trainer.run_epoch(update, should_stop=lambda: bool(caught))
        if not result.finished:
            raise StoppedBySignal(caught[0], save_interrupted(request.outdir, trainer.state()))
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
        if caught and result.epoch < last:
            raise StoppedBySignal(caught[0], save_interrupted(request.outdir, trainer.state()))
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
