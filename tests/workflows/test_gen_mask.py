"""gen_mask about a ball, whose mask is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from cryoscape.errors import InputError
from cryoscape.io.mrc import read_volume
from cryoscape.workflows.gen_mask import MaskRequest, MaskResult, gen_mask
from particle_files import write_map

BOX, PIXEL = 32, 2.0


def radius() -> np.ndarray:
    axis = np.arange(BOX) - BOX // 2
    return np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)


@pytest.fixture
def ball(tmp_path: Path) -> Path:
    """1 within 5 voxels."""
    return write_map(tmp_path / "ball.mrc", (radius() <= 5).astype(np.float32), PIXEL)


def make(ball: Path, **more: Any) -> tuple[np.ndarray, MaskResult]:
    output = ball.parent / "mask.mrc"
    result = gen_mask(MaskRequest(ball, output, force=True, **more))
    found = read_volume(output)
    assert found.pixel_size_angstrom == pytest.approx(more.get("pixel_size_angstrom", PIXEL))
    return found.data, result


def test_one_within_zero_beyond_and_a_cosine_between(ball: Path) -> None:
    mask, result = make(ball, dilation=4.0, edge=8.0, plot=ball.parent / "mask.png")
    along = mask[16, 16, 16:]  # distance from the ball is whole along an axis
    distance = np.arange(16) - 5 - 2
    expected = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / 4, 0, 1))
    np.testing.assert_allclose(along, expected, atol=1e-5)
    assert result.threshold == pytest.approx(0.5)
    assert result.density_share == pytest.approx((radius() <= 5).mean())
    assert result.mask_share == pytest.approx(mask.mean(), rel=1e-5)
    assert imread(ball.parent / "mask.png").shape[1] > 500


def test_lengths_in_voxels_are_those_in_angstrom(ball: Path) -> None:
    in_angstrom, _ = make(ball, dilation=4.0, edge=6.0)
    in_voxels, _ = make(ball, dilation=2.0, edge=3.0, in_voxels=True)
    told, _ = make(ball, dilation=8.0, edge=12.0, pixel_size_angstrom=4.0)
    np.testing.assert_array_equal(in_voxels, in_angstrom)
    np.testing.assert_array_equal(told, in_angstrom)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 12), st.floats(0, 12), st.floats(0, 6))
def test_more_dilation_never_takes_away(ball: Path, dilation: float, edge: float, more: float) -> None:
    small, _ = make(ball, dilation=dilation, edge=edge)
    large, _ = make(ball, dilation=dilation + more, edge=edge)
    assert (large >= small - 1e-6).all()
    assert small.min() >= 0
    assert large.max() == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"threshold": 2.0}, "has values from 0 to 1"),
        ({"threshold": -1.0}, "has values from 0 to 1"),
        ({"dilation": -1.0}, "--dilate -1"),
        ({"edge": float("nan")}, "--dist nan"),
        ({"dilation": 100.0}, "fills the whole box"),
        ({"pixel_size_angstrom": 0.0}, "--Apix 0"),
    ],
)
def test_masks_that_cannot_be(ball: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make(ball, **more)
    assert not (ball.parent / "mask.mrc").exists()


def test_a_map_of_the_other_sign_or_without_density(ball: Path) -> None:
    write_map(ball, -(radius() <= 5).astype(np.float32), PIXEL)
    with pytest.raises(InputError, match="invert_contrast"):
        make(ball)
    write_map(ball, np.ones((BOX, BOX, BOX)), PIXEL)
    with pytest.raises(InputError, match="all voxels are 1"):
        make(ball)


def test_a_mask_at_the_edge_is_told(ball: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(ball, dilation=20.0, edge=4.0)
    assert "reaches the edge" in caplog.text


def test_specks_of_noise_are_smoothed_away(ball: Path) -> None:
    clean, _ = make(ball, dilation=2.0, edge=4.0)
    noise = np.random.default_rng(0).normal(scale=0.25, size=(BOX,) * 3)
    write_map(ball, (radius() <= 5) + noise, PIXEL)
    specks, _ = make(ball, dilation=2.0, edge=4.0, threshold=0.5)
    smooth, _ = make(ball, dilation=2.0, edge=4.0, threshold=0.5, low_pass_angstrom=12.0)
    far = radius() > 12
    assert specks[far].max() == 1
    assert smooth[far].max() == 0
    assert np.abs(smooth - clean).mean() < 0.01
    with pytest.raises(InputError, match="--low-pass 0"):
        make(ball, low_pass_angstrom=0.0)
