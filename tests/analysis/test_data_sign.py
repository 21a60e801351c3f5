import pytest
import torch

from cryoscape.analysis.data_sign import images_sign, map_sign
from cryoscape.physics.fourier import half_plane_coefficients
from cryoscape.physics.grids import half_plane, radius_grid_2d, radius_grid_3d

BOX = 32
PLANE = half_plane(BOX)


def blob_images(n: int, height: float) -> torch.Tensor:
    noise = torch.randn(n, BOX, BOX, generator=torch.Generator().manual_seed(n))
    return noise + height * (radius_grid_2d(BOX) < 6)


@pytest.mark.parametrize(("height", "sign"), [(0.3, 1), (-0.3, -1)])
def test_a_bright_middle_counts_for_the_sign_whatever_the_ctf(height: float, sign: int) -> None:
    coefficients = half_plane_coefficients(blob_images(60, height), PLANE)
    ctf = torch.where(torch.arange(60)[:, None] % 2 == 0, 0.4, -0.4) * torch.ones(PLANE.n_pixels)
    found = images_sign(coefficients * ctf, ctf, PLANE)
    assert found.t * sign > 5
    assert found.p_value < 1e-5
    assert found.n_images == 60


def test_noise_has_no_sign() -> None:
    coefficients = half_plane_coefficients(blob_images(200, 0.0), PLANE)
    assert images_sign(coefficients, torch.ones(200, PLANE.n_pixels), PLANE).p_value > 0.01


def test_one_image_is_no_evidence() -> None:
    coefficients = half_plane_coefficients(blob_images(1, 1.0), PLANE)
    assert images_sign(coefficients, torch.ones(1, PLANE.n_pixels), PLANE).p_value == 1.0


def test_the_strong_features_of_a_map_are_bright_or_dark() -> None:
    radius = radius_grid_3d(BOX)
    noise = torch.randn(BOX, BOX, BOX, generator=torch.Generator().manual_seed(0))
    volume = (radius < 5).float() + 0.05 * noise
    bright, dark = map_sign(volume), map_sign(-volume)
    assert bright.skewness > 1
    assert bright.brightest > 5 * bright.darkest
    assert dark.skewness == pytest.approx(-bright.skewness, rel=1e-3)
    assert abs(map_sign(noise).skewness) < 0.3
