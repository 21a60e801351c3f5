"""Train the neural model that starts from the subspace, and leave a run folder."""

import logging
import time
from dataclasses import replace
from pathlib import Path

import torch

from cryoscape.engines.distributed import any_process, process_group
from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.epochs import read_maps, write_maps
from cryoscape.engines.manifold.fit import fit_manifold
from cryoscape.engines.manifold.maps import MapsRead, make_maps_again, read_subspace_maps
from cryoscape.engines.manifold.networks import Networks
from cryoscape.engines.manifold.trainer import Trainer
from cryoscape.engines.run_files import holds_run, remove_run
from cryoscape.engines.vae.checkpoint import pick_device
from cryoscape.particles.fourier_store import PreprocessConfig
from cryoscape.workflows.progress import progress
from cryoscape.workflows.subspace_start import SubspaceStart, check_same_images, read_subspace
from cryoscape.workflows.train_manifold_files import (
    EpochWriter,
    Session,
    TrainManifoldResult,
    take_over,
    write_files,
    write_result,
)
from cryoscape.workflows.train_manifold_plan import (
    Continuation,
    TrainManifoldRequest,
    check_manifold_request,
    find_continuation,
)
from cryoscape.workflows.train_subspace import train_subspace
from cryoscape.workflows.training_images import FoundImages, find_images, load_images, to_device
from cryoscape.workflows.training_session import (
    StoppedBySignal,
    catch_signals,
    folder_of_process,
    log_to,
    nothing_left_behind,
    signal_of,
)

__all__ = ["TrainManifoldRequest", "TrainManifoldResult", "train_manifold"]

logger = logging.getLogger("cryoscape")


def train_manifold(request: TrainManifoldRequest) -> TrainManifoldResult:
    """Train a subspace if none is given, then networks on it; save epochs, place every particle.

    Raises
    ------
    InputError : unusable input, a folder that holds another run, or an unusable subspace run.
    TrainingError : what was found is not finite.
    StoppedBySignal : SIGINT or SIGTERM came; the last epoch is saved exactly.
    """
    with process_group() as first:
        check_manifold_request(request)
        device = pick_device(request.device)
        earlier = find_continuation(request)
        images = find_images(request.source)
        if earlier is not None and request.subspace is None:
            request = replace(request, subspace=earlier.subspace)
        any_process(False)  # all have looked at the folder before one writes
        if first and request.force and request.load is None and holds_run(request.outdir):
            remove_run(request.outdir)
        start = _subspace(request, device)
        with folder_of_process(request.outdir, first) as folder, nothing_left_behind(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with log_to(folder / "run.log"), catch_signals() as caught:
                if request.max_threads:
                    torch.set_num_threads(request.max_threads)
                logger.info("%s", " ".join(request.command) or "train_vae --decoder subspace+mlp")
                return _train(request, folder, start, images, device, caught, earlier)


def _subspace(request: TrainManifoldRequest, device: torch.device) -> SubspaceStart:
    """The subspace run to start from, trained first where there is none."""
    first = request.subspace_request()
    if first is not None:
        train_subspace(first)
    any_process(False)  # the first process has written it
    return read_subspace(request.subspace_folder, device)


def _train(
    request: TrainManifoldRequest,
    folder: Path,
    start: SubspaceStart,
    images: FoundImages,
    device: torch.device,
    caught: list[int],
    earlier: Continuation | None,
) -> TrainManifoldResult:
    started = time.perf_counter()
    preprocessing = PreprocessConfig(invert=start.invert_data)
    store = to_device(load_images(images, preprocessing, folder, request.lazy), device)
    check_same_images(str(request.subspace_folder), start, store)
    seed = start.seed if earlier is None else int(earlier.config.get("seed", start.seed))
    config = ManifoldConfig(
        zdim=request.zdim, epochs=request.epochs, seed=seed if request.seed is None else request.seed
    )
    session = Session(request, folder, config, start, store, started)
    logger.info(
        "%d images of %d px, subspace of %d components up to radius %d, seed %d; latents of dimension %d",
        *(store.n, store.box_size, start.model.maps.shape[1] - 1, start.radius, config.seed, config.zdim),
    )
    trainer, read = _prepare(session, earlier)
    _stop_if(caught, request.subspace_folder)
    writer = EpochWriter(session, trainer, read)
    finished = fit_manifold(
        trainer,
        lambda networks: writer.renewed(_make_maps_again(session, read, networks)),
        report=writer,
        should_stop=lambda: any_process(bool(caught)),
    )
    if not finished:
        raise StoppedBySignal(signal_of(caught), writer.save())
    return write_result(session, trainer, writer)


def _stop_if(caught: list[int], saved: Path) -> None:
    if any_process(bool(caught)):
        raise StoppedBySignal(signal_of(caught), saved)


def _prepare(session: Session, earlier: Continuation | None) -> tuple[Trainer, MapsRead]:
    """Networks and evidence as they start, or as an earlier run left them."""
    folder, device = session.folder, session.store.device
    if earlier is not None:
        logger.info("continuing from %s", earlier.weights)
        take_over(folder, earlier)
    write_files(session)
    if earlier is not None and earlier.maps_round:
        read = read_maps(folder, device)
    else:
        read = _read(session)
        write_maps(folder, 0, read, session.start.model.noise)
    trainer = Trainer(read.learning, session.config)
    if earlier is not None:
        trainer.restore(earlier.content, earlier.content["training"])
    return trainer, read


def _read(session: Session) -> MapsRead:
    start, store = session.start, session.store
    with progress(store.n, "reading what images say of the bases") as update:
        read = read_subspace_maps(store, start.model, start.radius, start.mask, update)
    logger.info("%d components tell of the images", read.learning.zdim)
    return read


def _make_maps_again(session: Session, first: MapsRead, networks: Networks) -> MapsRead:
    start, store = session.start, session.store
    logger.info("maps are made again with the networks' places of particles, and read")
    begun = time.perf_counter()
    with progress(5 * store.n, "maps at all frequencies") as update:
        read = make_maps_again(
            *(store, start.model, start.radius, start.mask, first, networks, session.config), update=update
        )
    write_maps(session.folder, 1, read, start.model.noise)
    logger.info("made and read in %.1f s", time.perf_counter() - begun)
    return read
