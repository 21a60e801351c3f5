"""`cryoscape filter`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def filter(  # noqa: A001
    run: Path,
    /,
    epoch: Annotated[int, Parameter(name=["--epoch", "-e"])] = -1,
    *,
    kmeans: Annotated[int | None, Parameter(name=["--kmeans", "-k"])] = None,
    gmm: int | None = None,
    clusters: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (),
    suggest: bool = False,
    score: str = "junk_score",
    zscore: float | None = None,
    where: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    polygon: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    plane: tuple[str, str] = ("umap1", "umap2"),
    any_of: Annotated[bool, Parameter(name="--any")] = False,
    both: Annotated[tuple[Path, ...], Parameter(name="--and", consume_multiple=True)] = (),
    either: Annotated[tuple[Path, ...], Parameter(name="--or", consume_multiple=True)] = (),
    minus: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = (),
    keep: bool = False,
    drop: bool = False,
    columns: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = (),
    list_columns: bool = False,
    output: Annotated[Path | None, Parameter(name=["-o", "--output", "--sel-dir"])] = None,
    analysis: Path | None = None,
    datadir: Path | None = None,
    n_images: int = 10,
    low_pass: float = 40.0,
    skip_pictures: bool = False,
    note: str = "",
    seed: int = 0,
    force: Annotated[bool, Parameter(name=["--force", "-f"])] = False,
) -> None:
    """Select particles of a trained model, keep or drop them, and write both parts for the next training.

    Without --keep or --drop the particles are only counted. Writes ind_keep.N_particles.pkl and
    ind_bad.N_particles.pkl, in rows of the original input, with a record and pictures.

    Example: cryoscape filter 01_128_8D_256 49 --gmm 6 --clusters 3 --drop

    Parameters
    ----------
    run
        Folder of the training run, of any engine.
    epoch
        Epoch as numbered in the file names; -1 for the latest, or for a run without epochs.
    kmeans
        Clusters of k-means with this many, as in the analysis; alone, they are listed.
    gmm
        Clusters of a Gaussian mixture with this many; alone, they are listed.
    clusters
        Numbers of the clusters to select, from 0.
    suggest
        Select particles whose score stands out; with --kmeans or --gmm, clusters whose median does.
    score
        Column that --suggest judges by; high is bad.
    zscore
        Select latents whose magnitude is this many standard deviations above the mean; below, if negative.
    where
        Select by a condition on columns, such as "junk_score < 0.5 and contrast > 0.7".
    polygon
        Select within corners "x,y x,y x,y", or those in a file, a line each.
    plane
        Columns that the corners of --polygon belong to.
    any_of
        One criterion is enough; without it all must hold.
    both
        Selections that must hold the particles as well.
    either
        Selections whose particles are added, after --and.
    minus
        Selections whose particles are taken away, last.
    keep
        Keep the selected particles and drop the others.
    drop
        Drop the selected particles and keep the others.
    columns
        Tables with more columns (Parquet, CSV, losses of eval_images), matched by original_row or order.
    list_columns
        List the columns that conditions may use, and do nothing else.
    output
        Folder of the selections [the run folder].
    analysis
        Folder of the analysis whose clusters and UMAP are used [analyze.EPOCH].
    datadir
        Folder in which to look for image files.
    n_images
        Images drawn of either part; 0 for none.
    low_pass
        Resolution in angstrom to which images are smoothed for the eye.
    skip_pictures
        Draw nothing.
    note
        A remark for the record.
    seed
        Of clusters that are not in the analysis, and of the images drawn.
    force
        Replace files that hold other particles.
    """
    from cryoscape.errors import InputError
    from cryoscape.particles.selection import Operation
    from cryoscape.workflows.filter import FilterOptions, filter_run
    from cryoscape.workflows.filter_criteria import Criteria
    from cryoscape.workflows.filter_pictures import Pictures

    if keep and drop:
        raise InputError("--keep and --drop are both given; say one thing of the selected particles.")
    combine: tuple[tuple[Operation, Path], ...] = (
        *(("and", path) for path in both),
        *(("or", path) for path in either),
        *(("minus", path) for path in minus),
    )
    filter_run(
        run,
        None if epoch < 0 else epoch,
        Criteria(kmeans, gmm, clusters, suggest, score, zscore, where, polygon, plane, any_of, seed),
        FilterOptions(
            fate="keep" if keep else "drop" if drop else None,
            combine=combine,
            note=note,
            pictures=None if skip_pictures else Pictures(n_images, low_pass, seed),
        ),
        tables=columns,
        analysis=analysis,
        datadir=datadir,
        output=output,
        list_columns=list_columns,
        force=force,
    )
