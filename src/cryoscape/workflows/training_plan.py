"""What a training run is asked for, and the plan made of it before anything is written."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from cryoscape.engines.distributed import of_first
from cryoscape.engines.vae.checkpoint import pick_device
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
from cryoscape.engines.vae.run_store import check_same_model, find_checkpoint, holds_run
from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import PreprocessConfig

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
class TrainingPlan:
    """Architecture, schedule and device, and the checkpoint to continue from where there is one."""

    model: ModelConfig
    config: TrainConfig
    device: torch.device
    checkpoint: Path | None = None
    content: dict[str, Any] = field(default_factory=dict, repr=False)


def check_request(request: TrainVaeRequest) -> None:
    """Refuse, before anything is read, what cannot be done or would overwrite another run."""
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


def check_epochs_left(request: TrainVaeRequest, following: int) -> None:
    """Refuse to continue with epoch ``following`` where fewer are asked for."""
    if following >= request.num_epochs:
        raise InputError(
            f"{request.outdir}: epoch {following - 1} is done already, -n {request.num_epochs} asks "
            f"for epochs 0 to {request.num_epochs - 1}; give a larger -n"
        )


def preprocessing(request: TrainVaeRequest) -> PreprocessConfig:
    """How images are treated that are not in a store yet."""
    return PreprocessConfig(
        invert=request.invert_data,
        window=request.window,
        window_radius=request.window_radius,
        # The published system never subtracts a background.
        background="keep" if request.preset == "paper" else "auto",
    )


def plan_training(request: TrainVaeRequest, box_size: int) -> TrainingPlan:
    """Choose what the user left open, read the checkpoint to continue from, and check that all fits.

    Raises
    ------
    InputError : sizes that cannot be built, no such device, or a checkpoint that is not of this model.
    """
    preset = PAPER if request.preset == "paper" else DEFAULTS
    model = ModelConfig(
        box_size=box_size,
        zdim=request.zdim,
        enc_layers=preset.layers if request.enc_layers is None else request.enc_layers,
        enc_dim=preset.width if request.enc_dim is None else request.enc_dim,
        dec_layers=preset.layers if request.dec_layers is None else request.dec_layers,
        dec_dim=preset.width if request.dec_dim is None else request.dec_dim,
        enc_mask=request.enc_mask,
        pe_type=request.pe_type or preset.pe_type,
        pe_dim=request.pe_dim,
        feat_sigma=preset.feat_sigma if request.feat_sigma is None else request.feat_sigma,
        domain=request.domain,
        activation=request.activation,
    )
    check_model_config(model)
    path: Path | None = None
    content: dict[str, Any] = {}
    if request.load is not None:
        path, content, notices = find_checkpoint(request.outdir, request.load)
        for notice in notices:
            logger.warning("%s", notice)
        check_same_model(path, model)
        following = content["progress"]["epoch"] if "progress" in content else content.get("epoch", -1) + 1
        check_epochs_left(request, int(following))
    seed = request.seed if request.seed is not None else content.get("seed")
    config = TrainConfig(
        num_epochs=request.num_epochs,
        batch_size=request.batch_size or preset.batch_size,
        learning_rate=request.learning_rate,
        weight_decay=request.weight_decay,
        beta=parse_beta(request.beta, request.beta_control),
        beta_control=request.beta_control,
        seed=of_first(int(np.random.default_rng().integers(100_000)) if seed is None else int(seed)),
        amp=request.amp,
    )
    return TrainingPlan(model, config, pick_device(request.device), path, content)
