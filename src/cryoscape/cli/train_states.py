"""`cryoscape train_states`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def train_states(
    particles: Path,
    /,
    *,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])],
    poses: Path | None = None,
    ctf: Path | None = None,
    ind: Path | None = None,
    datadir: Path | None = None,
    k: int | Literal["auto"] = "auto",
    subspace: Annotated[Path | None, Parameter(name="--from")] = None,
    zdim: int | Literal["auto"] = "auto",
    mask: str = "solvent",
    uninvert_data: bool = False,
    lazy: bool = False,
    seed: int | None = None,
    max_threads: int | None = None,
    device: str = "auto",
    force: bool = False,
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"])] = False,
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
    poses
        poses.pkl; needed unless the particles file holds poses.
    ctf
        ctf.pkl; needed unless the particles file holds the CTF.
    ind
        Selection: .pkl of row numbers of the particles file.
    datadir
        Folder that image paths of a .star or .cs file are relative to.
    k
        Number of states, or `auto` for as many as can be told apart.
    subspace
        Finished run of train_subspace on the same particles; trained into OUTDIR/subspace if not given.
    zdim
        Components of the subspace that is trained first, or `auto`.
    mask
        Where maps may differ: `solvent` (surroundings of the mean map), `sphere`, or a .mrc file, 1 inside.
    uninvert_data
        Do not multiply the images by -1: for dark particles on light ground.
    lazy
        Keep preprocessed images on disk beside the run instead of in memory.
    seed
        Of the start; that of the subspace run if not given.
    max_threads
        CPU threads.
    device
        auto, cpu, cuda, cuda:1 or mps.
    force
        Replace a run that is in the folder already.
    verbose
        Say more.
    """
    from cryoscape.workflows.train_states import TrainStatesRequest
    from cryoscape.workflows.train_states import train_states as run
    from cryoscape.workflows.training_session import StoppedBySignal, logger

    request = TrainStatesRequest(
        particles=particles,
        outdir=outdir,
        poses=poses,
        ctf=ctf,
        ind=ind,
        datadir=datadir,
        k=None if k == "auto" else k,
        subspace=subspace,
        zdim=None if zdim == "auto" else zdim,
        mask=mask,
        invert_data=not uninvert_data,
        lazy=lazy,
        seed=seed,
        max_threads=max_threads,
        device=device,
        force=force,
        command=tuple(sys.argv),
    )
    try:
        run(request)
    except StoppedBySignal as stop:
        logger.warning("%s", stop)
        raise SystemExit(stop.exit_code) from None
