import importlib.util
import subprocess

import numpy as np
import pytest
from PIL import Image

from cryoscape.errors import InputError
from cryoscape.io.movie import best_suffix, check_movie_name, write_movie

COLORS = [(200, 30, 40), (20, 160, 60), (40, 60, 210)]


def frames():
    for color in COLORS:
        yield np.broadcast_to(np.array(color, dtype=np.uint8), (48, 64, 3)).copy()


def test_a_gif_holds_the_frames_in_order_for_their_time(tmp_path):
    path = tmp_path / "m.gif"
    # the first frame holds all colours, as that of a movie of one object does
    first = np.concatenate([np.tile(np.array(c, np.uint8), (48, 64, 1)) for c in COLORS], axis=1)[
        :, : 64 * 3 : 3
    ]
    write_movie(path, iter([np.ascontiguousarray(first), *frames()]), fps=4.0)
    with Image.open(path) as movie:
        assert movie.n_frames == 4
        assert movie.info["duration"] == 250
        assert movie.info["loop"] == 0
        for i, color in enumerate(COLORS, 1):
            movie.seek(i)
            found = np.asarray(movie.convert("RGB"))
            assert np.abs(found.astype(int) - color).max() < 12


def test_an_mp4_holds_the_frames_in_order(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "m.mp4"
    write_movie(path, frames(), fps=5.0)
    command = [ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    about = done.stderr.decode()
    assert "h264" in about
    assert "64x48" in about
    assert "5 fps" in about
    found = np.frombuffer(done.stdout, np.uint8).reshape(-1, 48, 64, 3)
    assert len(found) == 3
    for frame, color in zip(found, COLORS, strict=True):
        assert np.abs(np.median(frame, axis=(0, 1)) - color).max() < 12  # colours are coded for the eye
    assert [p.name for p in tmp_path.iterdir()] == ["m.mp4"]


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_frame_that_fails_leaves_nothing(tmp_path, suffix):
    if suffix == ".mp4":
        pytest.importorskip("imageio_ffmpeg")

    def failing():
        yield from frames()
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_movie(tmp_path / f"m{suffix}", failing(), fps=5.0)
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_movies_and_mp4_without_its_encoder(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"\.mp4 or \.gif, found \.avi"):
        check_movie_name(tmp_path / "m.avi")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert best_suffix() == ".gif"
    with pytest.raises(InputError, match="pip install imageio-ffmpeg"):
        check_movie_name(tmp_path / "m.mp4")
    check_movie_name(tmp_path / "m.gif")
