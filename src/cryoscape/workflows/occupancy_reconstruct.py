"""Maps of classes from their particles alone, with half maps and FSC, and the command that makes one."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from cryoscape.engines.run_folder import RunFolder, find_beside
from cryoscape.errors import InputError
from cryoscape.workflows.reconstruct import ReconstructRequest, reconstruct
from cryoscape.workflows.subspace_start import has_finished, subspace_of_run


def selection_request(run: Path, selection: Path, output: Path) -> ReconstructRequest:
    """What reconstructs a selection of a run's particles from the images the run was trained on.

    With the predictions of a subspace, where the run is one or rests on one: of a few hundred particles
    their map is better by far than one from the particles alone.
    """
    args = RunFolder(run).config().get("dataset_args", {})

    def path(name: str) -> Path | None:
        return find_beside(str(args[name]), run) if args.get(name) else None

    return ReconstructRequest(
        path("particles") or Path("PARTICLES"),
        output,
        path("poses"),
        path("ctf"),
        run=_subspace_of(run),
        ind=selection,
        datadir=path("datadir"),
        invert=args.get("invert_data") is not False,
    )


def command_of(request: ReconstructRequest) -> str:
    """The same as a line for a terminal."""
    return shlex.join(request.words())


def class_folder(folder: Path, k: int, n_particles: int) -> Path:
    """Where the map of a class lies; with its size, by which those of another clustering are told apart."""
    return folder / f"class_{k}.{n_particles}_particles"


def check_classes(classes: Sequence[int], counts: Int[np.ndarray, " k"], run: Path) -> None:
    """InputError for classes that are not there or have no particles, and for images that are gone."""
    for k in classes:
        if not 0 <= k < len(counts):
            raise InputError(f"--reconstruct {k}: no such class; there are 0 to {len(counts) - 1}")
        if not counts[k]:
            raise InputError(f"--reconstruct {k}: no particles are known of this class")
    if not classes:
        return
    particles = selection_request(run, Path(), Path()).particles
    if not particles.exists():
        raise InputError(
            f"--reconstruct: {particles}, the images of {run}, are not there; put them back, or use "
            "cryoscape reconstruct"
        )


def reconstruct_classes(requests: Sequence[ReconstructRequest]) -> None:
    """Make the maps, one class after the other."""
    for request in requests:
        reconstruct(request)


def _subspace_of(run: Path) -> Path | None:
    """The run of train_subspace that a run is, or that it started from; None where there is none."""
    for folder in (run, subspace_of_run(run, RunFolder(run).config())):
        try:
            if RunFolder(folder).config().get("engine") == "subspace" and has_finished(folder):
                return folder
        except InputError:
            continue
    return None
