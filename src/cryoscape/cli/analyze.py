"""`cryoscape analyze`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def analyze(
    run: Path,
    epoch: int = -1,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["-o", "--output", "--outdir"])] = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    flip: bool = False,
    flip_legacy: bool = False,
    invert: bool = False,
    downsample: Annotated[int | None, Parameter(name=["-d", "--downsample"])] = None,
    low_pass: float | None = None,
    crop: int | None = None,
    ksample: int = 20,
    gmm: int | None = None,
    pc: int = 2,
    n_per_pc: int = 10,
    skip_vol: bool = False,
    skip_umap: bool = False,
    vol_start_index: int = 0,
    maps: Literal["decoder", "regression"] = "decoder",
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
) -> None:
    """Analyse the latent space of a trained model: embeddings, clusters, maps, plots and a report.

    Results go to analyze.EPOCH in the run folder (analyze for a run without epochs), whose report.html
    shows them all.

    Example: cryoscape analyze 01_128_8D_256 49 --flip --Apix 3.275

    Parameters
    ----------
    run
        Folder of the training run, of any engine.
    epoch
        Epoch as numbered in the file names; -1 for the latest, or for a run without epochs.
    output
        Folder of results [analyze.EPOCH or analyze in the run].
    apix
        Pixel size of the training images in angstrom [known from the run].
    flip
        Mirror the maps (other hand) about the central voxel.
    flip_legacy
        Mirror as upstream does, which moves the centre by a voxel.
    invert
        Multiply the maps by -1.
    downsample
        Smaller even box for the maps, same extent; the pixel size grows.
    low_pass
        Resolution in angstrom to cut the maps at.
    crop
        Cut out the central box of this many voxels; the origin in the header keeps the place.
    ksample
        Number of k-means clusters, with a map at the centre of each.
    gmm
        Number of clusters of a Gaussian mixture, with a map at the centre of each [no mixture].
    pc
        Number of principal components along which maps are made.
    n_per_pc
        Maps along each component.
    skip_vol
        Make no maps.
    skip_umap
        Compute no UMAP.
    vol_start_index
        Number of the first map of each folder.
    maps
        `decoder`: what the model predicts; `regression`: corrected by the particles near each point, with
        half maps, FSC and maps.csv (runs of train_subspace, whose images must be where they were).
    seed
        Of k-means, the mixture and UMAP.
    device
        auto, cpu, cuda or mps.
    force
        Replace an earlier analysis with other settings.
    """
    from cryoscape.analysis.maps import MapOptions
    from cryoscape.workflows.analyze import AnalyzeOptions
    from cryoscape.workflows.analyze import analyze as run_analysis

    options = AnalyzeOptions(
        ksample=ksample,
        gmm=gmm,
        pc=pc,
        n_per_pc=n_per_pc,
        skip_vol=skip_vol,
        skip_umap=skip_umap,
        pixel_size_angstrom=apix,
        maps=MapOptions(downsample, flip, flip_legacy, invert, low_pass, crop),
        vol_start_index=vol_start_index,
        maps_from=maps,
        seed=seed,
    )
    run_analysis(run, None if epoch < 0 else epoch, options, output=output, device=device, force=force)
