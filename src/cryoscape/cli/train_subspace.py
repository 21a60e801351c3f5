"""`cryoscape train_subspace`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def train_subspace(
    particles: Path,
    /,
    *,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])],
    poses: Path | None = None,
    ctf: Path | None = None,
    ind: Path | None = None,
    datadir: Path | None = None,
    zdim: int | Literal["auto"] = "auto",
    mask: str = "solvent",
    uninvert_data: bool = False,
    lazy: bool = False,
    seed: int | None = None,
    load: str | None = None,
    max_threads: int | None = None,
    device: str = "auto",
    force: bool = False,
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"])] = False,
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
    poses
        poses.pkl; needed unless the particles file holds poses.
    ctf
        ctf.pkl; needed unless the particles file holds the CTF.
    ind
        Selection: .pkl of row numbers of the particles file.
    datadir
        Folder that image paths of a .star or .cs file are relative to.
    zdim
        Number of components, or `auto` for as many as images not trained on support.
    mask
        Where maps may differ: `solvent` (surroundings of the mean map), `sphere`, or a .mrc file, 1 inside.
    uninvert_data
        Do not multiply the images by -1: for dark particles on light ground.
    lazy
        Keep preprocessed images on disk beside the run instead of in memory.
    seed
        Of the start and of the images held out; drawn and recorded if not given.
    load
        `latest` continues the run in the folder exactly where it stopped.
    max_threads
        CPU threads.
    device
        auto, cpu, cuda, cuda:1 or mps.
    force
        Replace a run that is in the folder already.
    verbose
        Say more.
    """
    from cryoscape.workflows.train_subspace import TrainSubspaceRequest
    from cryoscape.workflows.train_subspace import train_subspace as run
    from cryoscape.workflows.training_session import StoppedBySignal, logger

    request = TrainSubspaceRequest(
        particles=particles,
        outdir=outdir,
        poses=poses,
        ctf=ctf,
        ind=ind,
        datadir=datadir,
        zdim=None if zdim == "auto" else zdim,
        mask=mask,
        invert_data=not uninvert_data,
        lazy=lazy,
        seed=seed,
        load=load,
        max_threads=max_threads,
        device=device,
        force=force,
        command=tuple(sys.argv),
    )
    try:
        run(request)
    except StoppedBySignal as stop:
        logger.warning("%s; continue with --load latest", stop)
        raise SystemExit(stop.exit_code) from None
