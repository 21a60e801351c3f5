import numpy as np
import pytest
import torch

from cryoscape.physics.fsc import (
    density_mask,
    fourier_shell_correlation,
    half_map_curves,
    low_pass,
    randomise_phases,
    resolution_angstrom,
    resolution_shell,
)
from cryoscape.physics.grids import radius_grid_3d


def noise(box: int, seed: int) -> torch.Tensor:
    return torch.randn(box, box, box, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def direct_fsc(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Shell by shell over the whole centred transform."""
    box = len(a)
    fa, fb = (np.fft.fftshift(np.fft.fftn(x)) for x in (a, b))
    axis = np.arange(box) - box // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    curve = []
    for shell in range(box // 2 + 1):
        at = (radius >= shell - 0.5) & (radius < shell + 0.5)
        cross = np.sum(fa[at] * np.conj(fb[at])).real
        curve.append(cross / np.sqrt(np.sum(np.abs(fa[at]) ** 2) * np.sum(np.abs(fb[at]) ** 2)))
    return np.array(curve)


@pytest.mark.parametrize("box", [12, 13, 16])
def test_equals_a_direct_computation(box: int) -> None:
    a = noise(box, 1)
    b = a + noise(box, 2)
    found = fourier_shell_correlation(a, b)
    assert found.shape == (box // 2 + 1,)
    np.testing.assert_allclose(found.numpy(), direct_fsc(a.numpy(), b.numpy()), atol=1e-12)


def test_batches_and_limits() -> None:
    maps = torch.stack([noise(10, 1), noise(10, 2)])
    both = fourier_shell_correlation(maps, maps.flip(0))
    torch.testing.assert_close(both[0], fourier_shell_correlation(maps[0], maps[1]))
    torch.testing.assert_close(fourier_shell_correlation(maps, 3 * maps), torch.ones_like(both))
    torch.testing.assert_close(fourier_shell_correlation(maps, -maps), -torch.ones_like(both))
    assert (fourier_shell_correlation(maps, torch.zeros_like(maps)) == 0).all()


def test_noisy_halves_have_the_correlation_of_their_signal_to_noise() -> None:
    signal, ratio = noise(32, 1), 3.0
    a, b = signal + noise(32, 2) / ratio**0.5, signal + noise(32, 3) / ratio**0.5
    assert float(fourier_shell_correlation(a, b)[8:].mean()) == pytest.approx(ratio / (1 + ratio), abs=0.01)


def test_resolution_is_the_first_crossing_interpolated() -> None:
    curve = torch.tensor([-1.0, 1.0, 0.9, 0.3, 0.7, 0.1])
    assert resolution_shell(curve, 0.5) == pytest.approx(2 + 0.4 / 0.6)
    assert resolution_shell(curve, 0.143) == pytest.approx(4 + 0.557 / 0.6)
    assert resolution_shell(curve, 0.05) is None
    assert resolution_angstrom(curve, 0.5, 10, 2.0) == pytest.approx(20 / (2 + 0.4 / 0.6))
    assert resolution_angstrom(curve, 0.05, 10, 2.0) == 4.0


def test_random_phases_keep_amplitudes_and_low_frequencies() -> None:
    volume = noise(16, 4)
    shuffled = randomise_phases(volume, 5, torch.Generator().manual_seed(0))
    before, after = torch.fft.fftn(volume), torch.fft.fftn(shuffled)
    torch.testing.assert_close(before.abs(), after.abs(), atol=1e-9, rtol=0)
    curve = fourier_shell_correlation(volume, shuffled)
    torch.testing.assert_close(curve[:5], torch.ones(5, dtype=torch.float64))
    assert float(curve[5:].abs().max()) < 0.4


def test_low_pass_is_half_at_its_radius_and_keeps_the_mean() -> None:
    volume = noise(20, 5)
    ratio = torch.fft.fftn(low_pass(volume, 4.0)) / torch.fft.fftn(volume)
    assert float(ratio[0, 0, 4].real) == pytest.approx(0.5)
    assert float(ratio[0, 0, 0].real) == pytest.approx(1.0)


def blob(box: int) -> torch.Tensor:
    """Random density within a quarter of the box, where light."""
    inside = (radius_grid_3d(box, torch.float64) < box / 6).double()
    return inside * (2 + low_pass(noise(box, 9), 8.0) * 4)


def test_a_density_mask_surrounds_the_density() -> None:
    mask = density_mask(blob(40) + 0.05 * noise(40, 1), 5.0, 25.0, 15.0)
    radius = radius_grid_3d(40)
    assert float(mask[radius < 40 / 6].min()) == 1.0
    assert float(mask[radius > 40 / 6 + (25 + 15) / 5 + 2].max()) == 0.0


def test_masks_raise_the_curve_and_the_correction_takes_off_their_share() -> None:
    signal = low_pass(blob(40), 6.0)
    halves = [signal + 0.3 * noise(40, seed) for seed in (1, 2)]
    curves = half_map_curves(halves[0], halves[1], 5.0)
    low = slice(3, 8)
    assert curves.unmasked[low].mean() < curves.loose[low].mean() < curves.tight[low].mean()
    assert curves.unmasked[low].mean() < curves.spherical[low].mean()
    # at high radius there is no signal: what correlation the mask makes is gone
    assert float(curves.corrected[14:].mean().abs()) < 0.1
    assert 1 <= curves.randomised_from < 8
    again = half_map_curves(halves[0], halves[1], 5.0)
    torch.testing.assert_close(again.corrected, curves.corrected)


def test_a_mask_that_correlates_noise_is_found_out() -> None:
    """Half maps of pure noise times one sharp mask correlate; corrected they must not."""
    mask = (radius_grid_3d(40) < 7).double()
    low = low_pass(noise(40, 3), 3.0) * 20
    halves = [low + 0.3 * noise(40, seed) for seed in (1, 2)]
    curves = half_map_curves(halves[0], halves[1], 5.0, mask)
    beyond = curves.randomised_from + 3
    assert float(curves.tight[beyond : beyond + 3].mean()) > 0.3
    assert float(curves.corrected[beyond : beyond + 3].mean()) < 0.6 * float(
        curves.tight[beyond : beyond + 3].mean()
    )
