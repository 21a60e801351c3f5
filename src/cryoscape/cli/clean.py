"""`cryoscape clean`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def clean(
    folders: Annotated[tuple[Path, ...], Parameter(negative=())],
    /,
    *,
    every_n_epochs: Annotated[int, Parameter(name=["-n", "--every-n-epochs"])] = 5,
    maps: bool = False,
    force: bool = False,
    dry_run: Annotated[bool, Parameter(name=["-d", "--dry-run"])] = False,
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"])] = False,
) -> None:
    """Remove files of intermediate epochs from training runs; without --force only say what would go.

    The last epoch stays, as do those that --every-n-epochs divides and those that were analysed.

    Example: cryoscape clean 01_128_8D_256 --every-n-epochs 10 --force

    Parameters
    ----------
    folders
        Run folders, folders that hold runs, or patterns of them.
    every_n_epochs
        Keep epochs that this divides.
    maps
        Also remove maps (vol_*.mrc) from analyses of earlier epochs.
    force
        Remove the files.
    dry_run
        Only say what would go, whatever else is given.
    verbose
        List every file.
    """
    from cryoscape.workflows.clean import clean as run
    from cryoscape.workflows.clean import describe

    result = run(folders, every_n_epochs, maps, force and not dry_run)
    print("\n".join(describe(result)))
