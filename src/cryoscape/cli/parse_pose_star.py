"""`cryoscape parse_pose_star`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def parse_pose_star(
    source: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output", "--outpkl"])],
    box_size: Annotated[int | None, Parameter(name=["-D", "--box-size"])] = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
) -> None:
    """Convert the poses of a RELION star file to poses.pkl.

    Example: cryoscape parse_pose_star run_data.star -D 320 -o poses.pkl

    Parameters
    ----------
    source
        run_data.star of a Refine3D job; any RELION version.
    output
        Pickle to write, poses.pkl by custom.
    box_size
        Box in pixels [that of the file, or of its images].
    apix
        Pixel size in angstrom [that of the file].
    """
    from cryoscape.workflows.parse import parse_pose_star as run

    run(source, output, box_size, apix)
