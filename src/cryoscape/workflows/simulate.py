"""Simulate particle images of atomic models in several states, with the truth beside them."""

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from cryoscape import __version__
from cryoscape.errors import InputError
from cryoscape.io.atomic import write_text
from cryoscape.particles import simulation_files as files
from cryoscape.particles.simulation_drawing import (
    N_WRONG,
    DrawnParticles,
    ImagingConfig,
    check_imaging,
    draw_particles,
)
from cryoscape.particles.simulation_motion import read_motion
from cryoscape.particles.simulation_stack import (
    SignalLevels,
    levels_for,
    project_all,
    scratch_images,
    write_noisy_stack,
)
from cryoscape.particles.simulation_states import (
    DensityMaker,
    Scene,
    State,
    read_scene,
    read_states,
    whole,
    wrong_states,
)
from cryoscape.workflows.disk import check_free_space
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

_BOX_PER_DIAMETER = 1.4
_SIGMA_PER_RESOLUTION = 0.225
"""Of a Gaussian atom, as ChimeraX's molmap has it."""


@dataclass(frozen=True)
class SimulateRequest:
    """What to simulate.

    Attributes
    ----------
    models : atomic models in one frame.
    states, motion : JSON file of states or of a motion; without either there is one state.
    resolution_angstrom : of the maps; twice the pixel size if not given.
    pixel_size_angstrom : if not given, the box is 1.4 times the diameter of the model.
    imaging : all else; its pixel size is replaced by the one above.
    """

    models: tuple[Path, ...]
    outdir: Path
    n_particles: int
    imaging: ImagingConfig
    pixel_size_angstrom: float | None = None
    states: Path | None = None
    motion: Path | None = None
    resolution_angstrom: float | None = None
    force: bool = False


@dataclass(frozen=True)
class SimulateResult:
    """Where the simulation lies, the states with their numbers of particles, and the levels of the images."""

    folder: Path
    particles: Path
    labels: np.ndarray
    state_names: tuple[str, ...]
    counts: np.ndarray
    levels: SignalLevels


def simulate(request: SimulateRequest) -> SimulateResult:
    """Simulate from files; see `SimulateRequest`.

    Raises
    ------
    InputError
        For models, states or settings that cannot be used, or a folder that holds another simulation.
    """
    if request.states is not None and request.motion is not None:
        raise InputError("--states and --motion exclude each other; give one of them")
    _check_folder(request.outdir, request.force)
    scene = read_scene(request.models)
    if request.states is not None:
        states = read_states(request.states, scene)
    elif request.motion is not None:
        states = read_motion(request.motion, scene)
    else:
        states = whole(scene)
    inputs = {
        "models": [str(path) for path in request.models],
        "states": None if request.states is None else str(request.states),
        "motion": None if request.motion is None else str(request.motion),
    }
    return simulate_scene(scene, states, request, inputs)


def simulate_scene(
    scene: Scene, states: Sequence[State], request: SimulateRequest, inputs: dict[str, Any] | None = None
) -> SimulateResult:
    """Simulate atoms and states already in memory; files of models and states in the request play no part.

    Raises
    ------
    InputError
        As `simulate`.
    """
    started = time.perf_counter()
    config = _imaging(request, scene)
    check_imaging(config)
    if request.n_particles < 1:
        raise InputError(f"-n {request.n_particles}: expected at least 1 particle")
    _check_folder(request.outdir, request.force)
    check_free_space(request.outdir / files.STACK, 2 * 4 * request.n_particles * config.box_size**2)
    resolution = request.resolution_angstrom or 2 * config.pixel_size_angstrom
    make_density = DensityMaker(
        scene, _SIGMA_PER_RESOLUTION * resolution, config.box_size, config.pixel_size_angstrom
    )
    particles = draw_particles(request.n_particles, [state.fraction for state in states], config)
    _clear(request.outdir)
    (request.outdir / files.TRUTH).mkdir(parents=True, exist_ok=True)
    levels = _write_images(scene, states, request, config, make_density, particles)
    files.write_metadata(request.outdir, particles, config)
    _write_truth(scene, states, request.outdir, config, make_density, particles, levels)
    record = {
        "cryoscape": __version__,
        **(inputs or {}),
        "n_particles": request.n_particles,
        "resolution_angstrom": float(resolution),
        "imaging": _plain(asdict(config)),
        **asdict(levels),
        "convention": "image = -contrast * CTF * slice of the map + noise; CTF negative at low frequency",
    }
    # written last: a folder with this record is whole
    write_text(request.outdir / files.TRUTH / files.RECORD, yaml.safe_dump(record, sort_keys=False))
    if make_density.n_dropped:
        logger.warning(
            "%d of %d atoms lie outside the box of %.0f A and are left out: choose a larger --apix or -D",
            make_density.n_dropped,
            len(scene),
            config.box_size * config.pixel_size_angstrom,
        )
    logger.info(
        "%d particles of %d px at %.4g A in %d states: %s (%.0f s)",
        len(particles),
        config.box_size,
        config.pixel_size_angstrom,
        len(states),
        request.outdir,
        time.perf_counter() - started,
    )
    return SimulateResult(
        request.outdir,
        request.outdir / files.STAR,
        particles.label,
        tuple(state.name for state in states),
        np.bincount(particles.label[particles.label >= 0], minlength=len(states)),
        levels,
    )


def _imaging(request: SimulateRequest, scene: Scene) -> ImagingConfig:
    """The imaging settings with the pixel size given, or with one that leaves room around the particle."""
    pixel = request.pixel_size_angstrom
    if pixel is None:
        pixel = round(_BOX_PER_DIAMETER * 2 * scene.radius_angstrom / request.imaging.box_size, 3)
    values = {**vars(request.imaging), "pixel_size_angstrom": float(pixel)}
    return ImagingConfig(**values)


def _check_folder(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; -o must name a folder")
    if not force and any((folder / name).exists() for name in (files.STACK, files.TRUTH)):
        raise InputError(f"{folder}: holds a simulation already; replace it with --force or give another -o")


def _clear(folder: Path) -> None:
    """Remove an earlier simulation: maps of its states would else stay among the new ones."""
    for name in (files.STACK, files.STAR, files.CRYOSPARC, files.POSES, files.CTF):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / files.TRUTH, ignore_errors=True)


def _write_images(
    scene: Scene,
    states: Sequence[State],
    request: SimulateRequest,
    config: ImagingConfig,
    make_density: DensityMaker,
    particles: DrawnParticles,
) -> SignalLevels:
    n, sources = len(particles), list(states)
    if "wrong" in config.junk and config.junk_fraction > 0:
        sources += wrong_states(scene, N_WRONG, np.random.default_rng([config.seed, 4]))
    with scratch_images(request.outdir, n, config.box_size) as noiseless:
        with progress(n, "projections") as update:
            variance = project_all(noiseless, sources, make_density, particles, config, update)
        levels = levels_for(variance, config.snr)
        with progress(n, "images") as update:
            write_noisy_stack(request.outdir / files.STACK, noiseless, levels, config, update)
    return levels


def _write_truth(
    scene: Scene,
    states: Sequence[State],
    folder: Path,
    config: ImagingConfig,
    make_density: DensityMaker,
    particles: DrawnParticles,
    levels: SignalLevels,
) -> None:
    truth = folder / files.TRUTH
    files.write_true_particles(truth, particles, states)
    electrons = [float(state.coordinates(scene)[1].sum()) for state in states]
    table = files.write_states_table(truth, states, electrons, particles)
    shares = table["particles"].to_numpy() / max(1, int(table["particles"].sum()))
    mean = torch.zeros((config.box_size,) * 3)
    for number, state in enumerate(states):
        density = make_density(state) * levels.scale
        mean += float(shares[number]) * density
        files.write_map(truth / files.map_name(number, state), density, config, scene.centre_angstrom)
    files.write_map(truth / files.MEAN_MAP, mean, config, scene.centre_angstrom)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
