"""`cryoscape select_random`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def select_random(
    n_particles: int,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    n: Annotated[int | None, Parameter(name="-n")] = None,
    frac: float | None = None,
    rest: Annotated[Path | None, Parameter(name=["-s", "--rest"])] = None,
    seed: int = 0,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Draw a random selection of particles, without repetition, as sorted row numbers.

    Example: cryoscape select_random 131899 -n 10000 -o ind_random.pkl

    Parameters
    ----------
    n_particles
        Particles there are: rows are drawn from 0 to this number less one.
    output
        Selection to write (.pkl).
    n
        How many.
    frac
        Or which part of them, between 0 and 1.
    rest
        Write the rows not drawn here.
    seed
        Start of the random numbers.
    force
        Replace files that exist.
    """
    from cryoscape.workflows.select_rows import select_random as run

    run(n_particles, output, n, frac, rest, seed, force)
