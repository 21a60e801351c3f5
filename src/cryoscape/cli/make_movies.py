"""`cryoscape make_movies`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def make_movies(
    source: Path,
    epoch: int = -1,
    kind: Literal["latent", "volume"] = "latent",
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
    zfile: Path | None = None,
    fps: Annotated[float | None, Parameter(name=["--fps", "--frame"])] = None,
    between: int | None = None,
    turn: float = 0.0,
    back_and_forth: bool = False,
    level: Annotated[float | None, Parameter(name=["--level", "--iso"])] = None,
    camera: str | None = None,
    size: Annotated[int, Parameter(name=["--size", "--width"])] = 600,
    no_labels: Annotated[bool, Parameter(negative="")] = False,
    name: str = "movie",
    prefix: str | None = None,
    analysis_dir: Annotated[Path | None, Parameter(name=["--analysis-dir", "--landscape-dir"])] = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    flip: bool = False,
    invert: bool = False,
    downsample: Annotated[int | None, Parameter(name=["-d", "--downsample"])] = None,
    low_pass: float | None = None,
    device: str = "auto",
    force: bool = False,
) -> None:
    """Render a movie of maps, all from one viewpoint and at one level, without a viewer program.

    Of a folder of maps; of a run along a path (--zfile); or of each folder of maps in the analysis of a run.

    Example: cryoscape make_movies 01_128_8D_256 --zfile z.path01.txt --back-and-forth -o path01.mp4

    Parameters
    ----------
    source
        Folder of numbered maps, or of a training run.
    epoch
        Epoch of a run; -1 for the latest.
    kind
        Of a run without --zfile: latent for the maps of analyze, volume for those of analyze_landscape.
    output
        The movie, .mp4 or .gif [NAME in the folder of the maps, or beside the zfile].
    zfile
        Latents of a path: of a run, its maps are made; of a folder of maps, it tells the particles of each.
    fps
        Frames a second [15 where maps pass into each other or turn, else 3].
    between
        Frames between a map and the next, blended of both [4 along a path, else 0].
    turn
        Degrees by which the view turns about the vertical axis in the course of the movie.
    back_and_forth
        Run back to the first map.
    level
        Contour level of all maps [one that shows all].
    camera
        The 12 numbers after "camera" in the answer of ChimeraX to `view matrix` [broad side].
    size
        Width in pixels.
    no_labels
        Leave out the strip with number, particles, support and scale bar.
    name
        Of the movies in the folders of an analysis.
    prefix
        Of the names of the maps, where a folder holds several series.
    analysis_dir
        Folder of the analysis [in the run].
    apix
        Pixel size of the training images in angstrom [known from the run].
    flip
        Mirror the maps that are made (other hand).
    invert
        Multiply the maps that are made by -1.
    downsample
        Smaller even box of the maps that are made.
    low_pass
        Resolution in angstrom at which the maps that are made are cut.
    device
        auto, cpu, cuda or mps.
    force
        Replace earlier movies.
    """
    from cryoscape.analysis.maps import MapOptions
    from cryoscape.workflows.make_movies import MoviesRequest
    from cryoscape.workflows.make_movies import make_movies as run
    from cryoscape.workflows.movie_options import MovieOptions, read_camera

    run(
        MoviesRequest(
            source=source,
            epoch=None if epoch < 0 else epoch,
            kind=kind,
            zfile=zfile,
            output=output,
            name=name,
            prefix=prefix,
            analysis_folder=analysis_dir,
            options=MovieOptions(
                fps=fps,
                between=between,
                turn_degrees=turn,
                back_and_forth=back_and_forth,
                level=level,
                camera=None if camera is None else read_camera(camera),
                size_px=size,
                labels=not no_labels,
            ),
            map_options=MapOptions(
                downsample=downsample, flip=flip, invert=invert, low_pass_angstrom=low_pass
            ),
            pixel_size_angstrom=apix,
            device=device,
            force=force,
        )
    )
