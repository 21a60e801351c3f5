"""`cryoscape filter_mrcs`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def filter_mrcs(
    source: Path,
    /,
    *,
    ind: Path,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
    datadir: Path | None = None,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write the selected images to a new stack, their values as they are.

    Example: cryoscape filter_mrcs particles.256.txt --ind ind_keep.pkl -o particles.keep.mrcs

    Parameters
    ----------
    source
        Images: .mrcs, .mrc, .txt, .star or .cs.
    ind
        Images to keep (.pkl), rows of the original input.
    output
        Stack to write [SOURCE_IND.mrcs beside the source].
    datadir
        Folder of the image files named in the input.
    force
        Replace a file that exists.
    """
    from cryoscape.workflows.filter_mrcs import filter_mrcs as run

    run(source, ind, output, datadir, force)
