"""`cryoscape select_clusters`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def select_clusters(
    labels: Path,
    /,
    *,
    sel: Annotated[tuple[int, ...], Parameter(consume_multiple=True)],
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    parent_ind: Path | None = None,
    n_orig: Annotated[int | None, Parameter(name=["--N-orig", "--n-orig"])] = None,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Select the particles of some clusters, as row numbers of the original input.

    Clusters are numbered from 0, as in plots, tables and the names of maps. Labels inside a run folder count
    rows of the run; the rows of the original input are found there.

    Example: cryoscape select_clusters 00_run/analyze.49/kmeans20/labels.pkl --sel 3 11 -o ind_sel.pkl

    Parameters
    ----------
    labels
        labels.pkl of an analysis, or states.pkl.
    sel
        Numbers of the clusters.
    output
        Selection to write (.pkl).
    parent_ind
        Selection that the run was trained on, for labels outside of a run folder.
    n_orig
        Particles of the original input, to check the selection against.
    force
        Replace a file that exists.
    """
    from cryoscape.workflows.select_rows import select_clusters as run

    run(labels, sel, output, parent_ind, n_orig, force)
