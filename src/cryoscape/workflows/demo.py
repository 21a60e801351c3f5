"""The demonstration: simulate a complex in five states, run the workflows users run, and judge the answer."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cryoscape.engines.run_folder import load_run
from cryoscape.errors import InputError
from cryoscape.io.atomic import write_text
from cryoscape.io.mrc import open_mrc, read_volume
from cryoscape.particles import simulation_files as files
from cryoscape.particles.simulation_drawing import ImagingConfig
from cryoscape.workflows.analyze import AnalyzeOptions, AnalyzeResult, analyze
from cryoscape.workflows.backproject import BackprojectRequest, BackprojectResult, backproject
from cryoscape.workflows.demo_compare import Comparison, compare, find_states, map_correlations
from cryoscape.workflows.demo_complex import demo_scene, demo_states
from cryoscape.workflows.demo_report import DemoFindings, write_demo_report
from cryoscape.workflows.parse import parse_ctf_star, parse_pose_star
from cryoscape.workflows.simulate import SimulateRequest, SimulateResult, simulate_scene
from cryoscape.workflows.train_manifold import TrainManifoldRequest, TrainManifoldResult, train_manifold

logger = logging.getLogger("cryoscape")

_MARK = "demo.json"
_BOX_ANGSTROM = 224.0
_FEWEST_PARTICLES = 100


@dataclass(frozen=True)
class DemoRequest:
    """Size and effort of the demonstration; the defaults take a minute or two on two cores.

    Attributes
    ----------
    umap : show the latent space by UMAP (else by its first two principal components).
    force : replace an earlier demonstration in the folder.
    """

    outdir: Path
    n_particles: int = 5000
    box_size: int = 32
    snr: float = 0.4
    epochs: int = 20
    zdim: int = 8
    seed: int = 0
    umap: bool = True
    force: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class DemoResult:
    """Where the page and the picture lie, and how well the true states were recovered.

    ``correlations`` (k, s) are those of the map of each group found with each true map.
    """

    folder: Path
    report: Path
    picture: Path
    score: float
    comparison: Comparison
    correlations: np.ndarray
    seconds: float


@dataclass
class _Steps:
    """Commands run so far: name, what it did, seconds."""

    done: list[tuple[str, str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, command: str, what: str) -> Iterator[None]:
        logger.info("--- %s: %s", command, what)
        start = time.perf_counter()
        yield
        self.done.append((command, what, time.perf_counter() - start))


def demo(request: DemoRequest) -> DemoResult:
    """Run everything from atoms to a report page.

    Raises
    ------
    InputError
        If the folder holds something else than a demonstration, or one already and no ``force``.
    """
    started = time.perf_counter()
    folder = request.outdir
    _check_size(request)
    _prepare(folder, request.force)
    poses, ctf = folder / "poses.pkl", folder / "ctf.pkl"
    steps = _Steps()
    with steps.step("simulate", f"{request.n_particles:,} images of a made-up complex in five states"):
        simulated = _simulate(request)
    with steps.step("parse_pose_star", "orientations and shifts"):
        parse_pose_star(simulated.particles, poses)
    with steps.step("parse_ctf_star", "defocus and optics of each image"):
        parse_ctf_star(simulated.particles, ctf)
    with steps.step("backproject_voxel", "the average map, and whether sign, poses and CTF look right"):
        check = backproject(
            BackprojectRequest(simulated.particles, folder / "backproject", poses, ctf, device=request.device)
        )
    with steps.step("train_vae", f"a latent space in {request.zdim} dimensions, {request.epochs} epochs"):
        trained = _train(request, simulated, poses, ctf)
    with steps.step("analyze", "clusters, maps of the states and along the main motions, plots"):
        options = AnalyzeOptions(ksample=8, pc=2, n_per_pc=6, skip_umap=not request.umap)
        analysis = analyze(trained.folder, None, options, device=request.device)
    with steps.step("(comparison)", "groups of particles against the simulated states"):
        findings = _judge(request, simulated, check, trained, analysis, steps)
    seconds = time.perf_counter() - started
    report, picture = write_demo_report(folder, findings, seconds)
    score = findings.comparison.score
    return DemoResult(folder, report, picture, score, findings.comparison, findings.correlations, seconds)


def _check_size(request: DemoRequest) -> None:
    for flag, value, least in (
        ("-n", request.n_particles, _FEWEST_PARTICLES),
        ("--epochs", request.epochs, 1),
    ):
        if value < least:
            raise InputError(f"{flag} {value}: expected at least {least}")


def _prepare(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; -o must name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / _MARK).is_file():
            raise InputError(f"{folder}: holds files that are not of a demonstration; give another -o")
        if not force:
            raise InputError(
                f"{folder}: holds a demonstration already; replace it with --force or give another -o"
            )
        shutil.rmtree(folder)
    write_text(folder / _MARK, "{}\n")


def _simulate(request: DemoRequest) -> SimulateResult:
    scene = demo_scene()
    pixel = _BOX_ANGSTROM / request.box_size
    imaging = ImagingConfig(request.box_size, pixel, snr=request.snr, contrast_sigma=0.1, seed=request.seed)
    wanted = SimulateRequest(
        (), request.outdir / "simulated", request.n_particles, imaging, pixel_size_angstrom=pixel
    )
    return simulate_scene(scene, demo_states(scene), wanted)


def _train(request: DemoRequest, simulated: SimulateResult, poses: Path, ctf: Path) -> TrainManifoldResult:
    """Train as `train_vae` does by default: a linear subspace, then networks that start from it."""
    return train_manifold(
        TrainManifoldRequest(
            particles=simulated.particles,
            outdir=request.outdir / "vae",
            poses=poses,
            ctf=ctf,
            zdim=request.zdim,
            epochs=request.epochs,
            checkpoint=request.epochs,
            seed=request.seed,
            device=request.device,
        )
    )


def _judge(
    request: DemoRequest,
    simulated: SimulateResult,
    check: BackprojectResult,
    trained: TrainManifoldResult,
    analysis: AnalyzeResult,
    steps: _Steps,
) -> DemoFindings:
    run = load_run(trained.folder, None, request.device)
    found = find_states(run.z, request.seed)
    comparison = compare(found, simulated.labels, len(simulated.state_names))
    truth = simulated.folder / files.TRUTH
    true_maps = [read_volume(path).data for path in sorted(truth.glob("state_*.mrc"))]
    recovered = run.source.volumes(np.ascontiguousarray(run.z[found.centre_rows]))
    images = open_mrc(simulated.folder / files.STACK, as_="stack")[:25]
    by_umap = analysis.umap is not None
    layout = analysis.umap if analysis.umap is not None else analysis.components.scores[:, :2]
    return DemoFindings(
        names=simulated.state_names,
        truth=simulated.labels,
        found=found,
        comparison=comparison,
        true_maps=true_maps,
        recovered_maps=recovered,
        correlations=map_correlations(recovered, true_maps),
        layout=np.asarray(layout, dtype=np.float64),
        layout_name="UMAP of the latent space" if by_umap else "Principal components of the latent space",
        images=np.array(images),
        settings=[
            ("Image size", f"{request.box_size} px"),
            ("Signal to noise", f"{request.snr:g}"),
        ],
        steps=steps.done,
        analysis_report=analysis.report,
        check=check,
    )
