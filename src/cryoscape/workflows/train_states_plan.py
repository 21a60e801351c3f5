"""What a states training is asked for, and the subspace run it starts from."""

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from cryoscape.engines.linear_maps import read_linear_maps
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


@dataclass(frozen=True)
class TrainStatesRequest(LinearTrainingRequest):
    """What the user asked for; ``zdim`` and ``mask`` are of the subspace that is trained first.

    Attributes
    ----------
    k : number of states; None for as many as can be told apart.
    subspace : run folder of train_subspace on the same particles; None to train one first.
    """

    k: int | None = None
    subspace: Path | None = None

    @property
    def subspace_folder(self) -> Path:
        """The subspace run to start from."""
        return self.outdir / SUBSPACE_FOLDER if self.subspace is None else self.subspace

    def subspace_request(self) -> TrainSubspaceRequest:
        """The training that goes before where no run is given."""
        common = {one.name: getattr(self, one.name) for one in fields(LinearTrainingRequest)}
        return TrainSubspaceRequest(**{**common, "outdir": self.subspace_folder})


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
    check_linear_request(request)
    if request.k is not None and request.k < 1:
        raise InputError(f"--k {request.k}: expected at least 1")
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
