"""`cryoscape filter_cs`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def filter_cs(
    particles: Path,
    /,
    *,
    ind: Path,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Keep a selection of cryoSPARC particles, with uids and all fields, passthrough files too.

    Example: cryoscape filter_cs J33_particles.cs --ind ind_keep.pkl -o keep.cs

    Parameters
    ----------
    particles
        .cs or .csg file, or the folder of a job.
    ind
        Particles to keep (.pkl), rows of the original input.
    output
        .cs or .csg file; or a folder, where files keep their names.
    force
        Replace files that exist.
    """
    from cryoscape.workflows.export import CRYOSPARC_SUFFIXES, ExportRequest, export

    export(ExportRequest(particles, output, ind=ind, force=force), CRYOSPARC_SUFFIXES)
