"""Agreement and noise of maps that were made to agree or to be noisy."""

import numpy as np
import pytest

from cryoscape.analysis.convergence_maps import (
    MaskOptions,
    check_mask_options,
    high_frequency_noise,
    map_correlation,
    map_fsc,
    mask_about_density,
    solvent_noise,
)
from cryoscape.errors import InputError

BOX = 32


def radius():
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    return np.sqrt(x**2 + y**2 + z**2)


def ball(size=5.0):
    return (1 / (1 + np.exp(4 * (radius() - size)))).astype(np.float32)


def test_mask_of_a_ball():
    """Half of the top density lies at radius 5; one voxel wider, then 4 voxels of raised cosine."""
    mask = mask_about_density(ball(), MaskOptions(dilation_px=1.0, edge_px=4.0))
    r = radius()
    assert (mask[r <= 5.0] == 1).all()
    assert (mask[r >= 10.5] == 0).all()
    middle = mask[(r > 7.8) & (r < 8.2)]
    assert 0.3 < middle.mean() < 0.7


def test_mask_at_a_given_density_and_of_an_empty_map():
    narrow = mask_about_density(ball(), MaskOptions(0.9, 0.0, 0.0))
    np.testing.assert_array_equal(narrow, (ball() > 0.9).astype(np.float32))
    assert (mask_about_density(np.zeros((8, 8, 8), np.float32), MaskOptions()) == 1).all()


def test_noise_outside_over_density_inside():
    rng = np.random.default_rng(0)
    options = MaskOptions(dilation_px=1.0, edge_px=2.0)
    found = []
    for noise in (0.02, 0.04):
        volume = (ball() + noise * rng.normal(size=(BOX,) * 3)).astype(np.float32)
        found.append(solvent_noise(volume, mask_about_density(volume, options)))
    assert found[1] / found[0] == pytest.approx(2.0, rel=0.1)
    inside = ball()[mask_about_density(ball(), options) >= 0.5].std()
    assert found[0] == pytest.approx(0.02 / inside, rel=0.1)


def test_no_solvent_no_figure():
    assert np.isnan(solvent_noise(ball(), np.ones_like(ball())))


def test_high_frequency_noise_of_plane_waves():
    x = np.indices((BOX,) * 3)[2]
    slow, fast = np.cos(2 * np.pi * 3 * x / BOX), np.cos(2 * np.pi * 14 * x / BOX)
    volume = (2 * slow + fast).astype(np.float32)  # power 4 and 1
    agreement = np.ones(BOX // 2)
    assert high_frequency_noise(volume, agreement) == 0
    agreement[13], agreement[2] = 0.25, 0.0  # shell 14, and shell 3 which is not high
    assert high_frequency_noise(volume, agreement) == pytest.approx(0.75 / 5, abs=1e-5)


def test_noise_is_told_from_detail():
    """Independent noise on two maps of the same detail: FSC = S / (S + N), so 1 - FSC is the noise."""
    rng = np.random.default_rng(0)
    detail = rng.normal(size=(BOX,) * 3)
    a, b = (detail + 0.5 * rng.normal(size=(2,) + (BOX,) * 3)).astype(np.float32)
    found = high_frequency_noise(b, map_fsc(a, b))
    shells = np.arange(1, BOX // 2 + 1) ** 2
    high = shells[np.arange(1, BOX // 2 + 1) > BOX / 3].sum() / shells.sum()
    assert found == pytest.approx(0.2 * high, rel=0.1)  # noise is 0.25 / 1.25 of the power


def test_correlation_and_shells():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(BOX,) * 3).astype(np.float32)
    b = rng.normal(size=(BOX,) * 3).astype(np.float32)
    assert map_correlation(a, 3 * a + 1) == pytest.approx(1.0)
    assert map_correlation(a, a + b) == pytest.approx(2**-0.5, abs=0.02)
    assert np.isnan(map_correlation(a, np.zeros_like(a)))
    curve = map_fsc(a, a + b)
    assert curve.shape == (BOX // 2,)
    assert curve[4:] == pytest.approx(2**-0.5, abs=0.1)
    np.testing.assert_allclose(map_fsc(a, 2 * a), 1.0, rtol=1e-6)


@pytest.mark.parametrize("options", [MaskOptions(dilation_px=-1.0), MaskOptions(edge_px=float("nan"))])
def test_widths_below_nothing(options):
    with pytest.raises(InputError, match="0 or more"):
        check_mask_options(options)
