"""`cryoscape filter_pkl`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def filter_pkl(
    source: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    ind: Path | None = None,
    first: int | None = None,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Keep some rows of poses.pkl, ctf.pkl, z.pkl or any pickle of arrays.

    Example: cryoscape filter_pkl poses.pkl --ind ind_keep.pkl -o poses.keep.pkl

    Parameters
    ----------
    source
        Pickle of an array, a tuple of arrays, or several of them.
    output
        Pickle to write, of the same form.
    ind
        Rows to keep (.pkl); of the original input where a list of rows (.rows.parquet) lies beside the
        source, else of the source.
    first
        Keep this many rows from the start.
    force
        Replace a file that exists.
    """
    from cryoscape.workflows.pickle_rows import filter_pickle

    filter_pickle(source, output, ind, first, force)
