"""`cryoscape demo`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def demo(
    *,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])] = Path("cryoscape-demo"),
    n: Annotated[int, Parameter(name=["-n", "--n-particles"])] = 5000,
    epochs: int = 20,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
) -> None:
    """See states found in particle images: simulate, train, analyse, compare with the truth, report.

    Needs no data and takes a minute or two on two cores. Ends with a report page and a picture.

    Example: cryoscape demo -o demo

    Parameters
    ----------
    outdir
        Folder to write.
    n
        Number of simulated particles.
    epochs
        Passes of training.
    seed
        Of all that is drawn.
    device
        auto, cpu, cuda or mps.
    force
        Replace an earlier demonstration in the folder.
    """
    from cryoscape.workflows.demo import DemoRequest
    from cryoscape.workflows.demo import demo as run

    result = run(DemoRequest(outdir, n_particles=n, epochs=epochs, seed=seed, device=device, force=force))
    print(f"Agreement with the simulated states (adjusted mutual information): {result.score:.3f}")
    print(f"Report:  {result.report.resolve()}")
    print(f"Picture: {result.picture.resolve()}")
