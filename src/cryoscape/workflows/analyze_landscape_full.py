"""Place every particle in the landscape of maps, and give each its state.

Where maps are linear in the latents a matrix product does it exactly. For a decoder the coordinates of some
particles' maps are computed, the rest predicted from these, and how well is told by particles kept aside.
"""

import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cryoscape import __version__
from cryoscape.analysis.embedding import umap_embedding
from cryoscape.analysis.landscape_regression import fit_map_regression, r2_of
from cryoscape.analysis.landscape_states import assign_particles
from cryoscape.analysis.maps import MapOptions
from cryoscape.engines.run_folder import LoadedRun, load_run
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles, write_array_pickle
from cryoscape.workflows.analyze_landscape_full_files import (
    FullLandscape,
    full_particle_table,
    write_full_numbers,
)
from cryoscape.workflows.analyze_landscape_maps import FinishedMaps, SketchMaps, finished_maps
from cryoscape.workflows.analyze_landscape_results import (
    MODEL_FILE,
    SETTINGS_FILE,
    LandscapeModel,
    read_model,
)
from cryoscape.workflows.analyze_landscape_settings import (
    check_results_folder,
    latents_sha256,
    read_settings,
)
from cryoscape.workflows.analyze_results import write_json, write_table
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

FULL_SETTINGS_FILE = "landscape_full.json"
_KEPT_ASIDE = 0.25
_GOOD_R2 = 0.9
_LEAST_R2 = 0.5


@dataclass(frozen=True)
class LandscapeFullOptions:
    """Settings of `analyze_landscape_full`."""

    training_volumes: int = 1000
    """Particles whose maps a decoder makes, beside those of the landscape; a quarter is kept aside."""
    skip_vol: bool = False
    """Take these from an earlier call; InputError where they are not there."""
    skip_umap: bool = False
    """Do not compute UMAP."""
    num_neighbors: int = 15
    """Neighbours a particle for UMAP."""
    seed: int = 0
    """Of the choice of particles and of UMAP."""
    downsample: int | None = None
    """Box of the landscape, to be checked; None: as it is."""
    flip: bool = False
    """Hand of the landscape, to be checked where True."""


@dataclass(frozen=True, eq=False)
class LandscapeFullResult:
    """Where it lies and what it holds."""

    folder: Path
    found: FullLandscape
    umap: np.ndarray | None
    report: Path | None


def analyze_landscape_full(
    run: Path,
    epoch: int | None = None,
    options: LandscapeFullOptions | None = None,
    *,
    landscape: Path | None = None,
    output: Path | None = None,
    device: str = "auto",
    force: bool = False,
) -> LandscapeFullResult:
    """Volume-space coordinates and states of every particle of a run.

    Parameters
    ----------
    landscape : Path, optional
        Folder of `analyze_landscape`; by default landscape.EPOCH or landscape in the run folder.
    output : Path, optional
        Folder of results; by default landscape_full in the landscape folder.

    Raises
    ------
    InputError
        For a run without a landscape of the same latents, or settings that cannot be used.
    """
    loaded = load_run(run, epoch, device)
    name = "landscape" if loaded.epoch is None else f"landscape.{loaded.epoch}"
    folder = landscape if landscape is not None else run / name
    target = output if output is not None else folder / "landscape_full"
    return analyze_loaded_full(loaded, folder, target, options or LandscapeFullOptions(), force=force)


def analyze_loaded_full(
    run: LoadedRun, landscape: Path, folder: Path, options: LandscapeFullOptions, *, force: bool = False
) -> LandscapeFullResult:
    """Place the particles of a run that is already loaded; see `analyze_landscape_full`."""
    started = time.perf_counter()
    before, model = _landscape(run, landscape, options)
    start = _sketch_states(landscape, len(run.z))
    maps = _maps(run, before)
    settings = {
        "cryoscape": __version__,
        "run": run.folder.path.name,
        "latents_sha256": latents_sha256(run.z),
        "landscape": {name: before[name] for name in ("options", "state_folder", "n_states")},
        "options": json.loads(json.dumps(asdict(options))),
    }
    again = check_results_folder(folder, FULL_SETTINGS_FILE, settings, ("training_volumes", "seed"), force)
    again = again and read_settings(folder / FULL_SETTINGS_FILE).get("landscape") == settings["landscape"]

    coordinates, r2 = _coordinates(run, landscape, folder, model, maps, options, before, again)
    found = FullLandscape(
        coordinates=coordinates,
        start=start,
        assignment=assign_particles(_trusted(coordinates, r2), start, seed=options.seed),
        held_out_r2=r2,
        uncertainty=_uncertainty(run, model),
        explained=model.components.explained,
        level=float(before["level"]),
        pixel_size_angstrom=float(before["pixel_size_angstrom"]),
    )
    files = write_full_numbers(folder, run, found, maps)
    layout = _umap(folder, coordinates, options)
    write_table(folder / "particles", full_particle_table(run, found, layout))
    write_json(folder / FULL_SETTINGS_FILE, settings)

    from cryoscape.workflows.analyze_landscape_full_report import write_full_pictures

    mean = landscape / before["sketch_folder"] / "vol_mean.mrc"
    report = write_full_pictures(folder, run, found, mean, files, layout)
    logger.info("Landscape of all particles in %s (%.0f s)", folder, time.perf_counter() - started)
    return LandscapeFullResult(folder, found, layout, report)


def _landscape(
    run: LoadedRun, landscape: Path, options: LandscapeFullOptions
) -> tuple[dict[str, Any], LandscapeModel]:
    """Settings and model of the landscape; InputError unless it is there and of these latents."""
    if options.training_volumes < 8:
        raise InputError(f"-N: give 8 or more maps to learn from, found {options.training_volumes}")
    if options.num_neighbors < 2:
        raise InputError(f"--num-neighbors: give 2 or more, found {options.num_neighbors}")
    before = read_settings(landscape / SETTINGS_FILE)
    if "level" not in before:
        command = f"cryoscape analyze_landscape {run.folder.path}"
        command += "" if run.epoch is None else f" {run.epoch}"
        raise InputError(f"{landscape}: no landscape there; run `{command}` first")
    if before["latents_sha256"] != latents_sha256(run.z):
        raise InputError(f"{landscape}: is the landscape of other latents; run analyze_landscape again")
    model = read_model(landscape / MODEL_FILE)
    box = before["maps"]["downsample"] or run.source.box_size
    if options.downsample is not None and options.downsample != box:
        raise InputError(
            f"-d {options.downsample}: the landscape has maps of {box} voxels; leave -d out, or make the "
            "landscape with it"
        )
    if options.flip and not before["maps"]["flip"]:
        raise InputError(
            "--flip: the landscape was made without it; leave it out, or make the landscape anew"
        )
    return before, model


def _sketch_states(landscape: Path, n: int) -> Int[np.ndarray, " n"]:
    path = landscape / "particles.parquet"
    try:
        states = pd.read_parquet(path, columns=["state"])["state"].to_numpy(dtype=np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not readable ({error}); run analyze_landscape again") from error
    if len(states) != n:
        raise InputError(f"{path}: holds {len(states)} particles, the run {n}; run analyze_landscape again")
    return states


def _maps(run: LoadedRun, before: dict[str, Any]) -> FinishedMaps:
    """Maps in the frame of the landscape."""
    options = MapOptions(**before["maps"])
    return finished_maps(run.source, float(before["native_pixel_size_angstrom"]), options)


def _coordinates(
    run: LoadedRun,
    landscape: Path,
    folder: Path,
    model: LandscapeModel,
    maps: FinishedMaps,
    options: LandscapeFullOptions,
    before: dict[str, Any],
    again: bool,
) -> tuple[Float[np.ndarray, "n c"], Float[np.ndarray, " c"] | None]:
    """Coordinates of all particles, and R2 on particles kept aside where they are predicted."""
    if model.linear is not None:
        return model.linear.at(run.z), None
    rows, known = _sampled(run, folder, model, maps, options, again)
    n_aside = round(_KEPT_ASIDE * len(rows))
    sketch_z = np.loadtxt(landscape / before["sketch_folder"] / "z_values.txt", ndmin=2)
    size = before["options"]["sketch_size"]
    sketch_known = np.asarray(load_pickles(landscape / f"vol_pca_{size}.pkl")[0], dtype=np.float64)
    z = np.concatenate([sketch_z, run.z[rows[n_aside:]]])
    regression = fit_map_regression(z, np.concatenate([sketch_known, known[n_aside:]]), seed=options.seed)
    r2 = r2_of(regression.at(run.z[rows[:n_aside]]), known[:n_aside])
    logger.info("Coordinates are predicted; R2 on %d particles kept aside: %s", n_aside, np.round(r2[:5], 3))
    if r2[0] < _GOOD_R2:
        logger.warning("Component 1 is predicted with R2 %.2f only: learn from more maps with -N", r2[0])
    found = regression.at(run.z)
    found[rows] = known
    return found, r2


def _trusted(
    coordinates: Float[np.ndarray, "n c"], r2: Float[np.ndarray, " c"] | None
) -> Float[np.ndarray, "n t"]:
    """Components that tell particles apart: all where exact, else those predicted at least half."""
    if r2 is None:
        return coordinates
    good = r2 >= _LEAST_R2
    good[0] = True  # at least one must be left
    return np.ascontiguousarray(coordinates[:, good])


def _sampled(
    run: LoadedRun,
    folder: Path,
    model: LandscapeModel,
    maps: FinishedMaps,
    options: LandscapeFullOptions,
    again: bool,
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, "m c"]]:
    """Random particles and the coordinates of their decoded maps, kept for later calls."""
    rows = np.random.default_rng(options.seed).permutation(len(run.z))[: options.training_volumes]
    stored = folder / "vol_pca_sampled.pkl"
    if again and stored.is_file():
        return rows, np.asarray(load_pickles(stored)[0], dtype=np.float64)
    if options.skip_vol:
        raise InputError(f"--skip-vol: {folder} holds no maps' coordinates of an earlier call; leave it out")
    known = np.empty((len(rows), len(model.components.axes)))
    with progress(len(rows), "maps") as update:
        for part, volumes in SketchMaps(maps, run.z[rows]).batches():
            known[part] = model.project(volumes)
            update(int(part[-1]) + 1)
    write_array_pickle(folder / "ind.sampled.pkl", rows)
    write_array_pickle(folder / "z.sampled.pkl", run.z[rows])
    write_array_pickle(stored, known)
    return rows, known


def _uncertainty(run: LoadedRun, model: LandscapeModel) -> Float[np.ndarray, "c c"] | None:
    if run.latents is None or run.latents.covariance is None or model.linear is None:
        return None
    covariance = run.latents.covariance.mean(axis=0, dtype=np.float64)
    return np.asarray(model.linear.matrix.T @ covariance @ model.linear.matrix)


def _umap(folder: Path, coordinates: np.ndarray, options: LandscapeFullOptions) -> np.ndarray | None:
    if options.skip_umap or coordinates.shape[1] <= 2:
        return None
    try:
        layout = umap_embedding(
            coordinates.astype(np.float32), n_neighbors=options.num_neighbors, seed=options.seed
        )
    except Exception as error:  # nothing else needs it
        logger.warning("No UMAP: %s", error)
        return None
    write_array_pickle(folder / "umap_vol_pca.pkl", layout)
    return layout
