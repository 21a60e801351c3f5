"""`cryoscape gen_mask`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def gen_mask(
    source: Path,
    output: Path,
    /,
    *,
    threshold: float | None = None,
    dilate: float | None = None,
    dist: float | None = None,
    voxels: bool = False,
    low_pass: float | None = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    plot: Annotated[Path | None, Parameter(name=["-p", "--plot"])] = None,
    force: bool = False,
) -> None:
    """Make a soft mask about the density of a map.

    Example: cryoscape gen_mask backproject.mrc mask.mrc --dilate 10 --dist 10 -p mask.png

    Parameters
    ----------
    source
        Map, light density.
    output
        Mask to write (.mrc).
    threshold
        Density above which a voxel is inside [half of the 99.99th percentile].
    dilate
        How far the mask reaches beyond the density, in angstrom [25].
    dist
        Width of the soft edge beyond that, in angstrom [15].
    voxels
        --dilate and --dist are given in voxels.
    low_pass
        Smooth the map to this resolution in angstrom first, so that noise makes no specks.
    apix
        Pixel size in angstrom [that of the map].
    plot
        PNG file that shows the mask over the map.
    force
        Replace files that are there already.
    """
    from cryoscape.workflows.gen_mask import MaskRequest
    from cryoscape.workflows.gen_mask import gen_mask as run

    run(
        MaskRequest(
            source=source,
            output=output,
            threshold=threshold,
            dilation=dilate,
            edge=dist,
            in_voxels=voxels,
            low_pass_angstrom=low_pass,
            pixel_size_angstrom=apix,
            plot=plot,
            force=force,
        )
    )
