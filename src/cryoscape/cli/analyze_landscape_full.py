"""`cryoscape analyze_landscape_full`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def analyze_landscape_full(
    run: Path,
    epoch: int = -1,
    /,
    *,
    landscape_dir: Path | None = None,
    output: Annotated[Path | None, Parameter(name=["-o", "--output", "--outdir"])] = None,
    training_volumes: Annotated[int, Parameter(name=["-N", "--training-volumes"])] = 1000,
    flip: bool = False,
    downsample: Annotated[int | None, Parameter(name=["-d", "--downsample"])] = None,
    skip_vol: bool = False,
    skip_umap: bool = False,
    num_neighbors: int = 15,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
) -> None:
    """Place every particle in the landscape of analyze_landscape: coordinates, states, densities.

    Exact for runs of train_subspace and train_states; for a decoder, coordinates are learned from the maps of
    some particles. Results go to landscape_full in the landscape's folder, whose report.html shows them.

    Example: cryoscape analyze_landscape_full 01_128_8D_256 49

    Parameters
    ----------
    run
        Folder of the training run, of any engine.
    epoch
        Epoch as numbered in the file names; -1 for the latest, or for a run without epochs.
    landscape_dir
        Folder that analyze_landscape wrote [landscape.EPOCH or landscape in the run].
    output
        Folder of results [landscape_full in the landscape's folder].
    training_volumes
        Particles whose maps a decoder makes to learn from; a quarter of them is kept aside as a test.
    flip
        As in analyze_landscape, whose maps are used: refused where it was made without.
    downsample
        Box of the landscape: refused where it was made with another.
    skip_vol
        Use the decoded maps of an earlier call, and make none.
    skip_umap
        Compute no UMAP of the coordinates.
    num_neighbors
        Neighbours a particle for UMAP.
    seed
        Of the choice of particles and of UMAP.
    device
        auto, cpu, cuda or mps.
    force
        Replace earlier results with other settings.
    """
    from cryoscape.workflows.analyze_landscape_full import LandscapeFullOptions
    from cryoscape.workflows.analyze_landscape_full import analyze_landscape_full as run_full

    options = LandscapeFullOptions(
        training_volumes=training_volumes,
        skip_vol=skip_vol,
        skip_umap=skip_umap,
        num_neighbors=num_neighbors,
        seed=seed,
        downsample=downsample,
        flip=flip,
    )
    run_full(
        run,
        None if epoch < 0 else epoch,
        options,
        landscape=landscape_dir,
        output=output,
        device=device,
        force=force,
    )
