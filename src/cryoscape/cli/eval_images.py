"""`cryoscape eval_images`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def eval_images(
    particles: Path,
    weights: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    out_z: Path,
    config: Annotated[Path | None, Parameter(name=["-c", "--config"])] = None,
    poses: Path | None = None,
    ctf: Path | None = None,
    ind: Path | None = None,
    datadir: Path | None = None,
    uninvert_data: bool = False,
    batch_size: Annotated[int, Parameter(name=["-b", "--batch-size"])] = 64,
    beta: float | None = None,
    device: str = "auto",
    log_interval: int = 1000,
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"])] = False,
) -> None:
    """Place images in the latent space of a trained model and measure how well each is explained.

    Example: cryoscape eval_images particles.128.txt 01_128_8D_256/weights.49.pkl --poses poses.pkl
    --ctf ctf.pkl -o losses.pkl --out-z z.pkl

    Parameters
    ----------
    particles
        Images: .mrcs, .mrc, .txt list, .star or .cs.
    weights
        weights.E.pkl, or a run folder for its latest epoch.
    output
        Losses (.pkl): means, and of each particle.
    out_z
        Latents (.pkl): means and log variances.
    config
        config.yaml or config.pkl of the run [beside the weights].
    poses
        poses.pkl; needed unless the particles file holds poses.
    ctf
        ctf.pkl; needed unless the particles file holds the CTF.
    ind
        Selection: .pkl of row numbers.
    datadir
        Folder that image paths of a .star or .cs file are relative to.
    uninvert_data
        Do not multiply the images by -1 [as in training].
    batch_size
        Images at once.
    beta
        Weight of the KL term [1/zdim].
    device
        auto, cpu, cuda or mps.
    log_interval
        No effect; accepted for old command lines.
    verbose
        Say more.
    """
    from cryoscape.workflows.eval_images import EvalImagesRequest
    from cryoscape.workflows.eval_images import eval_images as run

    run(
        EvalImagesRequest(
            particles=particles,
            weights=weights,
            losses=output,
            out_z=out_z,
            poses=poses,
            ctf=ctf,
            config=config,
            ind=ind,
            datadir=datadir,
            invert_data=False if uninvert_data else None,
            batch_size=batch_size,
            beta=beta,
            device=device,
        )
    )
