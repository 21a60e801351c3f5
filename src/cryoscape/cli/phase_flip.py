"""`cryoscape phase_flip`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def phase_flip(
    mrcs: Path,
    ctf_params: Path | None = None,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    datadir: Path | None = None,
    force: bool = False,
) -> None:
    """Multiply the Fourier transform of every image by the sign of its CTF.

    The CTF is negative at low frequency here, so the contrast of the images turns over.

    Example: cryoscape phase_flip particles.mrcs ctf.pkl -o particles.flipped.mrcs

    Parameters
    ----------
    mrcs
        Images: .mrcs, .txt, .star, .cs.
    ctf_params
        ctf.pkl, .star or .cs [that of the images].
    output
        Stack to write (.mrcs).
    datadir
        Folder of the image files named in the input.
    force
        Replace a file that is there already.
    """
    from cryoscape.workflows.stack_tools import phase_flip as run

    run(mrcs, output, ctf_params, datadir, force)
