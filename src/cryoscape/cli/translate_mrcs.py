"""`cryoscape translate_mrcs`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def translate_mrcs(
    mrcs: Path,
    trans: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    tscale: float = 1.0,
    datadir: Path | None = None,
    out_png: Path | None = None,
    force: bool = False,
) -> None:
    """Move every image by its shift, so that the particles are centred.

    Use the images written with rotations only: their shifts are 0 now.

    Example: cryoscape translate_mrcs particles.mrcs poses.pkl -o particles.centred.mrcs

    Parameters
    ----------
    mrcs
        Images: .mrcs, .txt, .star, .cs.
    trans
        Shifts (x, y) as fractions of the box: poses.pkl, a pickle of shifts alone, .star or .cs.
    output
        Stack to write (.mrcs).
    tscale
        Factor on the shifts: -1 undoes them.
    datadir
        Folder of the image files named in the input.
    out_png
        PNG file that shows the first images.
    force
        Replace files that are there already.
    """
    from cryoscape.workflows.stack_tools import translate_mrcs as run

    run(mrcs, trans, output, tscale, datadir, out_png, force)
