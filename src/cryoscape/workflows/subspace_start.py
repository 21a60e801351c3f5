"""The subspace run that others start from: where it lies, whether it is there, what it holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cryoscape.engines.linear_maps import read_linear_maps
from cryoscape.engines.run_files import RESUME_FILE
from cryoscape.engines.run_folder import RunFolder
from cryoscape.engines.subspace.em import Model, fewer_components
from cryoscape.engines.volume_source import engine_name
from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.typing import Rows

SUBSPACE_FOLDER = "subspace"
"""Of a run folder: where a training leaves the subspace that it trained first."""
WEIGHTS_FILE = "weights.pkl"
"""Of a subspace run: written last, so present means finished."""


@dataclass(frozen=True, eq=False)
class SubspaceStart:
    """A finished subspace run: its model up to a radius, mask (D, D, D) and rows of its particles."""

    model: Model
    radius: int
    mask: Tensor
    seed: int
    invert_data: bool
    rows: Rows


def subspace_of_run(folder: Path, config: dict[str, Any]) -> Path:
    """The subspace run that a run started from: where its configuration says, or within its folder."""
    stored = config.get("training", {}).get("subspace")
    return Path(str(stored)) if stored and Path(str(stored)).is_dir() else folder / SUBSPACE_FOLDER


def has_finished(folder: Path) -> bool:
    """Whether a subspace run is there and finished."""
    return (folder / WEIGHTS_FILE).is_file()


def was_stopped(folder: Path) -> bool:
    """Whether a subspace run is there that can go on."""
    return (folder / RESUME_FILE).is_file()


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


def check_same_images(name: str, start: SubspaceStart, store: FourierStore) -> None:
    """Refuse a subspace, as the user calls it, of other particles or of another box."""
    if not np.array_equal(store.particles.row, start.rows):
        raise InputError(
            f"{name}: has {len(start.rows)} particles, the input {store.n}, or others; "
            "give the same particles and --ind"
        )
    if len(start.mask) != store.box_size:
        raise InputError(
            f"{name}: images of {len(start.mask)} px, the input has {store.box_size} px; give the same images"
        )
