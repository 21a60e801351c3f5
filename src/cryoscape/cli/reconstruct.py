"""`cryoscape reconstruct`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def reconstruct(
    particles: Path,
    /,
    *,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])],
    poses: Path | None = None,
    ctf: Path | None = None,
    run: Path | None = None,
    z: Annotated[tuple[float, ...] | None, Parameter(name="-z", consume_multiple=True)] = None,
    zfile: Path | None = None,
    ind: Path | None = None,
    box: int | None = None,
    datadir: Path | None = None,
    uninvert_data: Annotated[bool, Parameter(negative=())] = False,
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"])] = False,
) -> None:
    """Reconstruct maps from the particles near points of latent space, or of a selection, with half maps.

    With --run a map starts from what the run predicts, and is corrected by the particles where images not
    used agree. Without, a selection is back-projected alone.

    Example: cryoscape reconstruct images.txt --poses p.pkl --ctf ctf.pkl --run 00_run --zfile z.txt -o maps

    Parameters
    ----------
    particles
        Images: .mrcs, .txt, .star or .cs, of the rows the run was trained on; their box may be larger.
    outdir
        Folder for map_000.mrc, half maps, FSC, maps.csv and open_maps.cxc.
    poses
        poses.pkl [those of the particles].
    ctf
        ctf.pkl [that of the particles].
    run
        Run folder of train_subspace.
    z
        One latent: zdim numbers.
    zfile
        Text file, one latent a line.
    ind
        Selection: .pkl of row numbers of the particles file.
    box
        Expected box of the maps, which is that of the images.
    datadir
        Folder that image paths of a .star or .cs file are relative to.
    uninvert_data
        Do not multiply the images by -1.
    verbose
        Say more.
    """
    from cryoscape.workflows.reconstruct import ReconstructRequest
    from cryoscape.workflows.reconstruct import reconstruct as start

    start(
        ReconstructRequest(
            particles=particles,
            output=outdir,
            poses=poses,
            ctf=ctf,
            run=run,
            z=z,
            zfile=zfile,
            ind=ind,
            box_size=box,
            datadir=datadir,
            invert=not uninvert_data,
        )
    )
