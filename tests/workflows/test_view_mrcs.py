"""Pictures of images and headers of files."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from cryoscape.errors import InputError
from cryoscape.workflows.view_mrcs import view_header, view_mrcs
from particle_files import noise_images, write_map, write_pickle, write_stack

BOX = 16


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return write_stack(tmp_path / "s.mrcs", noise_images(7, BOX), 1.5)


def test_fewer_images_than_places_and_a_selection(stack: Path) -> None:
    assert view_mrcs(stack) == stack.with_suffix(".png")
    write_pickle(stack.with_name("ind.pkl"), np.array([5, 2]))
    few = view_mrcs(stack, stack.with_name("two.png"), stack.with_name("ind.pkl"), invert=True)
    assert imread(few).shape[0] < imread(stack.with_suffix(".png")).shape[0]


def test_images_are_dark_where_they_are_low(tmp_path: Path) -> None:
    """A bright left half is brighter in the picture, and darker when inverted."""
    image = np.zeros((1, BOX, BOX), np.float32)
    image[:, :, : BOX // 2] = 1
    path = write_stack(tmp_path / "half.mrcs", image, 2.0)
    for invert in (False, True):
        picture = view_mrcs(path, tmp_path / f"{invert}.png", invert=invert, low_pass_angstrom=4.0)
        grey = imread(picture)[..., 0]
        rows = grey[int(0.4 * len(grey)) : int(0.6 * len(grey))]
        assert (rows[:, 40:90].mean() > rows[:, 170:220].mean()) is not invert


def test_what_cannot_be_shown(stack: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is a 3D map"):
        view_mrcs(write_map(tmp_path / "map.mrc", noise_images(BOX, BOX)))
    with pytest.raises(InputError, match="-n 0"):
        view_mrcs(stack, n_images=0)
    with pytest.raises(InputError, match="--low-pass -3"):
        view_mrcs(stack, low_pass_angstrom=-3.0)
    assert not list(tmp_path.glob("*.png"))


def test_the_header_in_words_and_fields(stack: Path, tmp_path: Path) -> None:
    told, *fields = view_header(stack)
    assert "7 images of 16 x 16 px, 1.5 A a pixel, float32" in told
    found = {line.split()[0]: line.split()[-1] for line in fields}
    assert (found["nx"], found["nz"], found["mode"], found["cella"]) == ("16", "7", "2", "24")
    told, *_ = view_header(write_map(tmp_path / "map.mrc", noise_images(BOX, BOX)))
    assert "map of 16 x 16 x 16 voxels" in told
    with pytest.raises(InputError, match="not an MRC file"):
        view_header(write_pickle(tmp_path / "x.pkl", 3))
