"""How a movie runs through a series of maps, and from where they are seen."""

from dataclasses import dataclass

import numpy as np

from cryoscape.errors import InputError


@dataclass(frozen=True)
class MovieOptions:
    """How maps are shown.

    Attributes
    ----------
    fps : frames a second; None: see `frames_a_second`.
    between : frames between a map and the next, blended of both; None: 4 along a path, else 0.
    turn_degrees : by which the view turns about the vertical axis in the course of the movie.
    back_and_forth : run back to the first map, so that the movie can be repeated without a jump.
    level : contour level; None: one that shows all maps.
    camera : the matrix (12 numbers) that ChimeraX prints for `view matrix`; None: the broad side.
    size_px : width of the frames; the strip with the label is below the square picture.
    labels : whether there is that strip.
    """

    fps: float | None = None
    between: int | None = None
    turn_degrees: float = 0.0
    back_and_forth: bool = False
    level: float | None = None
    camera: tuple[float, ...] | None = None
    size_px: int = 600
    labels: bool = True


def check_options(options: MovieOptions) -> None:
    """Raise InputError where options do not make a movie."""
    if options.fps is not None and not 0 < options.fps <= 60:
        raise InputError(f"--fps: expected frames a second above 0 and up to 60, found {options.fps:g}.")
    if options.between is not None and options.between < 0:
        raise InputError(f"--between: expected 0 or more frames, found {options.between}.")
    if not 64 <= options.size_px <= 4096 or options.size_px % 2:
        raise InputError(
            f"--size: expected an even number of pixels from 64 to 4096, found {options.size_px}."
        )
    if options.camera is not None:
        camera_axes(options.camera)


def read_camera(text: str) -> tuple[float, ...]:
    """Numbers between commas or spaces.

    Raises
    ------
    InputError
        If something else is among them.
    """
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise InputError(f"--camera: expected numbers between commas ({error}).") from error


def camera_axes(matrix: tuple[float, ...]) -> np.ndarray:
    """Rows right, up, towards the viewer (3, 3) of ChimeraX's camera matrix: three rows of four, by row.

    Its columns are these three directions in the coordinates of the map, and the place of the camera, which
    a parallel view does not need.

    Raises
    ------
    InputError
        If there are not 12 numbers, or they are no rotation.
    """
    if len(matrix) != 12:
        raise InputError(f"--camera: expected the 12 numbers of `view matrix`, found {len(matrix)}.")
    axes = np.asarray(matrix, dtype=np.float64).reshape(3, 4)[:, :3].T
    if not np.allclose(axes @ axes.T, np.eye(3), atol=1e-2) or np.linalg.det(axes) < 0:
        raise InputError(
            "--camera: the first three of each four numbers must be a rotation; copy them again."
        )
    return np.ascontiguousarray(axes)


def frame_positions(n_maps: int, options: MovieOptions, is_path: bool) -> np.ndarray:
    """Place in the series of each frame: whole numbers are maps, fractions lie between two.

    A turn has a frame for at least every four degrees: more frames between maps, or a single map longer.
    """
    between = options.between if options.between is not None else (4 if is_path else 0)
    least = int(np.ceil(abs(options.turn_degrees) / 4.0))
    if n_maps == 1:
        return np.zeros(max(least, 1))
    if is_path:
        between = max(between, -(-(least - n_maps) // (n_maps - 1)))
        forth = np.linspace(0.0, n_maps - 1.0, n_maps + (n_maps - 1) * between)
    else:
        steps = n_maps + (n_maps - 1) * between
        forth = np.repeat(np.linspace(0.0, n_maps - 1.0, steps), max(1, -(-least // steps)))
    return np.concatenate([forth, forth[-2:0:-1]]) if options.back_and_forth else forth


def frames_a_second(positions: np.ndarray, options: MovieOptions) -> float:
    """What is asked for; else 15 where maps pass into each other or turn, and 3 where one follows another."""
    if options.fps is not None:
        return options.fps
    passes = np.any(positions != np.round(positions)) or options.turn_degrees != 0
    return 15.0 if passes else 3.0
