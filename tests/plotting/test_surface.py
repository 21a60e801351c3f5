import numpy as np
import pytest

from cryoscape.plotting.surface import (
    Camera,
    contour_level,
    on_background,
    principal_camera,
    render_surface,
    without_dust,
)


def ball(box, center, radius):
    """A map that falls linearly from its centre and is 1 at the radius: the surface is exact."""
    z, y, x = np.indices((box, box, box))
    r = np.sqrt((x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2)
    return (1 + radius - r).astype(np.float32)


def front(box, half_width=None):
    return Camera(np.eye(3), np.full(3, (box - 1) / 2), half_width or box / 2)


@pytest.mark.parametrize("box", [32, 112])  # below and above the size that is interpolated first
def test_a_ball_covers_the_right_area_at_the_right_place(box):
    radius = box / 5
    center = (box / 2 + 4, box / 2 - 2, box / 2)
    picture = render_surface(ball(box, center, radius), 1.0, front(box), size_px=160)
    alpha = picture[..., 3]
    pixel = box / 160
    assert alpha.sum() * pixel**2 == pytest.approx(np.pi * radius**2, rel=0.02)
    rows, columns = np.indices(alpha.shape)
    # x runs to the right and y upwards, as seen from +z
    at_x = (alpha * columns).sum() / alpha.sum() * pixel - box / 2 + (box - 1) / 2 + pixel / 2
    at_y = box / 2 - (alpha * rows).sum() / alpha.sum() * pixel - pixel / 2 + (box - 1) / 2
    assert at_x == pytest.approx(center[0], abs=0.3)
    assert at_y == pytest.approx(center[1], abs=0.3)


def test_the_nearer_of_two_balls_is_seen_and_light_comes_from_the_upper_left():
    near = ball(40, (20, 20, 30), 6.0)
    picture = render_surface(np.maximum(near, ball(40, (20, 20, 8), 4.0)), 1.0, front(40), size_px=80)
    alone = render_surface(near, 1.0, front(40), size_px=80)
    solid = alone[..., 3] > 0.99
    np.testing.assert_allclose(picture[solid], alone[solid], atol=0.02)
    brightness = alone[..., :3].mean(axis=2)
    assert brightness[33, 33] > 1.3 * brightness[45, 45]


def test_nothing_above_the_level_is_transparent():
    picture = render_surface(np.zeros((16, 16, 16), np.float32), 1.0, front(16), size_px=32)
    assert picture[..., 3].max() == 0
    np.testing.assert_allclose(
        on_background(picture, (1.0, 0.5, 0.0)), np.broadcast_to([1, 0.5, 0], (32, 32, 3))
    )


def test_camera_looks_on_the_broad_side_and_holds_the_particle():
    box = 48
    z, y, x = np.indices((box, box, box)) - 24.0
    ellipsoid = (2 - np.sqrt((x / 5) ** 2 + (y / 18) ** 2 + (z / 10) ** 2)).astype(np.float32)
    camera = principal_camera(ellipsoid, 1.0)
    np.testing.assert_allclose(np.abs(camera.axes), [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=0.02)
    assert np.linalg.det(camera.axes) == pytest.approx(1.0)
    np.testing.assert_allclose(camera.center, 24.0, atol=0.1)
    assert 18 < camera.half_width < 22
    turned = camera.turned(90.0)
    np.testing.assert_allclose(np.abs(turned.axes[0]), [1, 0, 0], atol=0.02)
    assert np.linalg.det(turned.axes) == pytest.approx(1.0)


def test_camera_of_an_empty_map():
    camera = principal_camera(np.zeros((8, 8, 8), np.float32), 1.0)
    assert camera.half_width == 4.0


def test_small_blobs_are_dust():
    volume = np.maximum(ball(40, (14, 20, 20), 8.0), ball(40, (34, 20, 20), 1.0))
    clean = without_dust(volume, 1.0)
    assert clean[20, 20, 34] < 1.0
    assert clean[20, 20, 14] == volume[20, 20, 14]
    assert without_dust(volume, 1.0, min_share=0.0)[20, 20, 34] > 1.0


def test_level_lies_between_solvent_and_particle_for_any_scale():
    rng = np.random.default_rng(0)
    inside = np.clip(ball(40, (20, 20, 20), 9.0), 0, 1) * 5
    maps = [(inside + 0.3 * rng.normal(size=inside.shape)).astype(np.float32) for _ in range(3)]
    level = contour_level(maps)
    assert 1.0 < level < 4.5
    assert contour_level([10 * m for m in maps]) == pytest.approx(10 * level, rel=1e-4)
