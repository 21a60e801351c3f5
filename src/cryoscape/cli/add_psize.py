"""`cryoscape add_psize`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def add_psize(
    source: Path,
    /,
    *,
    apix: Annotated[float, Parameter(name=["--Apix", "--apix"])] = 1.0,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
    force: bool = False,
) -> None:
    """Write a map or stack again with another pixel size in its header.

    Example: cryoscape add_psize map.mrc --Apix 1.31 -o map_1.31.mrc

    Parameters
    ----------
    source
        Map or stack (.mrc, .mrcs).
    apix
        Pixel size in angstrom.
    output
        File to write [NAME_psize.mrc]; the input itself is changed where it is named here with --force.
    force
        Replace a file that is there already.
    """
    from cryoscape.workflows.map_tools import add_psize as run

    run(source, apix, output, force)
