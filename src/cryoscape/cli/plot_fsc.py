"""`cryoscape plot_fsc`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def plot_fsc(
    files: Annotated[tuple[Path, ...], Parameter(negative=())],
    /,
    *,
    apix: Annotated[float | None, Parameter(name=["-a", "--Apix", "--apix"])] = None,
    output: Annotated[Path, Parameter(name=["-o", "--outfile", "--output"])] = Path("fsc-plot.png"),
    force: bool = False,
) -> None:
    """Plot tables of Fourier shell correlation: all curves of one, or the last of each of several.

    Example: cryoscape plot_fsc run1/fsc-vals.txt run2/fsc-vals.txt -a 1.31 -o fsc-plot.png

    Parameters
    ----------
    files
        Tables of fsc or backproject_voxel.
    apix
        Pixel size of the maps in angstrom [1].
    output
        PNG file to write.
    force
        Replace it if it is there already.
    """
    from cryoscape.workflows.plot_fsc import plot_fsc as run

    run(files, output, apix, force)
