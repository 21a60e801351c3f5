"""Train the neural model that starts from the subspace, and leave a run folder."""

import logging
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cryoscape.engines.latent_table import write_latents
from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.fit import EpochReport, ManifoldFit, fit_manifold, place
from cryoscape.engines.manifold.likelihood import linear_model, telling_components, with_components
from cryoscape.engines.manifold.maps import FullMaps
from cryoscape.engines.manifold.source import latent_table, write_manifold
from cryoscape.engines.run_files import (
    METRICS_FILE,
    append_metrics_line,
    holds_run,
    remove_run,
    write_run_files,
)
from cryoscape.engines.run_folder import RunFolder
from cryoscape.engines.states.evidence import Evidence, read_images
from cryoscape.engines.subspace.em import fewer_components
from cryoscape.engines.subspace.passes import Images
from cryoscape.engines.subspace.start import support_at
from cryoscape.engines.vae.checkpoint import pick_device
from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.workflows.progress import format_seconds, progress
from cryoscape.workflows.train_manifold_plan import (
    ENGINE,
    Decoder,
    TrainManifoldRequest,
    check_manifold_request,
    check_same_images,
    manifold_request,
    subspace_alone,
)
from cryoscape.workflows.train_states_plan import SubspaceStart, read_subspace
from cryoscape.workflows.train_subspace import train_subspace
from cryoscape.workflows.training_images import dataset_args, find_images, fingerprint, load_images, to_device
from cryoscape.workflows.training_plan import TrainVaeRequest
from cryoscape.workflows.training_session import StoppedBySignal, catch_signals, log_to, nothing_left_behind

__all__ = ["TrainManifoldRequest", "TrainManifoldResult", "train_manifold", "train_on_subspace"]

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class TrainManifoldResult:
    """Where the run lies and how it went; log-likelihoods in nats an image over pure noise, held out."""

    folder: Path
    kept_epoch: int
    held_out_log_likelihood: float
    linear_log_likelihood: float
    verdict: str


def train_on_subspace(
    request: TrainVaeRequest, decoder: Decoder, epochs: int | None, subspace: Path | None
) -> None:
    """Train what `train_vae --decoder` names, other than the paper's model.

    Parameters
    ----------
    epochs, subspace : as given on the command line; None where they were not.

    Raises
    ------
    InputError : a flag that has no meaning with this decoder, and what `train_manifold` refuses.
    """
    if decoder == "mlp":
        raise InputError(f"--from {subspace}: needs --decoder subspace+mlp, which starts from a subspace")
    if decoder == "subspace":
        train_subspace(subspace_alone(request, epochs, subspace))
    else:
        train_manifold(manifold_request(request, epochs, subspace))


def train_manifold(request: TrainManifoldRequest) -> TrainManifoldResult:
    """Train a subspace if none is given, then networks on it; place every particle, write the run.

    Raises
    ------
    InputError : unusable input, a folder that holds another run, or an unusable subspace run.
    TrainingError : what was found is not finite.
    StoppedBySignal : SIGINT or SIGTERM came; the subspace is kept, networks begin again.
    """
    check_manifold_request(request)
    device = pick_device(request.device)
    images = find_images(request.source)
    folder = request.outdir
    if request.force and request.load is None and holds_run(folder):
        remove_run(folder)
    first = request.subspace_request()
    if first is not None:
        train_subspace(first)
    start = read_subspace(request.subspace_folder, device)
    with nothing_left_behind(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with log_to(folder / "run.log"), catch_signals() as caught:
            if request.max_threads:
                torch.set_num_threads(request.max_threads)
            logger.info("%s", " ".join(request.command) or "train_vae --decoder subspace+mlp")
            started = time.perf_counter()
            preprocessing = PreprocessConfig(invert=start.invert_data)
            store = to_device(load_images(images, preprocessing, folder, request.lazy), device)
            check_same_images(request.subspace_folder, start, store)
            return _fit(request, start, store, caught, started)


def _fit(
    request: TrainManifoldRequest,
    start: SubspaceStart,
    store: FourierStore,
    caught: list[int],
    started: float,
) -> TrainManifoldResult:
    config = ManifoldConfig(
        zdim=request.zdim,
        epochs=request.epochs,
        seed=start.seed if request.seed is None else request.seed,
    )
    logger.info(
        "%d images of %d px, subspace of %d components up to radius %d, seed %d; latents of dimension %d",
        *(store.n, store.box_size, start.model.maps.shape[1] - 1, start.radius, config.seed, config.zdim),
    )
    _write_files(request, config, store)
    evidence = _read(store, start)
    start = replace(start, model=fewer_components(start.model, evidence.zdim))
    logger.info("%d components tell of the images", evidence.zdim)
    _stop_if(caught, request)
    report = EpochLog(request.outdir, config.n_epochs(store.n))
    fit = fit_manifold(evidence, config, report, should_stop=lambda: bool(caught))
    _stop_if(caught, request)
    seconds_of_networks = sum(one.seconds for one in fit.reports)
    _write_result(request, config, start, store, evidence, fit, started)
    _tell(request.outdir, fit, seconds_of_networks, time.perf_counter() - started)
    return TrainManifoldResult(
        request.outdir, fit.kept_epoch, fit.held_out_log_likelihood, fit.linear_log_likelihood, fit.verdict
    )


def _stop_if(caught: list[int], request: TrainManifoldRequest) -> None:
    if caught:
        raise StoppedBySignal(caught[0], request.subspace_folder)


def _read(store: FourierStore, start: SubspaceStart) -> Evidence:
    """Evidence of images with maps they are not in, of the components that tell anything."""
    images, support = Images(store, start.radius), support_at(start.mask, start.radius)
    model = start.model
    with progress(store.n, "reading what images say of the bases") as update:
        reading = read_images(images, model.maps, support, model.noise, model.contrast_spread, update)
    return with_components(reading.evidence, telling_components(reading.evidence))


class EpochLog:
    """Tells of each epoch in the log and in metrics.jsonl."""

    def __init__(self, folder: Path, n_epochs: int) -> None:
        self._folder, self._last = folder, n_epochs - 1
        (folder / METRICS_FILE).unlink(missing_ok=True)

    def __call__(self, report: EpochReport) -> None:
        """Log one epoch."""
        line = asdict(report)
        line["wall_seconds"] = round(line.pop("seconds"), 3)
        append_metrics_line(self._folder, line)
        left = (self._last - report.epoch) * report.seconds
        logger.info(
            "epoch %d of 0 to %d: held-out log-likelihood %.3f nats an image, bound %.3f (in training %.3f), "
            "KL %.2f; %.1f s, at most %s left",
            *(report.epoch, self._last, report.held_out_log_likelihood, report.held_out_bound),
            *(report.training_bound, report.kl, report.seconds, format_seconds(left)),
        )


def _write_files(
    request: TrainManifoldRequest, config: ManifoldConfig, store: FourierStore, **found: Any
) -> None:
    inputs = (request.particles, request.poses, request.ctf, request.ind)
    write_run_files(
        request.outdir,
        engine=ENGINE,
        box_size=store.box_size,
        model_args={"zdim": config.zdim},
        dataset_args=dataset_args(request.source, store, float(store.scale)),
        training={**asdict(config), "subspace": str(request.subspace_folder.resolve())},
        record={
            "command": list(request.command) or sys.argv,
            "seed": config.seed,
            "pixel_size_angstrom": store.pixel_size_angstrom or None,
            "n_images": store.n,
            "excluded_rows": store.excluded_rows.tolist(),
            "inputs": [fingerprint(path) for path in inputs if path is not None],
            **found,
        },
        rows=store.particles.row,
    )


def _write_result(
    request: TrainManifoldRequest,
    config: ManifoldConfig,
    start: SubspaceStart,
    store: FourierStore,
    evidence: Evidence,
    fit: ManifoldFit,
    started: float,
) -> None:
    """Latents first and weights last, so that weights present mean that the run is whole."""
    _, sampled = place(evidence, fit.linear.features, fit.networks, config.final_samples, config.seed)
    moments = sampled.once, sampled.twice
    with progress(store.n, "maps at all frequencies") as update:
        full = FullMaps(
            *(store, start.model, start.radius, start.mask, *moments),
            update=lambda done, total: update(done * store.n // total),
        )
    with progress(store.n, "placing all images") as update:
        last = full.read(update)
    linear = linear_model(last.evidence)
    posterior, sampled = place(
        last.evidence, linear.features, fit.networks, config.final_samples, config.seed
    )
    found = {
        "kept_epoch": fit.kept_epoch,
        "held_out_log_likelihood": fit.held_out_log_likelihood,
        "held_out_log_likelihood_of_subspace": fit.linear_log_likelihood,
        "verdict": fit.verdict,
        "seconds": round(time.perf_counter() - started, 2),
    }
    folder = request.outdir
    _write_files(request, config, store, result=found)
    table = latent_table(posterior, sampled, linear, last.misfit)
    write_latents(folder, table, store.particles.row)
    write_manifold(RunFolder(folder).weights(None), full.in_image_units(), fit.networks, start.model.noise)


def _tell(folder: Path, fit: ManifoldFit, seconds_of_networks: float, seconds: float) -> None:
    """The summary at the end of the log, and what to do next."""
    logger.info("%s", fit.verdict)
    logger.info(
        "held-out log-likelihood %.3f nats an image, of the linear subspace %.3f: gained %+.3f",
        *(fit.held_out_log_likelihood, fit.linear_log_likelihood),
        fit.held_out_log_likelihood - fit.linear_log_likelihood,
    )
    logger.info("Finished in %s, networks %.1f s of it", format_seconds(seconds), seconds_of_networks)
    logger.info("next: cryoscape analyze %s", folder)
