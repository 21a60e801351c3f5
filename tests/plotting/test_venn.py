"""Areas of the circles against sampling, and numbers that are all there."""

import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.plotting.style import figure_png
from cryoscape.plotting.venn import circle_layout, lens_area, plot_venn

THREE = {(0,): 300, (1,): 200, (2,): 250, (0, 1): 120, (0, 2): 80, (1, 2): 90, (0, 1, 2): 400}
SIZES = (900, 810, 820)


def regions(*counts: int) -> dict[tuple[int, ...], int]:
    return dict(zip(THREE, counts, strict=True))


@pytest.mark.parametrize(("a", "b", "distance"), [(1.0, 0.6, 1.2), (1.0, 1.0, 0.5), (1.0, 0.5, 0.4)])
def test_the_area_two_circles_share(a: float, b: float, distance: float) -> None:
    points = np.random.default_rng(0).uniform(-2, 2, (400_000, 2))
    in_both = (np.hypot(*points.T) < a) & (np.hypot(points[:, 0] - distance, points[:, 1]) < b)
    assert lens_area(a, b, distance) == pytest.approx(16 * in_both.mean(), rel=0.02)


def test_circles_and_what_each_two_share_are_to_scale() -> None:
    radii, centres = circle_layout(SIZES, THREE)
    np.testing.assert_allclose(np.pi * radii**2, np.array(SIZES) / 900, rtol=1e-9)
    for i, j, shared in ((0, 1, 520), (0, 2, 480), (1, 2, 490)):
        distance = float(np.hypot(*(centres[i] - centres[j])))
        assert lens_area(radii[i], radii[j], distance) == pytest.approx(shared / 900, rel=1e-4)


def texts(figure: object) -> list[str]:
    from matplotlib.text import Text

    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sizes", "counts"),
    [
        (SIZES, regions(*THREE.values())),
        ((2952, 4332, 3970), regions(0, 400, 38, 0, 0, 980, 2952)),
        ((300, 300, 300), regions(0, 0, 0, 0, 0, 0, 300)),
        ((1000, 500, 40), regions(1000, 460, 0, 0, 0, 40, 0)),
        ((10, 10, 0), regions(10, 10, 0, 0, 0, 0, 0)),
    ],
)
def test_every_count_is_on_the_diagram(sizes: tuple[int, ...], counts: dict[tuple[int, ...], int]) -> None:
    figure = plot_venn(("a", "b", "c"), sizes, counts, "Title", "below")
    assert figure_png(figure, 60)
    shown = texts(figure)
    for count in counts.values():
        assert count == 0 or f"{count:,}" in shown
    assert {f"{name}: {size:,}" for name, size in zip("abc", sizes, strict=True)} <= set(shown)


def test_two_sets_and_no_other_number() -> None:
    shown = texts(plot_venn(("a", "b"), (30, 20), {(0,): 20, (1,): 10, (0, 1): 10}))
    assert {"20", "10", "a: 30", "b: 20"} <= set(shown)
    with pytest.raises(InputError, match="2 or 3 sets"):
        plot_venn(("a",), (1,), {(0,): 1})
