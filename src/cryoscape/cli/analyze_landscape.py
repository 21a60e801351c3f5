"""`cryoscape analyze_landscape`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def analyze_landscape(
    run: Path,
    epoch: int = -1,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["-o", "--output", "--outdir"])] = None,
    sketch_size: Annotated[int, Parameter(name=["-N", "--sketch-size"])] = 1000,
    states: Annotated[int | None, Parameter(name=["-M", "--states"])] = None,
    linkage: Literal["average", "ward", "complete", "single"] = "ward",
    mask: Path | None = None,
    thresh: float | None = None,
    dilate: float = 5.0,
    cosine_edge: float = 10.0,
    pc_dim: int = 20,
    plot_dim: int = 5,
    pc: int = 2,
    n_per_pc: int = 10,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    flip: bool = False,
    flip_legacy: bool = False,
    invert: bool = False,
    downsample: Annotated[int | None, Parameter(name=["-d", "--downsample"])] = None,
    low_pass: float | None = None,
    crop: int | None = None,
    all_maps: bool = False,
    skip_vol: bool = False,
    skip_umap: bool = False,
    vol_start_index: int = 0,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
) -> None:
    """Compare the maps of a trained model: components of maps, a tree of maps, states and their particles.

    Maps at many points stand for all particles. Results go to landscape.EPOCH in the run folder (landscape
    for a run without epochs), whose report.html shows them. No earlier analysis is needed.

    Example: cryoscape analyze_landscape 01_128_8D_256 49 --flip -M 10

    Parameters
    ----------
    run
        Folder of the training run, of any engine.
    epoch
        Epoch as numbered in the file names; -1 for the latest, or for a run without epochs.
    output
        Folder of results [landscape.EPOCH or landscape in the run].
    sketch_size
        Number of maps that are compared, spread over the latents by k-means.
    states
        Number of states [suggested].
    linkage
        Distance of two groups of maps in the tree.
    mask
        Mask (0 to 1) within which maps are compared, in the frame of the maps written [around the density].
    thresh
        Density above which a voxel counts as particle in the mask [from the maps].
    dilate
        Distance in angstrom by which the mask is widened.
    cosine_edge
        Width in angstrom of the soft edge of the mask.
    pc_dim
        Components of the maps that are kept.
    plot_dim
        Components that are plotted against each other.
    pc
        Number of components along which maps are made.
    n_per_pc
        Maps along each component.
    apix
        Pixel size of the training images in angstrom [known from the run].
    flip
        Mirror the maps (other hand) about the central voxel.
    flip_legacy
        Mirror as upstream does, which moves the centre by a voxel.
    invert
        Multiply the maps by -1.
    downsample
        Even box in which maps are compared, same extent [that of the model, at most 128].
    low_pass
        Resolution in angstrom to cut the maps at.
    crop
        Cut out the central box of this many voxels; the origin in the header keeps the place.
    all_maps
        Write each compared map also for engines that make maps at once (subspace, states).
    skip_vol
        Use the maps of an earlier landscape, and make none.
    skip_umap
        Compute no UMAP.
    vol_start_index
        Number of the first map of each folder of maps; states count from 0.
    seed
        Of k-means and UMAP.
    device
        auto, cpu, cuda or mps.
    force
        Replace an earlier landscape with other settings.
    """
    from cryoscape.analysis.maps import MapOptions
    from cryoscape.workflows.analyze_landscape import analyze_landscape as run_landscape
    from cryoscape.workflows.analyze_landscape_maps import MaskOptions
    from cryoscape.workflows.analyze_landscape_settings import LandscapeOptions

    options = LandscapeOptions(
        sketch_size=sketch_size,
        n_states=states,
        linkage=linkage,
        pc_dim=pc_dim,
        plot_dim=plot_dim,
        pc=pc,
        n_per_pc=n_per_pc,
        mask=MaskOptions(mask, thresh, dilate, cosine_edge),
        skip_vol=skip_vol,
        all_maps=all_maps,
        skip_umap=skip_umap,
        pixel_size_angstrom=apix,
        maps=MapOptions(downsample, flip, flip_legacy, invert, low_pass, crop),
        vol_start_index=vol_start_index,
        seed=seed,
    )
    run_landscape(run, None if epoch < 0 else epoch, options, output=output, device=device, force=force)
