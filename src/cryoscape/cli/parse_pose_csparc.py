"""`cryoscape parse_pose_csparc`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def parse_pose_csparc(
    source: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    box_size: Annotated[int | None, Parameter(name=["-D", "--box-size"])] = None,
    abinit: bool = False,
    hetrefine: bool = False,
) -> None:
    """Convert the poses of a cryoSPARC refinement to poses.pkl.

    Example: cryoscape parse_pose_csparc cryosparc_P4_J33_004_particles.cs -D 320 -o poses.pkl

    Parameters
    ----------
    source
        The particles of a refinement (.cs or .csg).
    output
        Pickle to write, poses.pkl by custom.
    box_size
        Box in pixels, needed only where the file does not hold it.
    abinit
        Take the alignments of an ab initio job (likeliest class).
    hetrefine
        Double the shifts (old heterogeneous refinements that do not hold their pixel size).
    """
    from cryoscape.workflows.parse import parse_pose_csparc as run

    run(source, output, box_size, abinit, hetrefine)
