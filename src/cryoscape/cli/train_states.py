"""`cryoscape train_states`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cryoscape.cli.training_flags import LinearTrainingFlags


def train_states(
    particles: Path,
    /,
    *,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])],
    k: Annotated[int | Literal["auto"], Parameter(name=["--k", "-k"])] = "auto",
    subspace: Annotated[Path | None, Parameter(name="--from")] = None,
    zdim: int | Literal["auto"] = "auto",
    seed: int | None = None,
    load: str | None = None,
    flags: LinearTrainingFlags | None = None,
) -> None:
    """Find discrete states among particles with known poses, with a map and half maps of each.

    States are told apart within a linear subspace, which is trained first unless a run is given.

    Example: cryoscape train_states particles.128.txt --poses poses.pkl --ctf ctf.pkl -o 00_states

    Parameters
    ----------
    particles
        Images: .mrcs, .mrc, .txt list, .star, .cs or a store of preprocess.
    outdir
        Folder for states.pkl, states.csv, maps, z.pkl, latents.parquet, weights.pkl and run.log.
    k
        Number of states, or `auto` for as many as can be told apart.
    subspace
        Finished run of train_subspace on the same particles; trained into OUTDIR/subspace if not given.
    zdim
        Components of the subspace that is trained first, or `auto`.
    seed
        Of the start; that of the subspace run if not given.
    load
        `latest`: continue a run that was stopped; what is done of the subspace is kept.
    flags
        Images, where maps may differ, and the machine.
    """
    from cryoscape.workflows.train_states import TrainStatesRequest
    from cryoscape.workflows.train_states import train_states as run
    from cryoscape.workflows.training_session import StoppedBySignal, logger

    request = TrainStatesRequest(
        particles=particles,
        outdir=outdir,
        k=None if k == "auto" else k,
        subspace=subspace,
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
