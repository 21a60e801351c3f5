import pytest
import torch

from cryoscape.analysis.consistency import Observed, held_out_correlation, try_assumptions
from cryoscape.physics.grids import centred_indices, half_plane
from cryoscape.physics.rotations import random_rotations
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.volume_grid import volume_to_grid

BOX, N = 20, 200
PLANE = half_plane(BOX)


@pytest.fixture(scope="module")
def observed() -> Observed:
    """Images of an asymmetric molecule without noise, CTF or shifts."""
    axis = centred_indices(BOX).float()
    volume = torch.zeros(BOX, BOX, BOX)
    for z, y, x in ((3, -2, 4), (-4, 3, -1), (0, -5, -3), (2, 4, 2)):
        gaussians = [torch.exp(-((axis - c) ** 2) / 3) for c in (z, y, x)]
        volume += torch.einsum("z,y,x->zyx", *gaussians)
    rotations = random_rotations(N, torch.Generator().manual_seed(0))
    grid = FourierGrid(BOX // 2, 3)
    slices = extract_slices(volume_to_grid(volume, grid), grid, rotations, PLANE.k)[..., 0]
    return Observed(PLANE, slices, torch.ones(N, PLANE.n_pixels), rotations, torch.zeros(N, 2))


def with_noise(observed: Observed, level: float) -> Observed:
    noise = torch.randn(*observed.coefficients.shape, 2, generator=torch.Generator().manual_seed(1))
    sigma = level * observed.coefficients.abs().square().mean().sqrt()
    coefficients = observed.coefficients + sigma * torch.view_as_complex(noise)
    return Observed(PLANE, coefficients, observed.ctf, observed.rotations, observed.shift_fraction)


def test_noiseless_images_correlate_fully_with_the_other_half(observed: Observed) -> None:
    assert float(held_out_correlation(observed).min()) > 0.85


def test_noise_correlates_with_nothing(observed: Observed) -> None:
    """The map never saw the image it is compared with, so there is no bias."""
    pure = with_noise(observed, 1e3)
    correlation = held_out_correlation(pure)
    assert abs(float(correlation.mean())) < 4 * float(correlation.std()) / N**0.5


def test_only_assumptions_that_differ_are_tried(observed: Observed) -> None:
    names = [trial.assumption for trial in try_assumptions(with_noise(observed, 1.0))]
    assert names == ["given", "poses of other particles", "inverse rotations", "mirrored images"]


def test_given_values_win_by_many_standard_errors(observed: Observed) -> None:
    trials = try_assumptions(with_noise(observed, 2.0))
    assert all(trial.z_given > 8 for trial in trials[1:])
    assert trials[0].correlation == max(trial.correlation for trial in trials)
