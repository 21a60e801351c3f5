"""`cryoscape occupancy measure`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def occupancy_measure(
    *,
    maps: Annotated[Path, Parameter(name=["--maps", "--mapdir"])],
    maskdir: Path = Path("02_mask"),
    refdir: Path | None = None,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])] = Path("."),
    bin_at: Annotated[float | None, Parameter(name="--bin")] = None,
    binfile: Path | None = None,
    force: bool = False,
) -> None:
    """Measure how much of each element is in each map.

    The sum of a map within a mask, divided by the sum of the element's own map. Nothing is clipped: values
    may lie below 0 and above 1.

    Example: cryoscape occupancy measure --mapdir kmeans500 --maskdir 02_mask --refdir 01_PDB_mrc

    Parameters
    ----------
    maps
        Folder of maps NAME_NUMBER.mrc.
    maskdir
        Folder of masks Mask_NAME.mrc, or any .mrc.
    refdir
        Folder of the elements' maps NAME.mrc to divide by [not divided].
    outdir
        Folder for occupancies.csv.
    bin_at
        Count the voxels at or above this level in place of summing density.
    binfile
        The same with a level for each map: .csv with columns vol_id and denormalized_predictions.
    force
        Replace an occupancies.csv that is there.
    """
    from cryoscape.workflows.occupancy_measure import MeasureRequest
    from cryoscape.workflows.occupancy_measure import occupancy_measure as measure

    measure(MeasureRequest(maps, maskdir, refdir, outdir, bin_at, binfile, force))
