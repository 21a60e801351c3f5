"""`cryoscape occupancy cluster`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def occupancy_cluster(
    occupancies: Path,
    /,
    *,
    maps: Annotated[Path | None, Parameter(name=["--maps", "--mapdir"])] = None,
    refdir: Path | None = None,
    outdir: Annotated[Path | None, Parameter(name=["-o", "--outdir"])] = None,
    scale: Literal["global", "column", "minmax", "zscore", "none"] = "global",
    percentiles: tuple[float, float] = (10.0, 90.0),
    linkage: Literal["ward", "average", "complete", "single"] = "ward",
    classes: int | None = None,
    class_threshold: float | None = None,
    blocks: int | None = None,
    block_threshold: float | None = None,
    within: int | None = None,
    labels: Path | None = None,
    reconstruct: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None,
    force: bool = False,
) -> None:
    """Group maps into classes and elements into structural blocks, with a heat map and ChimeraX scripts.

    Example: cryoscape occupancy cluster occupancies.csv --mapdir kmeans500 --classes 14 -o clusters

    Parameters
    ----------
    occupancies
        occupancies.csv, or its folder.
    maps
        Folder of the maps, for the scripts class0.py, class1.py... that open them.
    refdir
        Folder of the elements' maps, for blocks.py that colours the model [01_PDB_mrc beside the table].
    outdir
        Folder for all results [that of the table].
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
    within
        Only the maps of this class of the clustering beside the table, to look for minor states in it.
    labels
        Labels of particles from elsewhere, to compare classes with: an array (.npy, .pkl), a table with a
        column label, or a .star file with rlnClassNumber.
    reconstruct
        Classes to make maps of from their particles alone, with half maps and FSC.
    force
        Replace an earlier clustering in the folder.
    """
    from cryoscape.workflows.occupancy_cluster import occupancy_cluster as cluster
    from cryoscape.workflows.occupancy_groups import ClusterOptions

    options = ClusterOptions(scale, percentiles, linkage, classes, class_threshold, blocks, block_threshold)
    cluster(
        occupancies,
        outdir,
        options,
        maps=maps,
        references=refdir,
        within=within,
        labels=labels,
        reconstruct=tuple(reconstruct or ()),
        force=force,
    )
