"""`cryoscape fsc`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def fsc(
    vol1: Path,
    vol2: Path,
    /,
    *,
    ref_volume: Path | None = None,
    mask: Path | None = None,
    corrected: Annotated[tuple[float, ...] | None, Parameter(consume_multiple=(0, 1))] = None,
    plot: Annotated[
        tuple[Path, ...] | None, Parameter(name=["-p", "--plot"], consume_multiple=(0, 1))
    ] = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    outtxt: Annotated[Path | None, Parameter(name=["-o", "--outtxt", "--output"])] = None,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Fourier shell correlation of two maps, and their resolution at 0.5 and 0.143.

    The table goes to standard output, or to the file named.

    Example: cryoscape fsc half_map_a.mrc half_map_b.mrc --mask mask.mrc --corrected -o fsc.txt -p fsc.png

    Parameters
    ----------
    vol1
        First map.
    vol2
        Second map, of the same box and pixel size.
    ref_volume
        Map to make masks about: five curves, as a back-projection has (no mask, sphere, loose, tight,
        corrected).
    mask
        Soft mask, 1 inside; the tight one where --ref-volume is given.
    corrected
        Take off what the mask itself adds, found by randomising phases from this resolution on, in angstrom
        (below 1: cycles a pixel) [where the curve without mask falls below 0.8].
    plot
        Draw the curves, to this PNG file [beside the table].
    apix
        Pixel size in angstrom [that of the maps].
    outtxt
        Text file for the table.
    seed
        Of the random phases.
    force
        Replace files that are there already.
    """
    from cryoscape.workflows.fsc import FscRequest
    from cryoscape.workflows.fsc import fsc as run

    picture = None
    if plot is not None:
        picture = plot[0] if plot else (outtxt or Path("fsc")).with_suffix(".png")
    result = run(
        FscRequest(
            first=vol1,
            second=vol2,
            mask=mask,
            reference=ref_volume,
            corrected=corrected is not None,
            randomise_from=corrected[0] if corrected else None,
            pixel_size_angstrom=apix,
            table=outtxt,
            plot=picture,
            force=force,
            seed=seed,
        )
    )
    if outtxt is None:
        print(result.table, end="")
