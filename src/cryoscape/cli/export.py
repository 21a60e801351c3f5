"""`cryoscape export`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def export(
    particles: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    ind: Path | None = None,
    rows_of: Path | None = None,
    full_path: Annotated[bool, Parameter(negative=())] = False,
    datadir: Path | None = None,
    replace_path: tuple[str, str] | None = None,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Give a selection back to RELION or cryoSPARC: your own file with fewer rows, all else as it was.

    Kept rows are byte for byte those of the original, with every column, uid and path. Of cryoSPARC,
    passthrough files are cut alike and a .csg group is written, which "Import Result Group" reads.

    Example: cryoscape export run_data.star --ind ind_keep.96478_particles.pkl -o keep.star

    Parameters
    ----------
    particles
        The original .star, .cs or .csg file, or the folder of a cryoSPARC job.
    output
        .star, .cs or .csg file; or a folder, where files keep their names.
    ind
        Particles to keep (.pkl), rows of the original input [all].
    rows_of
        File whose rows the selection counts, if not the particles: found by uid or image address.
    full_path
        Write absolute image paths.
    datadir
        Folder of the image files, for --full-path.
    replace_path
        OLD NEW: exchange the beginning of all image paths.
    force
        Replace files that exist.
    """
    from cryoscape.particles.export import path_edit
    from cryoscape.workflows.export import ExportRequest
    from cryoscape.workflows.export import export as run

    paths = path_edit(full_path, datadir, replace_path)
    run(ExportRequest(particles, output, ind=ind, rows_of=rows_of, paths=paths, force=force))
