"""`cryoscape parse_ctf_csparc`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def parse_ctf_csparc(
    source: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    png: Path | None = None,
    box_size: Annotated[int | None, Parameter(name=["-D", "--box-size"])] = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
) -> None:
    """Convert the CTF parameters of a cryoSPARC job to ctf.pkl.

    Example: cryoscape parse_ctf_csparc cryosparc_P4_J33_004_particles.cs -o ctf.pkl

    Parameters
    ----------
    source
        Particles with CTF parameters (.cs or .csg).
    output
        Pickle to write, ctf.pkl by custom.
    png
        Plot the CTF of the first particle here.
    box_size
        Box in pixels, needed only where the file does not hold it.
    apix
        Pixel size in angstrom [that of the file].
    """
    from cryoscape.workflows.parse import parse_ctf_csparc as run

    run(source, output, box_size, apix, png)
