"""What a states training is asked for, and the subspace run it starts from."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cryoscape.engines.linear_maps import read_linear_maps
from cryoscape.engines.run_files import holds_run
from cryoscape.engines.run_folder import RunFolder
from cryoscape.engines.subspace.em import Model, fewer_components
from cryoscape.engines.volume_source import engine_name
from cryoscape.errors import InputError
from cryoscape.typing import Rows
from cryoscape.workflows.train_subspace_plan import TrainSubspaceRequest
from cryoscape.workflows.training_images import ImageSource

ENGINE = "states"
SUBSPACE_FOLDER = "subspace"


@dataclass(frozen=True)
class TrainStatesRequest:
    """What the user asked for.

    Attributes
    ----------
    k : number of states; None for as many as can be told apart.
    subspace : run folder of train_subspace on the same particles; None to train one first.
    zdim, mask : of the subspace that is trained first.
    seed : None for that of the subspace run.
    """

    particles: Path
    outdir: Path
    poses: Path | None = None
    ctf: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None
    k: int | None = None
    subspace: Path | None = None
    zdim: int | None = None
    mask: str = "solvent"
    invert_data: bool = True
    lazy: bool = False
    seed: int | None = None
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

    def subspace_request(self) -> TrainSubspaceRequest:
        """The training that goes before where no run is given."""
        return TrainSubspaceRequest(
            particles=self.particles,
            outdir=self.subspace_folder,
            poses=self.poses,
            ctf=self.ctf,
            ind=self.ind,
            datadir=self.datadir,
            zdim=self.zdim,
            mask=self.mask,
            invert_data=self.invert_data,
            lazy=self.lazy,
            seed=self.seed,
            max_threads=self.max_threads,
            device=self.device,
            force=self.force,
            command=self.command,
        )


@dataclass(frozen=True, eq=False)
class SubspaceStart:
    """A finished subspace run: its model up to a radius, mask (D, D, D) and rows of its particles."""

    model: Model
    radius: int
    mask: Tensor
    seed: int
    invert_data: bool
    rows: Rows


def check_states_request(request: TrainStatesRequest) -> None:
    """Refuse, before anything is read, what cannot be done or would overwrite another run."""
    if request.outdir.exists() and not request.outdir.is_dir():
        raise InputError(f"{request.outdir}: is a file; -o must name a folder")
    if not request.force and holds_run(request.outdir):
        raise InputError(
            f"{request.outdir}: holds a training run already; replace it with --force, or give another -o"
        )
    for flag, value in (("--k", request.k), ("--zdim", request.zdim), ("--max-threads", request.max_threads)):
        if value is not None and value < 1:
            raise InputError(f"{flag} {value}: expected at least 1")
    if request.subspace is not None:
        if request.subspace.resolve() == request.outdir.resolve():
            raise InputError(f"-o {request.outdir}: is the run given with --from; give another folder")
        if request.zdim is not None or request.mask != "solvent":
            raise InputError("--zdim and --mask belong to the subspace: leave them out where --from is given")


def read_subspace(folder: Path, device: torch.device) -> SubspaceStart:
    """The model of a finished subspace run.

    Raises
    ------
    InputError : no such run, not finished, of another engine, or without what learning leaves.
    """
    run = RunFolder(folder)
    config = run.config()
    if engine_name(config) != "subspace":
        raise InputError(
            f"--from {folder}: holds a run of train_{engine_name(config)}, expected one of train_subspace"
        )
    weights = read_linear_maps(run.weights(None), run.pixel_size_angstrom() or 1.0)
    found = run.record().get("result", {})
    missing = {"maps", "power", "noise", "contrast_spread", "mask"} - set(weights.state)
    if missing or "radius" not in found:
        raise InputError(f"--from {folder}: lacks the state of its training; run train_subspace again")
    if weights.maps.zdim < 1:
        raise InputError(
            f"--from {folder}: no differences between particles were found; give --zdim to train_subspace"
        )
    state = {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in weights.state.items()
    }
    model = Model(state["maps"], state["power"], state["noise"], float(state["contrast_spread"]))
    return SubspaceStart(
        model=fewer_components(model, weights.maps.zdim),
        radius=int(found["radius"]),
        mask=state["mask"],
        seed=int(config.get("seed", 0)),
        invert_data=bool(config["dataset_args"].get("invert_data", True)),
        rows=run.original_rows(int(run.record()["n_images"])),
    )
