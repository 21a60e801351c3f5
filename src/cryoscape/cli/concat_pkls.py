"""`cryoscape concat_pkls`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def concat_pkls(
    *sources: Path,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Put the rows of several pickles of one kind one after another: poses, CTF, latents.

    Example: cryoscape concat_pkls poses.a.pkl poses.b.pkl -o poses.pkl

    Parameters
    ----------
    sources
        Two or more pickles of arrays or of tuples of arrays.
    output
        Pickle to write.
    force
        Replace a file that exists.
    """
    from cryoscape.workflows.pickle_rows import concatenate_pickles

    concatenate_pickles(sources, output, force)
