"""`cryoscape write_cs`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def write_cs(
    particles: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    ind: Path | None = None,
    ctf: Path | None = None,
    poses: Path | None = None,
    datadir: Path | None = None,
    full_path: Annotated[bool, Parameter(negative=())] = False,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write a selection of cryoSPARC particles: filter_cs by its older name.

    Example: cryoscape write_cs J33_particles.cs --ind ind_keep.pkl -o keep.cs

    Parameters
    ----------
    particles
        .cs or .csg file, or the folder of a job.
    output
        .cs or .csg file; or a folder, where files keep their names.
    ind
        Particles to keep (.pkl), rows of the original input [all].
    ctf
        Not used: the CTF of the file is kept.
    poses
        Not used: the alignments of the file are kept.
    datadir
        Folder of the image files, for --full-path.
    full_path
        Write absolute image paths.
    force
        Replace files that exist.
    """
    from cryoscape.particles.export import path_edit
    from cryoscape.workflows.export import CRYOSPARC_SUFFIXES, ExportRequest, export, warn_unused

    warn_unused(particles, {"--ctf": ctf, "--poses": poses})
    paths = path_edit(full_path, datadir, None)
    export(ExportRequest(particles, output, ind=ind, paths=paths, force=force), CRYOSPARC_SUFFIXES)
