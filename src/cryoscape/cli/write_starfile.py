"""`cryoscape write_starfile`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def write_starfile(
    particles: Path,
    ctf: Path | None = None,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    ctf_file: Annotated[Path | None, Parameter(name="--ctf")] = None,
    poses: Path | None = None,
    ind: Path | None = None,
    datadir: Path | None = None,
    full_path: Annotated[bool, Parameter(negative=())] = False,
    relion30: Annotated[bool, Parameter(negative=())] = False,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write a new star file from images, CTF and poses, for RELION 3.1 and later or 3.0.

    Your own star file with fewer rows and all its columns comes from export.

    Example: cryoscape write_starfile p.mrcs ctf.pkl --poses poses.pkl --ind ind_keep.pkl -o keep.star

    Parameters
    ----------
    particles
        Images: .mrcs, .mrc, .txt, .star or .cs; their box and pixel size are written.
    ctf
        ctf.pkl, or a .star or .cs file [that of the particles].
    output
        Star file to write.
    ctf_file
        The same as the second argument.
    poses
        poses.pkl, or a .star or .cs file [those of the particles, else none].
    ind
        Particles to write (.pkl), rows of the original input [all].
    datadir
        Folder of the image files named in the input.
    full_path
        Write absolute image paths [relative to the star file].
    relion30
        Write for RELION 3.0: one table, origins in pixels.
    force
        Replace a file that exists.
    """
    from cryoscape.workflows.write_starfile import StarFileRequest, chosen_ctf
    from cryoscape.workflows.write_starfile import write_starfile as run

    run(
        StarFileRequest(
            particles,
            output,
            ctf=chosen_ctf(ctf, ctf_file),
            poses=poses,
            ind=ind,
            datadir=datadir,
            full_path=full_path,
            dialect="relion30" if relion30 else "relion31",
            force=force,
        )
    )
