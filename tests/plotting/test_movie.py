import numpy as np
from matplotlib.colors import to_rgb

from cryoscape.plotting.movie import Strip, draw_frame, nearest_map, strip_height
from cryoscape.plotting.style import ACCENT, INK

SIZE = 200


def frame(position, **strip):
    picture = np.zeros((SIZE, SIZE, 4))
    picture[50:150, 60:140] = (0.2, 0.4, 0.6, 1.0)
    names = strip.pop("names", tuple(f"Map {i}" for i in range(5)))
    return draw_frame(picture, Strip(names, **strip), position)


def colored(image, color):
    """Columns below the picture that hold a colour, and how many of its pixels each."""
    below = image[SIZE:].astype(int)
    return (np.abs(below - np.round(255 * np.array(to_rgb(color)))) <= 2).all(axis=2).sum(axis=0)


def test_the_picture_lies_on_white_above_the_strip():
    image = frame(0.0)
    assert image.shape == (SIZE + strip_height(SIZE), SIZE, 3)
    assert strip_height(SIZE) % 2 == 0
    np.testing.assert_array_equal(image[100, 100], [51, 102, 153])
    np.testing.assert_array_equal(image[10, 10], 255)


def test_the_bar_of_the_map_shown_is_marked_and_moves_on():
    counts = np.array([100, 400, 200, 400, 0])
    left = []
    for position in (0.0, 1.0, 2.0, 3.0):
        heights = colored(frame(position, counts=counts), ACCENT)
        left.append(np.average(np.arange(SIZE), weights=heights))
    assert (np.diff(left) > 0.06 * SIZE).all()
    np.testing.assert_allclose(np.diff(left), np.diff(left)[0], atol=2)
    # twice the particles, twice the height: the mark under the bars is of the same size for all
    tall, half = (colored(frame(p, counts=counts), ACCENT).max() for p in (1.0, 2.0))
    assert tall > 1.5 * half


def test_labels_tell_maps_apart_and_nothing_touches_the_edge():
    wide = frame(3.4, counts=np.full(5, 131_899), counted="particles near", scale_bar=(0.2, "100 Å"))
    np.testing.assert_array_equal(wide[SIZE:, [0, 1, 2, -3, -2, -1]], 255)
    np.testing.assert_array_equal(wide[-2:], 255)
    assert (frame(0.0) != frame(3.0))[SIZE:, : int(0.38 * SIZE)].any()
    np.testing.assert_array_equal(
        frame(3.4)[SIZE:, : int(0.38 * SIZE)], frame(3.0)[SIZE:, : int(0.38 * SIZE)]
    )


def test_the_scale_bar_has_its_length():
    one = frame(0.0, names=("A",))
    bar = frame(0.0, names=("A",), scale_bar=(0.25, "50 Å"))
    new = (bar != one).any(axis=2)[SIZE:] & (
        np.abs(bar[SIZE:].astype(int) - 255 * np.array(to_rgb(INK))) < 3
    ).all(axis=2)
    assert abs(new.sum(axis=1).max() - 0.25 * SIZE) <= 2


def test_half_way_is_the_later_map():
    assert [nearest_map(p) for p in (0.0, 0.4, 0.5, 1.5, 2.5)] == [0, 0, 1, 2, 3]
