"""`cryoscape analyze_convergence`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def analyze_convergence(
    run: Path,
    epoch: int = -1,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["-o", "--output", "--outdir"])] = None,
    epoch_interval: int | None = None,
    subset: str = "50000",
    random_seed: int = 42,
    random_state: int = 42,
    n_epochs_umap: int | None = None,
    skip_umap: bool = False,
    n_bins: int = 30,
    smooth: Annotated[bool, Parameter(negative="--no-smooth")] = True,
    smooth_width: float = 1.0,
    pruned_maxima: int | None = None,
    radius: float = 5.0,
    final_maxima: int = 10,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    flip: bool = False,
    flip_legacy: bool = False,
    invert: bool = False,
    downsample: Annotated[int | None, Parameter(name=["-d", "--downsample"])] = None,
    skip_volgen: bool = False,
    thresh: float | None = None,
    dilate: float = 3.0,
    dist: float = 10.0,
    force_umap_cpu: bool = False,
    max_threads: int | None = None,
    device: str = "auto",
    force: bool = False,
) -> None:
    """Tell whether training has converged, since which epoch, and whether it went on for too long.

    Compares the epochs of a train_vae run: loss, shifts of latents, UMAP, and maps of well-populated
    neighbourhoods. Results go to convergence.EPOCH in the run folder; verdict.txt and report.html come first.

    Example: cryoscape analyze_convergence 01_128_8D_256 49 --flip

    Parameters
    ----------
    run
        Folder of the training run.
    epoch
        Last epoch looked at, as numbered in the file names; -1 for the latest.
    output
        Folder of results [convergence.EPOCH in the run].
    epoch_interval
        Epochs between compared epochs [5; a fifth of the epochs where they are fewer than 25].
    subset
        Particles, drawn at random, of which UMAP and maxima are made; None for all.
    random_seed
        Of the subset.
    random_state
        Of UMAP.
    n_epochs_umap
        Layout epochs of UMAP [as many as needed].
    skip_umap
        Compute no UMAP: those of an earlier analysis are used, else principal components.
    n_bins
        Bins along each axis of the UMAP plane, in which maxima are looked for.
    smooth
        Smooth the histogram of the plane.
    smooth_width
        Standard deviation of that, in bins.
    pruned_maxima
        Stop removing close maxima once so few are left [remove all].
    radius
        Of two maxima within so many bins the lower is removed.
    final_maxima
        Maxima kept, the highest: one map each at every compared epoch.
    apix
        Pixel size of the training images in angstrom [known from the run].
    flip
        Mirror the maps (other hand) about the central voxel.
    flip_legacy
        Mirror as upstream does, which moves the centre by a voxel.
    invert
        Multiply the maps by -1.
    downsample
        Smaller even box for the maps, same extent; Nyquist is then that of the smaller box.
    skip_volgen
        Make no maps: those of an earlier analysis are used, else the decoder is left out.
    thresh
        Density inside the mask of a map [half of its 99.99th percentile].
    dilate
        Voxels by which that density is widened.
    dist
        Voxels over which the mask then falls to 0.
    force_umap_cpu
        No effect, as UMAP runs on the CPU; accepted for old command lines.
    max_threads
        CPU threads that decode maps.
    device
        auto, cpu, cuda or mps.
    force
        Replace an earlier analysis with other settings.
    """
    from cryoscape.analysis.convergence_maps import MaskOptions
    from cryoscape.analysis.local_maxima import LocalMaximaOptions
    from cryoscape.analysis.maps import MapOptions
    from cryoscape.errors import InputError
    from cryoscape.workflows.analyze_convergence import ConvergenceOptions
    from cryoscape.workflows.analyze_convergence import analyze_convergence as run_analysis

    if not (subset.isdigit() or subset.lower() in ("none", "all")):
        raise InputError(f"--subset: expected a number of particles, or None for all, found {subset!r}.")
    options = ConvergenceOptions(
        epoch_interval=epoch_interval,
        subset=int(subset) if subset.isdigit() else None,
        subset_seed=random_seed,
        seed=random_state,
        n_epochs_umap=n_epochs_umap,
        skip_umap=skip_umap,
        maxima=LocalMaximaOptions(
            n_bins, smooth_width if smooth else 0.0, radius, pruned_maxima, final_maxima
        ),
        pixel_size_angstrom=apix,
        maps=MapOptions(downsample, flip, flip_legacy, invert),
        mask=MaskOptions(thresh, dilate, dist),
        skip_volgen=skip_volgen,
        max_threads=max_threads,
    )
    run_analysis(run, None if epoch < 0 else epoch, options, output=output, device=device, force=force)
