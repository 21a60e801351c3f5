"""What a states training is asked for, and the subspace run it starts from."""

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from cryoscape.engines.linear_maps import read_linear_maps
from cryoscape.engines.run_files import RESUME_FILE, holds_run
from cryoscape.engines.run_folder import RunFolder
from cryoscape.engines.subspace.em import Model, fewer_components
from cryoscape.engines.volume_source import engine_name
from cryoscape.errors import InputError
from cryoscape.typing import Rows
from cryoscape.workflows.train_subspace_plan import (
    LinearTrainingRequest,
    TrainSubspaceRequest,
    check_linear_request,
)

ENGINE = "states"
SUBSPACE_FOLDER = "subspace"
WEIGHTS_FILE = "weights.pkl"


@dataclass(frozen=True)
class TrainStatesRequest(LinearTrainingRequest):
    """What the user asked for; ``zdim`` and ``mask`` are of the subspace that is trained first.

    Attributes
    ----------
    k : number of states; None for as many as can be told apart.
    subspace : run folder of train_subspace on the same particles; None to train one first.
    load : "latest" to continue a run that was stopped: what is done of the subspace is kept, states are
        looked for anew, with the same result as without a stop.
    """

    k: int | None = None
    subspace: Path | None = None
    load: str | None = None

    @property
    def subspace_folder(self) -> Path:
        """The subspace run to start from."""
        return self.outdir / SUBSPACE_FOLDER if self.subspace is None else self.subspace

    def subspace_request(self) -> TrainSubspaceRequest:
        """The training that goes before where no run is given, or goes on."""
        common = {one.name: getattr(self, one.name) for one in fields(LinearTrainingRequest)}
        goes_on = self.load is not None and (self.subspace_folder / RESUME_FILE).is_file()
        load = "latest" if goes_on else None
        return TrainSubspaceRequest(**{**common, "outdir": self.subspace_folder, "load": load})

    @property
    def has_subspace(self) -> bool:
        """Whether the subspace is there: given, or left by a run that goes on."""
        if self.subspace is not None:
            return True
        return self.load is not None and (self.subspace_folder / WEIGHTS_FILE).is_file()


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
    if request.load not in (None, "latest"):
        raise InputError(f"--load {request.load}: expected `latest`, to continue the run in {request.outdir}")
    continues = request.load is not None
    check_linear_request(request, continues, or_else="continue it with --load latest, ")
    if continues:
        _check_goes_on(request)
    if request.k is not None and request.k < 1:
        raise InputError(f"--k {request.k}: expected at least 1")
    if request.subspace is not None:
        if request.subspace.resolve() == request.outdir.resolve():
            raise InputError(f"-o {request.outdir}: is the run given with --from; give another folder")
        if request.zdim is not None or request.mask != "solvent":
            raise InputError("--zdim and --mask belong to the subspace: leave them out where --from is given")


def _check_goes_on(request: TrainStatesRequest) -> None:
    """Refuse to continue a run that is finished, that never began, or that was asked for something else."""
    outdir = request.outdir
    if (outdir / WEIGHTS_FILE).is_file():
        raise InputError(
            f"{outdir}: the run is finished; see it with `cryoscape analyze {outdir}`, or train anew with "
            "--force"
        )
    began = holds_run(outdir)
    if not began and not any(
        (request.subspace_folder / name).is_file() for name in (RESUME_FILE, WEIGHTS_FILE)
    ):
        raise InputError(f"{outdir}: nothing to continue from; train without --load")
    if not began:
        return
    folder = RunFolder(outdir)
    config = folder.config()
    earlier = config.get("training", {})
    if engine_name(config) != ENGINE:
        raise InputError(f"{folder.path}: holds a run of train_{engine_name(config)}; give another -o")
    for flag, now, before in (
        ("--k", request.k, earlier.get("k")),
        ("--seed", request.seed if request.seed is not None else earlier.get("seed"), earlier.get("seed")),
    ):
        if now != before:
            raise InputError(
                f"{folder.path}: cannot continue with another {flag}: {before} there, {now} here; use the "
                "same one, or train anew with --force"
            )


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
