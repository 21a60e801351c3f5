"""`cryoscape preprocess`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def preprocess(
    particles: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    poses: Path | None = None,
    ctf: Path | None = None,
    ind: Path | None = None,
    datadir: Path | None = None,
    uninvert_data: bool = False,
    no_window: bool = False,
    window_r: float = 0.85,
    background: Literal["auto", "keep", "subtract"] = "auto",
    max_radius: float | None = None,
    dtype: Literal["float32", "float16"] = "float16",
    force: bool = False,
) -> None:
    """Transform all images once into a store on disk, which train_vae takes in place of the images.

    Example: cryoscape preprocess particles.128.txt --poses poses.pkl --ctf ctf.pkl -o store

    Parameters
    ----------
    particles
        Images: .mrc, .mrcs, .txt, .star, .cs.
    output
        Folder of the store.
    poses
        poses.pkl, .star or .cs [those of the particles].
    ctf
        ctf.pkl, .star or .cs [that of the particles].
    ind
        Only these rows (.pkl).
    datadir
        Folder of the image files named in the input.
    uninvert_data
        Keep the sign of the images (dark particles on light).
    no_window
        No soft window around the particle.
    window_r
        Where the window starts to fall, as a fraction of half the box.
    background
        Subtract each image's background; auto: only where the images were not normalised.
    max_radius
        Largest radius kept, in Fourier pixels [half the box].
    dtype
        Precision of the store.
    force
        Replace a store of other input or settings.
    """
    from cryoscape.particles.store import PreprocessConfig
    from cryoscape.workflows.preprocess import preprocess as run

    config = PreprocessConfig(
        invert=not uninvert_data,
        window=not no_window,
        window_radius=window_r,
        background=background,
        max_radius=max_radius,
        dtype=dtype,
    )
    run(particles, output, poses, ctf, ind, datadir, config, force)
