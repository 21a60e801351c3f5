"""`cryoscape view_mrcs`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def view_mrcs(
    mrcs: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
    n: Annotated[int, Parameter(name="-n")] = 25,
    ind: Annotated[Path | None, Parameter(name=["--ind", "-ind"])] = None,
    datadir: Path | None = None,
    invert: bool = False,
    low_pass: float | None = None,
    force: bool = False,
) -> None:
    """Make a picture of the first images of a stack.

    Example: cryoscape view_mrcs particles.mrcs --low-pass 20 -o particles.png

    Parameters
    ----------
    mrcs
        Images: .mrcs, .txt, .star, .cs.
    output
        PNG file to write [NAME.png].
    n
        Images to show.
    ind
        Only these rows (.pkl).
    datadir
        Folder of the image files named in the input.
    invert
        Show them times -1.
    low_pass
        Smooth them to this resolution in angstrom.
    force
        Replace a file that is there already.
    """
    from cryoscape.workflows.view_mrcs import view_mrcs as run

    run(mrcs, output, ind, datadir, n, invert, low_pass, force)
