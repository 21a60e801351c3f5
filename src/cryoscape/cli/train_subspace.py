"""`cryoscape train_subspace`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cryoscape.cli.training_flags import LinearTrainingFlags


def train_subspace(
    particles: Path,
    /,
    *,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])],
    zdim: int | Literal["auto"] = "auto",
    seed: int | None = None,
    load: str | None = None,
    flags: LinearTrainingFlags | None = None,
) -> None:
    """Learn the main differences between particles from images with known poses (linear subspace).

    Each particle's place is an exact posterior, and no GPU is needed. A run that was stopped goes on
    exactly where it was with --load latest.

    Example: cryoscape train_subspace particles.128.txt --poses poses.pkl --ctf ctf.pkl -o 00_subspace

    Parameters
    ----------
    particles
        Images: .mrcs, .mrc, .txt list, .star, .cs or a store of preprocess.
    outdir
        Folder for z.pkl, latents.parquet, weights.pkl, config.yaml, run.log and metrics.jsonl.
    zdim
        Number of components, or `auto` for as many as images not trained on support.
    seed
        Of the start and of the images held out; drawn and recorded if not given.
    load
        `latest` continues the run in the folder exactly where it stopped.
    flags
        Images, where maps may differ, and the machine.
    """
    from cryoscape.workflows.train_subspace import TrainSubspaceRequest
    from cryoscape.workflows.train_subspace import train_subspace as run
    from cryoscape.workflows.training_session import StoppedBySignal, logger

    request = TrainSubspaceRequest(
        particles=particles,
        outdir=outdir,
        zdim=None if zdim == "auto" else zdim,
        seed=seed,
        load=load,
        command=tuple(sys.argv),
        **(flags or LinearTrainingFlags()).of_request(),
    )
    try:
        run(request)
    except StoppedBySignal as stop:
        logger.warning("%s; continue with --load latest", stop)
        raise SystemExit(stop.exit_code) from None
