"""`cryoscape invert_contrast`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def invert_contrast(
    source: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
    datadir: Path | None = None,
    force: bool = False,
) -> None:
    """Multiply a map, or the images of a stack, by -1.

    Example: cryoscape invert_contrast map.mrc -o map_inverted.mrc

    Parameters
    ----------
    source
        Map (.mrc) or images (.mrcs, .txt, .star, .cs).
    output
        File to write [NAME_inverted.mrc, of images .mrcs].
    datadir
        Folder of the image files named in the input.
    force
        Replace a file that is there already.
    """
    from cryoscape.workflows.map_tools import invert_contrast as run

    run(source, output, datadir, force)
