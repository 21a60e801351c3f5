"""`cryoscape flip_hand`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def flip_hand(
    source: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
    flip_legacy: bool = False,
    force: bool = False,
) -> None:
    """Mirror a map: write its other hand.

    Example: cryoscape flip_hand map.mrc -o map_flipped.mrc

    Parameters
    ----------
    source
        Map.
    output
        File to write [NAME_flipped.mrc].
    flip_legacy
        Reverse the z axis as upstream does, which moves the centre of an even box by a voxel.
    force
        Replace a file that is there already.
    """
    from cryoscape.workflows.map_tools import flip_hand as run

    run(source, output, flip_legacy, force)
