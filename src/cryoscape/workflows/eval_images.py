"""Latents and losses of images under a trained model."""

import logging
import pickle
from dataclasses import dataclass
from pathlib import Path

from cryoscape.engines.run_folder import read_run_config
from cryoscape.engines.vae.checkpoint import check_fits, pick_device, read_checkpoint
from cryoscape.engines.vae.config import TrainConfig, beta_at, model_config_from_upstream
from cryoscape.engines.vae.fit import Trainer
from cryoscape.engines.volume_source import engine_name
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.particles.fourier_store import PreprocessConfig
from cryoscape.workflows.progress import progress
from cryoscape.workflows.training_images import ImageSource, find_images, load_images
from cryoscape.workflows.weights import find_weights

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class EvalImagesRequest:
    """Which images under which weights; normalisation, sign and window are the run's own."""

    particles: Path
    weights: Path
    losses: Path
    out_z: Path
    poses: Path | None = None
    ctf: Path | None = None
    config: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None
    invert_data: bool | None = None
    batch_size: int = 64
    beta: float | None = None
    device: str = "auto"


@dataclass(frozen=True)
class EvalImagesResult:
    """Mean losses over the images, and how many there were."""

    n_images: int
    loss: float
    reconstruction: float
    kl: float


def eval_images(request: EvalImagesRequest) -> EvalImagesResult:
    """Encode images, decode at their mean latents, write latents and losses (mean and of each particle).

    The z file holds mean and log variance as two pickles, as z.E.pkl does. The losses file is a pickled dict:
    loss, recon, kld (means, upstream's keys) and the arrays particle_row, particle_loss, particle_recon and
    particle_kld (N,).

    Raises
    ------
    InputError : images of another box than the model's, or unusable files.
    """
    weights, folder = find_weights(request.weights)
    config = read_run_config(request.config or folder)
    if engine_name(config) != "vae":
        raise InputError(
            f"{weights}: of the engine {engine_name(config)}, expected the paper's model (train_vae --preset "
            "paper), which eval_images works with; z.pkl and latents.parquet of the run tell of its images"
        )
    model = model_config_from_upstream(config)
    dataset = config.get("dataset_args", {})
    content = read_checkpoint(weights)
    invert = dataset.get("invert_data", True) if request.invert_data is None else request.invert_data
    preprocess = PreprocessConfig(
        invert=bool(invert),
        window=bool(dataset.get("window", True)),
        window_radius=float(dataset.get("window_r", 0.85)),
        background=dataset.get("background", "keep"),
    )
    images = find_images(
        ImageSource(request.particles, request.poses, request.ctf, request.ind, request.datadir)
    )
    if images.box_size != model.box_size:
        raise InputError(
            f"{request.particles}: images of {images.box_size} px, the model was trained on {model.box_size} "
            "px; use the stack it was trained on, or downsample to that box"
        )
    store = load_images(images, preprocess, request.out_z.parent, on_disk=False)
    norm = dataset.get("norm") or (0.0, store.scale)
    trainer = Trainer(store, model, TrainConfig(amp=False), pick_device(request.device), float(norm[1]))
    check_fits(weights, content["model_state_dict"], trainer.network.state_dict(), model)
    trainer.network.load_state_dict(content["model_state_dict"])
    with progress(store.n, "images") as update:
        found = trainer.encode(request.batch_size, with_losses=True, update=update)
    if found.generative_loss is None or found.kl is None:
        raise TypeError("encode(with_losses=True) returned no losses")
    weight = beta_at(request.beta, model.zdim, 0.0) / (2 * store.plane.n_pixels)
    per_particle = found.generative_loss + weight * found.kl
    result = EvalImagesResult(
        store.n, float(per_particle.mean()), float(found.generative_loss.mean()), float(found.kl.mean())
    )
    write_array_pickle(request.out_z, found.mean, found.logvar)
    losses = {
        "loss": result.loss,
        "recon": result.reconstruction,
        "kld": result.kl,
        "particle_row": store.particles.row,
        "particle_loss": per_particle,
        "particle_recon": found.generative_loss,
        "particle_kld": found.kl,
    }
    with replace_when_done(request.losses) as temporary, temporary.open("wb") as stream:
        pickle.dump(losses, stream)
    logger.info(
        "%d images: loss = %.6f, gen loss = %.6f, KLD = %.6f",
        store.n,
        result.loss,
        result.reconstruction,
        result.kl,
    )
    return result
