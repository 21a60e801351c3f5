"""`cryoscape occupancy run`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def occupancy_run(
    *,
    model: Annotated[list[Path], Parameter(consume_multiple=True)],
    resolution: float,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])],
    maps: Annotated[Path | None, Parameter(name=["--maps", "--mapdir"])] = None,
    run: Path | None = None,
    epoch: int | None = None,
    ksample: int = 500,
    downsample: Annotated[int | None, Parameter(name=["-d", "--downsample"])] = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    flip: bool = False,
    invert: bool = False,
    chains: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    elements: Path | None = None,
    fit: Literal["check", "shift", "rigid", "ignore"] = "check",
    ini_threshold: float = 0.01,
    extend_px: Annotated[float | None, Parameter(name=["--extend-px", "--extend-inimask"])] = None,
    extend_angstrom: float | None = None,
    edge_px: Annotated[float | None, Parameter(name=["--edge-px", "--width-soft-edge"])] = None,
    edge_angstrom: float | None = None,
    lowpass: float | None = None,
    scale: Literal["global", "column", "minmax", "zscore", "none"] = "global",
    percentiles: tuple[float, float] = (10.0, 90.0),
    linkage: Literal["ward", "average", "complete", "single"] = "ward",
    classes: int | None = None,
    class_threshold: float | None = None,
    blocks: int | None = None,
    block_threshold: float | None = None,
    seed: int = 0,
    device: str = "auto",
    all_particles: Annotated[bool, Parameter(negative=())] = False,
    labels: Path | None = None,
    no_element_files: bool = False,
    force: bool = False,
) -> None:
    """Measure and cluster the occupancy of each element of an atomic model in each map: all steps in one.

    Does what occupancy maps, masks, measure and cluster do, and leaves the same files. To cut the trees
    elsewhere, run occupancy cluster on the result.

    Give maps with --maps, or a trained run with --run, whose maps are made in memory.

    Example: cryoscape occupancy run --maps kmeans500 --model prots.pdb rna.pdb --resolution 5 -o occupancy

    Parameters
    ----------
    model
        PDB or mmCIF files (also .gz) in one frame, each called by its stem.
    resolution
        Of the maps of elements, in A: about that of the consensus map, or the voxel size where larger.
    outdir
        Folder for all results.
    maps
        Folder of maps NAME_NUMBER.mrc.
    run
        Run folder of any engine, in place of --maps.
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
    chains
        Elements are these chains: A, or prots:A,B of one model, or prots:A:10-60 for residues [all chains].
    elements
        .toml or .csv of elements with names of their own, in place of --chains: H68 = "rna:R:1-60".
    fit
        check: refuse a model that does not lie in the maps; shift: move it there first; rigid: turn it too;
        ignore: use it as it is.
    ini_threshold
        Of masks: density at and above which a voxel is inside.
    extend_px
        How far masks reach beyond, in voxels; negative to shrink them.
    extend_angstrom
        The same in A.
    edge_px
        Width of a soft edge beyond that, in voxels.
    edge_angstrom
        The same in A.
    lowpass
        Resolution in A of a filter before the threshold.
    scale
        global: the percentiles of all values become 0 and 1; column: those of each element; minmax, zscore:
        of each element; none.
    percentiles
        Low and high, of global and column.
    linkage
        How distances between groups are counted.
    classes
        Number of classes of maps [what the tree suggests].
    class_threshold
        The same by the distance at which the tree is cut.
    blocks
        Number of blocks of elements [what the tree suggests].
    block_threshold
        The same by the distance.
    seed
        Of the clusters of a run's particles.
    device
        Where a run's maps are made: auto, cpu, cuda or mps.
    all_particles
        Measure every particle of a run as well, into particle_occupancies.parquet for filter --columns.
    labels
        Labels of particles from elsewhere, to compare the classes of a run with: an array (.npy, .pkl), a
        table with a column label, or a .star file with rlnClassNumber.
    no_element_files
        Do not write the maps and masks of elements, which at large boxes fill the disk.
    force
        Replace an analysis that is in the folder.
    """
    from cryoscape.workflows.occupancy_ensemble import choose_source
    from cryoscape.workflows.occupancy_groups import ClusterOptions
    from cryoscape.workflows.occupancy_maps import MaskOptions
    from cryoscape.workflows.occupancy_model import ModelRequest
    from cryoscape.workflows.occupancy_run import OccupancyRequest
    from cryoscape.workflows.occupancy_run import occupancy_run as start
    from cryoscape.workflows.occupancy_sampling import SamplingRequest

    sampling = None
    if run is not None:
        sampling = SamplingRequest(run, epoch, ksample, downsample, flip, invert, apix, seed, device)
    source = choose_source(maps, sampling)
    chosen = None if chains is None else tuple(chains)
    start(
        OccupancyRequest(
            source,
            ModelRequest(tuple(model), resolution, chosen, elements, fit),
            outdir,
            MaskOptions(lowpass, ini_threshold, extend_px, extend_angstrom, edge_px, edge_angstrom),
            ClusterOptions(scale, percentiles, linkage, classes, class_threshold, blocks, block_threshold),
            not no_element_files,
            all_particles,
            labels,
            force,
        )
    )
