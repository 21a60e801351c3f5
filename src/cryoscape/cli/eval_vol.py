"""`cryoscape eval_vol`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

_Values = Annotated[tuple[float, ...] | None, Parameter(consume_multiple=True)]


def eval_vol(
    weights: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    config: Annotated[Path | None, Parameter(name=["-c", "--config"])] = None,
    z: Annotated[tuple[float, ...] | None, Parameter(name="-z", consume_multiple=True)] = None,
    z_start: _Values = None,
    z_end: _Values = None,
    n: Annotated[int, Parameter(name="-n")] = 10,
    zfile: Path | None = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    flip: bool = False,
    flip_legacy: bool = False,
    invert: bool = False,
    downsample: Annotated[int | None, Parameter(name=["-d", "--downsample"])] = None,
    low_pass: float | None = None,
    crop: int | None = None,
    prefix: str = "vol_",
    vol_start_index: int = 0,
    maps: Literal["decoder", "regression"] = "decoder",
    device: str = "auto",
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"])] = False,
) -> None:
    """Make density maps at points of the latent space of a trained model.

    Give points by exactly one of -z, --z-start with --z-end, and --zfile.

    Example: cryoscape eval_vol 01_128_8D_256/weights.49.pkl --zfile z_path.txt --flip -o path01

    Parameters
    ----------
    weights
        Run folder of any engine (its latest epoch), or a weights.pkl or weights.E.pkl in one.
    output
        Folder for vol_000.mrc, vol_001.mrc..., or the .mrc file of one map.
    config
        config.yaml or config.pkl of the run [beside the weights].
    z
        One latent: zdim numbers.
    z_start
        First point of a straight path in latent space: zdim numbers.
    z_end
        Last point of that path.
    n
        Points on the path, ends included.
    zfile
        Text file, one latent a line.
    apix
        Pixel size of the training images in angstrom [known from the run].
    flip
        Mirror the maps (other hand) about the central voxel.
    flip_legacy
        Mirror as upstream does, which moves the centre by a voxel.
    invert
        Multiply by -1.
    downsample
        Smaller even box, same extent; the pixel size grows.
    low_pass
        Resolution in angstrom to cut at.
    crop
        Cut out the central box of this many voxels; the origin in the header keeps the place.
    prefix
        Of file names.
    vol_start_index
        Number of the first map.
    maps
        `decoder`: what the model predicts; `regression`: corrected by the particles near each point, with
        half maps, FSC and maps.csv (runs of train_subspace, whose images must be where they were).
    device
        auto, cpu, cuda or mps.
    verbose
        Say more.
    """
    from cryoscape.workflows.eval_vol import EvalVolRequest
    from cryoscape.workflows.eval_vol import eval_vol as run

    run(
        EvalVolRequest(
            weights=weights,
            output=output,
            config=config,
            z=z,
            z_start=z_start,
            z_end=z_end,
            n_between=n,
            zfile=zfile,
            pixel_size_angstrom=apix,
            flip=flip,
            flip_legacy=flip_legacy,
            invert=invert,
            downsample=downsample,
            low_pass_angstrom=low_pass,
            crop=crop,
            prefix=prefix,
            start_index=vol_start_index,
            device=device,
            maps=maps,
        )
    )
