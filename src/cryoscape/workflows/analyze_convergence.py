"""Has training of an autoencoder converged? The measures of the protocol's Box 1, and a verdict in words.

Numbers are written as they are found (latents, maxima, maps), pictures and the page last. Maps are decoded
one at a time, epoch by epoch.
"""

import logging
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cryoscape import __version__
from cryoscape.analysis.convergence import (
    ComparedEpochs,
    default_interval,
    distance_agreement,
    epochs_to_compare,
    on_data_median,
)
from cryoscape.analysis.convergence_maps import MaskOptions, check_mask_options
from cryoscape.analysis.convergence_verdict import judge, map_measures, sentences
from cryoscape.analysis.embedding import check_latents
from cryoscape.analysis.local_maxima import (
    LocalMaximaOptions,
    check_local_maxima_options,
    local_maxima,
)
from cryoscape.analysis.maps import MapOptions, check_map_options
from cryoscape.engines.run_folder import LoadedRun, load_run
from cryoscape.errors import InputError
from cryoscape.workflows.analyze_convergence_latents import latent_planes, read_history
from cryoscape.workflows.analyze_convergence_maps import MapSettings, compare_maps
from cryoscape.workflows.analyze_convergence_measures import (
    first_epoch_of_last_maps,
    latent_measures,
    read_losses,
)
from cryoscape.workflows.analyze_convergence_results import (
    SETTINGS_FILE,
    Convergence,
    check_folder,
    fingerprint,
    write_latent_numbers,
    write_map_numbers,
    write_verdict,
)
from cryoscape.workflows.analyze_results import write_json
from cryoscape.workflows.training_session import log_to

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class ConvergenceOptions:
    """Settings of `analyze_convergence`."""

    epoch_interval: int | None = None
    """Epochs between compared epochs, counted back from the last; None: 5, fewer for short runs."""
    subset: int | None = 50_000
    """Particles of UMAP and maxima, drawn at random; None for all."""
    subset_seed: int = 42
    seed: int = 42
    """Of UMAP."""
    n_epochs_umap: int | None = None
    """Layout epochs of UMAP; None for a number that suffices."""
    skip_umap: bool = False
    """Compute no UMAP: take those of an earlier analysis, else principal components."""
    maxima: LocalMaximaOptions = field(default_factory=LocalMaximaOptions)
    pixel_size_angstrom: float | None = None
    """Pixel size of the training images; None: from the run."""
    maps: MapOptions = field(default_factory=MapOptions)
    mask: MaskOptions = field(default_factory=MaskOptions)
    skip_volgen: bool = False
    """Make no maps: take those of an earlier analysis, else leave the decoder out."""
    max_threads: int | None = None
    """CPU threads of torch; None for its own choice."""


@dataclass(frozen=True)
class ConvergenceResult:
    """Where the analysis lies and what it says."""

    folder: Path
    convergence: Convergence
    report: Path | None


def analyze_convergence(
    run: Path,
    epoch: int | None = None,
    options: ConvergenceOptions | None = None,
    *,
    output: Path | None = None,
    device: str = "auto",
    force: bool = False,
) -> ConvergenceResult:
    """Compare the epochs of a training run (ours or cryoDRGN's, numbered from 0 or 1) up to `epoch`.

    Parameters
    ----------
    run : Path
        The -o folder of a training run with epochs.
    epoch : int, optional
        As numbered in the file names; None for the latest.
    output : Path, optional
        Folder of results; by default convergence.EPOCH in the run folder.
    force : bool
        Replace the results of an analysis with other settings.

    Raises
    ------
    InputError
        For a run without epochs, an epoch or settings that cannot be used, or results that would be
        overwritten.
    """
    started = time.perf_counter()
    options = options or ConvergenceOptions()
    if options.max_threads:
        torch.set_num_threads(options.max_threads)
    loaded = load_run(run, epoch, device)
    last = loaded.epoch
    if last is None:
        raise InputError(
            f"{run}: a run of the engine {loaded.engine} has no epochs to compare; its metrics.jsonl tells "
            "how it converged"
        )
    native = loaded.training_pixel_size(options.pixel_size_angstrom, not options.skip_volgen)
    _check(loaded, options, native)
    compared = _compared_epochs(loaded, last, options)
    folder = output if output is not None else run / f"convergence.{last}"
    settings = _settings(loaded, options, compared, native)
    check_folder(folder, settings, force)
    folder.mkdir(parents=True, exist_ok=True)
    with log_to(folder / "convergence.log"):
        _tell_epochs(compared, _first_epoch(loaded, last))
        write_json(folder / SETTINGS_FILE, settings)
        found = _analyse(loaded, last, compared, options, folder, native, device)
        for sentence in sentences(found.verdict, last):
            logger.info("%s", sentence)

        from cryoscape.workflows.analyze_convergence_report import write_pictures

        report = write_pictures(folder, found)
        logger.info("Convergence of %d epochs in %s (%.0f s)", len(compared.used), folder, _since(started))
    return ConvergenceResult(folder, found, report)


def _since(started: float) -> float:
    return time.perf_counter() - started


def _analyse(
    run: LoadedRun,
    last: int,
    compared: ComparedEpochs,
    options: ConvergenceOptions,
    folder: Path,
    native: float,
    device: str,
) -> Convergence:
    rows = _subset(len(run.z), options)
    history = read_history(run, compared.used, last, rows, _first_epoch(run, last))
    planes, kind = latent_planes(
        folder, history, options.seed, options.n_epochs_umap, skip_umap=options.skip_umap
    )
    maxima = local_maxima(np.asarray(planes[last], dtype=np.float64), options.maxima)
    medians = np.array([[on_data_median(history.z[e], m) for e in history.used] for m in maxima.members])
    agreement = np.array(
        [distance_agreement(history.z[a], history.z[b], seed=options.seed) for a, b in history.pairs]
    )
    write_latent_numbers(folder, history, maxima, medians, run.original_rows)
    settings = MapSettings(options.maps, options.mask, native, device, make=not options.skip_volgen)
    maps = compare_maps(folder, run, history, medians, settings)
    losses = read_losses(run, last)
    measures = latent_measures(history, losses, agreement) + (
        () if maps is None else map_measures(maps.curves)
    )
    verdict = judge(measures, None if maps is None else maps.curves, last)
    found = Convergence(
        run_name=run.folder.path.resolve().name,
        last_epoch=last,
        history=history,
        losses=losses,
        agreement=agreement,
        planes=planes,
        plane_kind=kind,
        maxima=maxima,
        medians=medians,
        maps=maps,
        verdict=verdict,
    )
    if maps is not None:
        write_map_numbers(folder, maps, maxima.labels)
    write_verdict(folder, found, sentences(verdict, last))
    return found


def _subset(n: int, options: ConvergenceOptions) -> np.ndarray:
    if options.subset is None or options.subset >= n:
        return np.arange(n, dtype=np.int64)
    drawn = np.random.default_rng(options.subset_seed).choice(n, size=options.subset, replace=False)
    return np.sort(drawn).astype(np.int64)


def _check(run: LoadedRun, options: ConvergenceOptions, native: float) -> None:
    check_latents(run.z, str(run.folder.latents(run.epoch)))
    if len(run.z) < 5:
        raise InputError(
            f"{run.folder.latents(run.epoch)}: convergence needs 5 or more particles, found {len(run.z)}."
        )
    if options.epoch_interval is not None and options.epoch_interval < 1:
        raise InputError(f"--epoch-interval: expected 1 or more, found {options.epoch_interval}.")
    if options.subset is not None and options.subset < 5:
        raise InputError(f"--subset: expected 5 or more particles, or None for all, found {options.subset}.")
    if options.n_epochs_umap is not None and options.n_epochs_umap < 1:
        raise InputError(f"--n-epochs-umap: expected 1 or more, found {options.n_epochs_umap}.")
    check_local_maxima_options(options.maxima)
    check_mask_options(options.mask)
    check_map_options(options.maps, run.source.box_size, native)


def _compared_epochs(run: LoadedRun, last: int, options: ConvergenceOptions) -> ComparedEpochs:
    folder = run.folder
    saved = sorted(set(folder.epochs("weights")) & set(folder.epochs("z")))
    first = max(folder.epoch_base, _first_epoch(run, last))
    saved = [epoch for epoch in saved if epoch >= first]
    interval = options.epoch_interval or default_interval(first, last)
    compared = epochs_to_compare(saved, first, last, interval)
    if len(compared.used) < 2:
        raise InputError(
            f"{folder.path}: only epoch {last} can be compared of those saved "
            f"({', '.join(map(str, saved))}); two or more are needed: try a smaller --epoch-interval than "
            f"{interval}, or train for more epochs"
        )
    return compared


def _first_epoch(run: LoadedRun, last: int) -> int:
    """Where to begin: latents and maps jump where networks on a subspace get new maps."""
    first = first_epoch_of_last_maps(run.folder.path, last)
    since = [epoch for epoch in run.folder.epochs("z") if first <= epoch <= last]
    return first if len(since) > 1 else 0


def _tell_epochs(compared: ComparedEpochs, first: int) -> None:
    if first > 0:
        logger.info("Maps were made again before epoch %d: earlier epochs are not compared", first)
    logger.info("Comparing epochs %s", ", ".join(map(str, compared.used)))
    for wanted, taken in compared.replaced:
        logger.info("Epoch %d is not saved: epoch %d takes its place", wanted, taken)
    if compared.missing:
        logger.warning("Epochs skipped, as they are not saved: %s", ", ".join(map(str, compared.missing)))


def _settings(
    run: LoadedRun, options: ConvergenceOptions, compared: ComparedEpochs, native: float
) -> dict[str, Any]:
    return {
        "cryoscape": __version__,
        "run": run.folder.path.resolve().name,
        "epoch": run.epoch,
        "epochs": list(compared.used),
        "n_particles": len(run.z),
        "latents_sha256": fingerprint(run.z),
        "native_pixel_size_angstrom": native,
        "options": asdict(options),
    }
