"""`cryoscape backproject_voxel`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def backproject_voxel(
    particles: Path,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output", "--outdir"])],
    poses: Path | None = None,
    ctf: Path | None = None,
    ind: Annotated[Path | None, Parameter(name=["--ind", "-ind"])] = None,
    datadir: Path | None = None,
    uninvert_data: Annotated[bool, Parameter(negative=())] = False,
    first: int | None = None,
    reference: Path | None = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    reg_weight: float = 0.1,
    no_half_maps: Annotated[bool, Parameter(negative=())] = False,
    device: str = "auto",
    lazy: Annotated[bool, Parameter(negative=())] = False,
    seed: int = 0,
) -> None:
    """Back-project images to a map with half maps, FSC, and a verdict on sign, poses, CTF and hand.

    Example: cryoscape backproject_voxel particles.128.txt --poses poses.pkl --ctf ctf.pkl -o backproject.mrc

    Parameters
    ----------
    particles
        Images: .mrcs, .txt, .star, .cs, or a store made by preprocess.
    output
        NAME.mrc (the other files go beside it) or a folder.
    poses
        poses.pkl, .star or .cs [those of the particles]. Without poses only the sign is tested.
    ctf
        ctf.pkl, .star or .cs [that of the particles].
    ind
        Only these rows (.pkl).
    datadir
        Folder of the image files named in the input.
    uninvert_data
        Do not multiply the images by -1.
    first
        Use only the first N particles.
    reference
        Map to compare with (hand, likeness), any box and pixel size.
    apix
        Pixel size of the images in angstrom [that of the files].
    reg_weight
        Damping of frequencies that few images saw.
    no_half_maps
        Do not write the half maps; the FSC is computed all the same.
    device
        auto, cpu, cuda or mps.
    lazy
        Not needed: images are never held in memory.
    seed
        Of shuffled poses and random phases.
    """
    from cryoscape.workflows.backproject import BackprojectRequest, backproject

    del lazy
    backproject(
        BackprojectRequest(
            particles=particles,
            output=output,
            poses=poses,
            ctf=ctf,
            ind=ind,
            datadir=datadir,
            invert=not uninvert_data,
            first=first,
            reference=reference,
            pixel_size_angstrom=apix,
            regularisation=reg_weight,
            half_maps=not no_half_maps,
            device=device,
            seed=seed,
        )
    )
