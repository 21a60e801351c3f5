"""What a training that starts from the subspace is asked for, and what it goes on from."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryoscape.engines.latent_table import TABLE_FILE
from cryoscape.engines.manifold.epochs import read_epoch
from cryoscape.engines.run_files import holds_run
from cryoscape.engines.run_folder import RunFolder, read_run_config
from cryoscape.engines.volume_source import engine_name
from cryoscape.errors import InputError
from cryoscape.workflows.subspace_start import SUBSPACE_FOLDER, has_finished, subspace_of_run, was_stopped
from cryoscape.workflows.train_subspace_plan import TrainSubspaceRequest
from cryoscape.workflows.training_images import ImageSource

ENGINE = "subspace_mlp"
FINISHED_FILE = TABLE_FILE
"""Written last: present means that the run is finished."""
_LEAST_COMPONENTS = 12

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class TrainManifoldRequest:
    """What the user asked for.

    Attributes
    ----------
    zdim : dimension of the latent space.
    epochs : None for as many as the number of particles asks for.
    subspace : run folder of train_subspace on the same particles; None to train one first.
    load : weights to continue from, or "latest" for the furthest of the run; what is done of the subspace is
        not done again.
    checkpoint : epochs from one that is saved to the next.
    """

    particles: Path
    outdir: Path
    zdim: int
    poses: Path | None = None
    ctf: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None
    epochs: int | None = None
    subspace: Path | None = None
    invert_data: bool = True
    lazy: bool = False
    seed: int | None = None
    load: str | None = None
    checkpoint: int = 1
    max_threads: int | None = None
    device: str = "auto"
    force: bool = False
    command: tuple[str, ...] = ()

    @property
    def source(self) -> ImageSource:
        """The files of images and metadata."""
        return ImageSource(self.particles, self.poses, self.ctf, self.ind, self.datadir)

    @property
    def subspace_folder(self) -> Path:
        """The subspace run to start from."""
        return self.outdir / SUBSPACE_FOLDER if self.subspace is None else self.subspace

    @property
    def n_components(self) -> int:
        """Bases of the subspace that is trained first: more than latents, as a curve needs them."""
        return max(_LEAST_COMPONENTS, 2 * self.zdim)

    def subspace_request(self) -> TrainSubspaceRequest | None:
        """The training that goes before, or goes on; None where its run is there."""
        folder = self.subspace_folder
        if self.subspace is not None or (self.load is not None and has_finished(folder)):
            return None
        goes_on = self.load is not None and was_stopped(folder)
        return TrainSubspaceRequest(
            particles=self.particles,
            outdir=folder,
            poses=self.poses,
            ctf=self.ctf,
            ind=self.ind,
            datadir=self.datadir,
            zdim=self.n_components,
            invert_data=self.invert_data,
            lazy=self.lazy,
            seed=self.seed,
            load="latest" if goes_on else None,
            max_threads=self.max_threads,
            device=self.device,
            force=self.force,
            command=self.command,
        )


@dataclass(frozen=True)
class Continuation:
    """A state of an earlier run to go on from: weights file, what it holds, and the run's config.yaml."""

    weights: Path
    content: dict[str, Any] = field(repr=False)
    config: dict[str, Any] = field(repr=False)

    @property
    def following(self) -> int:
        """The first epoch to be trained."""
        return int(self.content["training"]["number"])

    @property
    def maps_round(self) -> int:
        """Whether maps had been made again, 0 or 1."""
        return int(self.content["training"]["round"])

    @property
    def subspace(self) -> Path:
        """The subspace run it started from: where it was, else beside the weights."""
        return subspace_of_run(self.weights.parent, self.config)


def check_manifold_request(request: TrainManifoldRequest) -> None:
    """Refuse, before anything is read, what cannot be done or would overwrite another run."""
    if request.outdir.exists() and not request.outdir.is_dir():
        raise InputError(f"{request.outdir}: is a file; -o must name a folder")
    for flag, value in (
        ("--zdim", request.zdim),
        ("-n", request.epochs),
        ("--checkpoint", request.checkpoint),
        ("--max-threads", request.max_threads),
    ):
        if value is not None and value < 1:
            raise InputError(f"{flag} {value}: expected at least 1")
    if request.subspace is not None and request.subspace.resolve() == request.outdir.resolve():
        raise InputError(f"-o {request.outdir}: is the run given with --from; give another folder")
    if not request.force and not _goes_on(request) and holds_run(request.outdir):
        raise InputError(
            f"{request.outdir}: holds a training run already; continue it with --load latest, "
            "replace it with --force, or give another -o"
        )


def _goes_on(request: TrainManifoldRequest) -> bool:
    """Whether the run in the output folder is the one to continue."""
    if request.load in (None, "latest"):
        return request.load is not None
    return Path(str(request.load)).parent.resolve() == request.outdir.resolve()


def find_continuation(request: TrainManifoldRequest) -> Continuation | None:
    """The state to go on from; None where training starts, or was stopped before its first epoch.

    Raises
    ------
    InputError : nothing to continue from, weights of another engine or zdim, or no epochs left.
    """
    if request.load is None:
        return None
    folder = request.outdir if request.load == "latest" else Path(request.load).parent
    config = read_run_config(folder) if holds_configuration(folder) else {}
    if config and engine_name(config) != ENGINE:
        raise InputError(
            f"--load {request.load}: the run in {folder} is of the engine {engine_name(config)}, expected "
            f"{ENGINE}; give the decoder it was trained with, or another -o"
        )
    weights = _latest(folder) if request.load == "latest" else Path(request.load)
    if weights is None:
        started = request.subspace_folder
        if not (config or was_stopped(started) or has_finished(started)):
            raise InputError(f"{request.outdir}: nothing to continue from; train without --load")
        return None
    found = Continuation(weights, read_epoch(weights), config)
    _check_goes_on(request, found)
    return found


def _check_goes_on(request: TrainManifoldRequest, found: Continuation) -> None:
    zdim = found.content["decoder"]["linear.weight"].shape[1]
    if zdim != request.zdim:
        raise InputError(f"--zdim {request.zdim}: {found.weights} has {zdim}; give the same")
    if request.epochs is None:
        if request.load == "latest" and (found.weights.parent / FINISHED_FILE).is_file():
            raise InputError(
                f"{found.weights.parent}: the run is finished; see it with `cryoscape analyze "
                f"{found.weights.parent}`, go on with -n above {found.following}, or train anew with --force"
            )
    elif found.following >= request.epochs:
        raise InputError(
            f"{found.weights.parent}: epoch {found.following - 1} is done already, -n {request.epochs} asks "
            f"for epochs 0 to {request.epochs - 1}; give a larger -n"
        )


def holds_configuration(folder: Path) -> bool:
    """Whether a run has begun in a folder."""
    return any((folder / name).is_file() for name in ("config.yaml", "config.pkl"))


def _latest(folder: Path) -> Path | None:
    """The furthest readable weights; damaged ones are passed over with a warning."""
    if not folder.is_dir():
        return None
    run = RunFolder(folder)
    for epoch in reversed(run.epochs("weights")):
        try:
            read_epoch(run.weights(epoch))
        except InputError as error:
            logger.warning("passing over a damaged checkpoint: %s", error)
            continue
        return run.weights(epoch)
    return None
