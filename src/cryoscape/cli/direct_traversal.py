"""`cryoscape direct_traversal`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def direct_traversal(
    latents: Path,
    /,
    *,
    anchors: Annotated[tuple[str, ...], Parameter(consume_multiple=True)],
    output: Annotated[Path, Parameter(name=["-o", "--output", "--outtxt"])] = Path("z-path.txt"),
    n: Annotated[int, Parameter(name="-n")] = 6,
    loop: bool = False,
    epoch: int = -1,
    force: bool = False,
) -> None:
    """Write latent coordinates on straight lines from particle to particle.

    Writes the points (for eval_vol --zfile), a table of how many particles support each, and a picture.

    Example: cryoscape direct_traversal 01_128_8D_256/z.49.pkl --anchors 120 4411 --loop -o z.direct.txt

    Parameters
    ----------
    latents
        z.pkl or z.E.pkl, or the folder of a training run.
    anchors
        Particles to pass in this order: rows of z, or text files of rows (kmeans20/centers_ind.txt).
    output
        Text file of the latents of the path.
    n
        Points from one anchor to the next, both included.
    loop
        Go back from the last anchor to the first.
    epoch
        Epoch of a run folder; -1 for the latest.
    force
        Replace files of an earlier traversal.
    """
    from cryoscape.workflows.direct_traversal import direct_traversal as run

    run(
        latents,
        anchors,
        output,
        n_points=n,
        loop=loop,
        epoch=None if epoch < 0 else epoch,
        force=force,
    )
