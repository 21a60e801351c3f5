"""`cryoscape pc_traversal`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def pc_traversal(
    latents: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    pc: Annotated[tuple[int, ...] | None, Parameter(consume_multiple=True)] = None,
    n: Annotated[int, Parameter(name="-n")] = 10,
    lim: tuple[float, float] = (1.0, 99.0),
    use_percentile_spacing: bool = False,
    epoch: int = -1,
    force: bool = False,
) -> None:
    """Write latent coordinates along principal components, as input for eval_vol --zfile.

    Example: cryoscape pc_traversal 01_128_8D_256/z.49.pkl --pc 1 2 -o 01_128_8D_256/pc

    Parameters
    ----------
    latents
        z.pkl or z.E.pkl, or the folder of a training run.
    output
        Folder for pc1.txt, pc2.txt...
    pc
        Numbers of the components, from 1 [all].
    n
        Points along each component.
    lim
        Percentiles of the particles between which the paths run.
    use_percentile_spacing
        Space the points evenly in percentiles of the particles instead of latent units.
    epoch
        Epoch of a run folder; -1 for the latest.
    force
        Replace files of an earlier traversal.
    """
    from cryoscape.workflows.pc_traversal import pc_traversal as run

    run(
        latents,
        output,
        components=pc,
        n_points=n,
        limits_percentile=lim,
        spacing="percentile" if use_percentile_spacing else "even",
        epoch=None if epoch < 0 else epoch,
        force=force,
    )
