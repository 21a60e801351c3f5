"""`cryoscape occupancy masks`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def occupancy_masks(
    *,
    refdir: Annotated[tuple[Path, ...], Parameter(name=["--refdir", "--mrc"], consume_multiple=True)] = (
        Path("01_PDB_mrc"),
    ),
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir", "--maskdir"])] = Path("02_mask"),
    ini_threshold: float = 0.01,
    extend_px: Annotated[float | None, Parameter(name=["--extend-px", "--extend-inimask"])] = None,
    extend_angstrom: float | None = None,
    edge_px: Annotated[float | None, Parameter(name=["--edge-px", "--width-soft-edge"])] = None,
    edge_angstrom: float | None = None,
    lowpass: float | None = None,
    invert: bool = False,
    force: bool = False,
) -> None:
    """Make a mask about the density of each element.

    Steps and defaults are those of relion_mask_create: low-pass filter, threshold, extension, soft edge,
    inversion. Without options, masks are 1 where the density is at least 0.01, else 0.

    Example: cryoscape occupancy masks --refdir 01_PDB_mrc -o 02_mask

    Parameters
    ----------
    refdir
        Folder of the maps of elements, or single maps.
    outdir
        Folder for Mask_NAME.mrc.
    ini_threshold
        Density at and above which a voxel is inside.
    extend_px
        How far masks reach beyond, in voxels; negative to shrink them.
    extend_angstrom
        The same in A.
    edge_px
        Width of a soft edge beyond that, in voxels.
    edge_angstrom
        The same in A.
    lowpass
        Resolution in A of a filter before the threshold.
    invert
        1 outside, 0 inside.
    force
        Replace masks that are there.
    """
    from cryoscape.workflows.occupancy_maps import MaskOptions
    from cryoscape.workflows.occupancy_maps import occupancy_masks as make

    options = MaskOptions(lowpass, ini_threshold, extend_px, extend_angstrom, edge_px, edge_angstrom, invert)
    make(refdir, outdir, options, force)
