"""`cryoscape filter_star`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def filter_star(
    particles: Path,
    /,
    *,
    ind: Path | None = None,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    tilts: Annotated[bool, Parameter(name=["--et", "--tilts"], negative=())] = False,
    micrograph_files: Annotated[bool, Parameter(name=["-m", "--micrograph-files"], negative=())] = False,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Keep a selection of the particles of a RELION star file, rows byte for byte as they are.

    Example: cryoscape filter_star run_data.star --ind ind_keep.pkl -o keep.star

    Parameters
    ----------
    particles
        Star file of any RELION version.
    ind
        Particles to keep (.pkl), rows of the original input [all].
    output
        Star file to write; with -m the folder of star files.
    tilts
        The selection counts tilt series (_rlnGroupName): keep all their rows.
    micrograph_files
        Write a star file for each micrograph.
    force
        Replace files that exist.
    """
    from cryoscape.workflows.export import ExportRequest, export

    request = ExportRequest(particles, output, ind=ind, by_tilt_series=tilts, force=force)
    export(request, (".star",), by_micrograph=micrograph_files)
