"""Analyse one epoch of a run: embeddings, clusters, maps of the states and along the main motions, a report.

Numbers (tables, labels, latent coordinates) are written first, maps next, pictures last; a picture or a
UMAP that fails is logged and takes nothing else with it.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryoscape.analysis.clustering import Clusters, cluster_kmeans
from cryoscape.analysis.embedding import (
    PrincipalComponents,
    check_latents,
    principal_components,
    umap_embedding,
    umap_seconds,
)
from cryoscape.analysis.maps import check_map_options
from cryoscape.analysis.mixture import Mixture, cluster_gmm
from cryoscape.analysis.path_support import path_support
from cryoscape.analysis.traversal import pc_path
from cryoscape.engines.run_folder import LoadedRun, load_run
from cryoscape.errors import InputError
from cryoscape.typing import Latents
from cryoscape.workflows.analyze_imaging import find_leaks, read_imaging, verdict
from cryoscape.workflows.analyze_maps import MapSet, write_map_sets
from cryoscape.workflows.analyze_results import (
    SETTINGS_FILE,
    Path1D,
    Results,
    read_umap,
    write_json,
    write_numbers,
    write_particles,
    write_umap,
)
from cryoscape.workflows.analyze_settings import AnalyzeOptions, analysis_settings, check_analysis_folder
from cryoscape.workflows.notebook_files import write_notebooks
from cryoscape.workflows.progress import format_seconds
from cryoscape.workflows.regressed_maps import check_images, images_of

__all__ = ["AnalyzeOptions", "AnalyzeResult", "analyze", "analyze_loaded"]

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class AnalyzeResult:
    """Where the analysis lies and what it found."""

    folder: Path
    n_particles: int
    clusters: Clusters
    components: PrincipalComponents
    umap: np.ndarray | None
    map_sets: tuple[MapSet, ...]
    report: Path | None


def analyze(
    run: Path,
    epoch: int | None = None,
    options: AnalyzeOptions | None = None,
    *,
    output: Path | None = None,
    device: str = "auto",
    force: bool = False,
) -> AnalyzeResult:
    """Analyse the latents of one epoch of a run folder (ours or cryoDRGN's).

    Parameters
    ----------
    run : Path
        The -o folder of a training run.
    epoch : int, optional
        As numbered in the file names; None or -1 for the latest.
    output : Path, optional
        Folder of results; by default analyze.EPOCH in the run folder, analyze for a run without epochs.
    force : bool
        Replace the results of an analysis with other settings, and compute UMAP anew.

    Raises
    ------
    InputError
        For a run, an epoch or settings that cannot be used, or results that would be overwritten.
    """
    loaded = load_run(run, epoch, device)
    name = "analyze" if loaded.epoch is None else f"analyze.{loaded.epoch}"
    folder = output if output is not None else run / name
    return analyze_loaded(loaded, folder, options or AnalyzeOptions(), force=force)


def analyze_loaded(
    run: LoadedRun, folder: Path, options: AnalyzeOptions, *, force: bool = False
) -> AnalyzeResult:
    """Analyse a run that is already loaded; see `analyze`."""
    started = time.perf_counter()
    check_latents(run.z, str(run.folder.latents(run.epoch)))
    if options.n_per_pc < 1 or options.pc < 0:
        raise InputError(
            f"--pc must be 0 or more and --n-per-pc 1 or more, found {options.pc} and {options.n_per_pc}."
        )
    if options.gmm is not None and options.gmm < 1:
        raise InputError(f"--gmm: the number of clusters must be at least 1, found {options.gmm}.")
    native = run.training_pixel_size(options.pixel_size_angstrom, not options.skip_vol)
    if not options.skip_vol:
        check_map_options(options.maps, run.source.box_size, native)
        if options.maps_from == "regression":
            check_images(run, images_of(run))
    settings = analysis_settings(run, options, native)
    reuse_umap = check_analysis_folder(folder, settings, force)
    results = _compute(run, options, native)
    folder.mkdir(parents=True, exist_ok=True)
    write_numbers(folder, results)
    write_json(folder / SETTINGS_FILE, settings)
    if results.leaks:
        logger.info("%s", verdict(results.leaks))

    layout = _umap(folder, run.z, options, reuse_umap)
    write_particles(folder, results, layout)
    map_sets: tuple[MapSet, ...] = ()
    if not options.skip_vol:
        map_sets = write_map_sets(folder, run, results, options)

    from cryoscape.workflows.analyze_report import write_pictures

    report = write_pictures(folder, run, results, layout, map_sets)
    write_notebooks(
        folder,
        run.folder.path,
        run.epoch,
        k=options.ksample,
        maps=options.maps,
        pixel_size_angstrom=options.pixel_size_angstrom,
    )
    logger.info("Analysis of %d particles in %s (%.0f s)", len(run.z), folder, time.perf_counter() - started)
    return AnalyzeResult(
        folder=folder,
        n_particles=len(run.z),
        clusters=results.clusters,
        components=results.components,
        umap=layout,
        map_sets=map_sets,
        report=report,
    )


def _compute(run: LoadedRun, options: AnalyzeOptions, native: float) -> Results:
    components = principal_components(run.z)
    clusters = cluster_kmeans(run.z, options.ksample, seed=options.seed)
    _say_if_fewer(clusters)
    mixture: Mixture | None = None
    if options.gmm is not None:
        mixture = cluster_gmm(run.z, options.gmm, seed=options.seed)
        _say_if_fewer(mixture.clusters)
    imaging = read_imaging(run)
    return Results(
        z=run.z,
        logvar=run.logvar,
        original_rows=run.original_rows,
        components=components,
        clusters=clusters,
        paths=_paths(run, components, options),
        native_pixel_size_angstrom=native,
        latents=run.latents,
        mixture=mixture,
        imaging=imaging,
        leaks=find_leaks(run, imaging, options.seed),
    )


def _say_if_fewer(clusters: Clusters) -> None:
    if clusters.k < clusters.requested:
        logger.warning(
            "Only %d of %d clusters: there are no more distinct particles", clusters.k, clusters.requested
        )


def _paths(run: LoadedRun, components: PrincipalComponents, options: AnalyzeOptions) -> tuple[Path1D, ...]:
    covariance = None if run.latents is None else run.latents.covariance
    n_paths = min(options.pc, run.z.shape[1])
    if n_paths < options.pc:
        logger.warning("Only %d of %d components: the latent space has no more", n_paths, options.pc)
    paths = []
    for component in range(1, n_paths + 1):
        points = pc_path(
            components,
            component,
            n_points=options.n_per_pc,
            limits_percentile=options.limits_percentile,
            spacing=options.spacing,
        )
        found = path_support(run.z, points, covariance)
        empty = int((found.particles == 0).sum())
        if empty:
            logger.warning(
                "PC%d: no particle supports %d of %d points of the path: read their maps with care",
                component,
                empty,
                len(points),
            )
        paths.append(Path1D(component, points, found))
    return tuple(paths)


def _umap(folder: Path, z: Latents, options: AnalyzeOptions, reuse: bool) -> np.ndarray | None:
    """UMAP layout, kept from an earlier analysis where possible; None where there is none."""
    if reuse:
        layout = read_umap(folder, len(z))
        if layout is not None:
            return layout
    if options.skip_umap:
        return None
    if z.shape[1] <= 2:
        logger.info("No UMAP: a latent space of %d dimensions is shown as it is", z.shape[1])
        return None
    started = time.perf_counter()
    if len(z) > 50_000:
        logger.info("UMAP of %d particles, about %s", len(z), format_seconds(umap_seconds(len(z))))
    try:
        layout = umap_embedding(z, seed=options.seed)
    except Exception as error:  # the rest of the analysis does not need it
        logger.warning("No UMAP: %s", error)
        return None
    write_umap(folder, layout)
    logger.info("UMAP of %d particles in %.0f s", len(z), time.perf_counter() - started)
    return layout
