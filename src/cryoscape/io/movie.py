"""Movies of RGB frames: MP4 (H.264) where imageio-ffmpeg is installed, GIF always."""

import importlib.util
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done

Frame = UInt8[np.ndarray, "h w 3"]
_NO_ENCODER = (
    "MP4 needs the package imageio-ffmpeg: pip install imageio-ffmpeg, or give a name that ends in .gif"
)


def best_suffix() -> str:
    """Suffix of the better kind that can be written on this machine: .mp4, else .gif."""
    return ".mp4" if importlib.util.find_spec("imageio_ffmpeg") is not None else ".gif"


def check_movie_name(path: Path) -> None:
    """Raise InputError unless a movie can be written under this name."""
    if path.suffix.lower() not in (".mp4", ".gif"):
        raise InputError(
            f"{path}: expected a movie that ends in .mp4 or .gif, found {path.suffix or 'neither'}."
        )
    if path.suffix.lower() == ".mp4" and best_suffix() != ".mp4":
        raise InputError(f"{path}: {_NO_ENCODER}.")


def write_movie(path: Path, frames: Iterable[Frame], fps: float) -> None:
    """Write frames as they come; the file appears when the last is in.

    Parameters
    ----------
    path : Path
        Ends in .mp4 or .gif.
    frames : arrays (h, w, 3)
        All of one size, even in both directions (H.264 halves the colours).
    fps : float
        Frames a second; a GIF counts in hundredths of a second.

    Raises
    ------
    InputError
        For another ending, or MP4 without an encoder.
    """
    check_movie_name(path)
    with replace_when_done(path) as temporary:
        if path.suffix.lower() == ".mp4":
            _write_mp4(temporary, iter(frames), fps)
        else:
            _write_gif(temporary, iter(frames), fps)


def _write_mp4(path: Path, frames: Iterator[Frame], fps: float) -> None:
    import imageio_ffmpeg

    first = next(frames)
    height, width, _ = first.shape
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=fps,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        ffmpeg_log_level="error",
        ffmpeg_timeout=0,  # however long the last frames take
        output_params=["-crf", "17", "-preset", "slow", "-movflags", "+faststart"],
    )
    writer.send(None)
    try:
        for frame in chain([first], frames):
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def _write_gif(path: Path, frames: Iterator[Frame], fps: float) -> None:
    from PIL import Image

    first = Image.fromarray(next(frames))
    palette = first.quantize(256, dither=Image.Dither.NONE)
    # one palette for all frames, and no dithering: both would flicker
    rest = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    duration_ms = 10 * max(2, round(100 / fps))
    palette.save(
        path, format="GIF", save_all=True, append_images=rest, duration=duration_ms, loop=0, optimize=False
    )
