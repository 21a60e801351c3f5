"""`cryoscape occupancy blocks`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def occupancy_blocks(
    run: Path | None = None,
    *,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])],
    maps: Annotated[Path | None, Parameter(name=["--maps", "--mapdir"])] = None,
    epoch: int | None = None,
    ksample: int = 500,
    downsample: Annotated[int | None, Parameter(name=["-d", "--downsample"])] = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    flip: bool = False,
    invert: bool = False,
    min_correlation: float = 0.8,
    min_voxels: int = 20,
    min_change: float = 0.5,
    significance: float = 0.01,
    scale: Literal["global", "column", "minmax", "zscore", "none"] = "global",
    percentiles: tuple[float, float] = (10.0, 90.0),
    linkage: Literal["ward", "average", "complete", "single"] = "ward",
    classes: int | None = None,
    class_threshold: float | None = None,
    seed: int = 0,
    device: str = "auto",
    all_particles: Annotated[bool, Parameter(negative=())] = False,
    labels: Path | None = None,
    force: bool = False,
) -> None:
    """Find regions of maps that come and go together, without a model, and measure maps by them.

    Regions take the place of the parts of a model: their masks are as of occupancy masks, and all that
    occupancy run leaves of classes, particles and occupancies is written.

    Example: cryoscape occupancy blocks 00_subspace -o regions

    Parameters
    ----------
    run
        Run folder of any engine, whose maps are made in memory.
    outdir
        Folder for all results.
    maps
        Folder of maps NAME_NUMBER.mrc, in place of a run; 100 or more.
    epoch
        Of the run [the latest].
    ksample
        Of a run: maps at the centres of this many k-means clusters of particles.
    downsample
        Box of a run's maps in voxels [64, or that of the run].
    apix
        Pixel size of a run's images in A [what the run knows].
    flip
        Mirror a run's maps.
    invert
        Change the sign of a run's maps.
    min_correlation
        Of the voxels of a region, over the maps; lower for fewer and larger regions.
    min_voxels
        Smaller regions are left out.
    min_change
        A voxel varies if its density changes by this share of the maps' contour level.
    significance
        Chance that any two voxels are linked that have nothing to do with each other.
    scale
        Of occupancies, before maps are put into classes: see occupancy run.
    percentiles
        Low and high, of global and column.
    linkage
        How distances between groups are counted.
    classes
        Number of classes of maps [what the tree suggests].
    class_threshold
        The same by the distance at which the tree is cut.
    seed
        Of the clusters of a run's particles, and of the voxels that regions start from.
    device
        Where a run's maps are made: auto, cpu, cuda or mps.
    all_particles
        Measure every particle of a run as well, into particle_occupancies.parquet for filter --columns.
    labels
        Labels of particles from elsewhere, to compare classes with: see occupancy run.
    force
        Replace an analysis that is in the folder.
    """
    from cryoscape.occupancy.blocks import RegionOptions
    from cryoscape.workflows.occupancy_blocks import BlocksRequest
    from cryoscape.workflows.occupancy_blocks import occupancy_blocks as start
    from cryoscape.workflows.occupancy_ensemble import choose_source
    from cryoscape.workflows.occupancy_groups import ClusterOptions
    from cryoscape.workflows.occupancy_sampling import SamplingRequest

    sampling = None
    if run is not None:
        sampling = SamplingRequest(run, epoch, ksample, downsample, flip, invert, apix, seed, device)
    source = choose_source(maps, sampling)
    regions = RegionOptions(min_correlation, significance, min_voxels, seed=seed)
    start(
        BlocksRequest(
            source,
            outdir,
            regions,
            ClusterOptions(scale, percentiles, linkage, classes, class_threshold),
            min_change,
            all_particles,
            labels,
            force,
        )
    )
