"""`cryoscape compare_selections`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def compare_selections(
    *selections: Path,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    names: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    run: Path | None = None,
    epoch: int = -1,
    datadir: Path | None = None,
    n_images: int = 10,
    low_pass: float = 40.0,
    force: bool = False,
) -> None:
    """Compare selections of the same particles: what they share, in a diagram, tables and pictures.

    Example: cryoscape compare_selections gmm.pkl kmeans.pkl znorm.pkl --run 01_128_8D_256 -o agreement

    Parameters
    ----------
    selections
        Two to eight pickles of rows of the original input, or boolean masks.
    output
        Folder of tables and pictures.
    names
        A name for each selection [the file names].
    run
        Training run in whose landscape the selections are shown, with images of each.
    epoch
        Epoch of that run; -1 for the latest.
    datadir
        Folder in which to look for image files.
    n_images
        Images drawn of each selection; 0 for none.
    low_pass
        Resolution in angstrom to which images are smoothed for the eye.
    force
        Replace files of an earlier comparison.
    """
    from cryoscape.workflows.compare_selections import RunToShow, compare_selection_files

    compare_selection_files(
        selections,
        output,
        names=names,
        run=None
        if run is None
        else RunToShow(run, None if epoch < 0 else epoch, datadir, n_images, low_pass),
        force=force,
    )
