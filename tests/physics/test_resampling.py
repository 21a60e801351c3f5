import pytest
import torch

from cryoscape.physics.grids import centred_indices
from cryoscape.physics.resampling import resample_volume


def gaussian(box: int, pixel: float, sigma: float = 9.0) -> torch.Tensor:
    """Blob at (x, y, z) = (10, -6, 4) angstrom from the centre."""
    axis = centred_indices(box).double() * pixel
    z, y, x = (torch.exp(-((axis - c) ** 2) / (2 * sigma**2)) for c in (4.0, -6.0, 10.0))
    return z[:, None, None] * y[:, None] * x


@pytest.mark.parametrize(("box", "pixel"), [(32, 4.0), (33, 4.0), (24, 5.1), (48, 3.3), (64, 4.0), (31, 4.3)])
def test_the_same_density_on_another_grid(box: int, pixel: float) -> None:
    found = resample_volume(gaussian(40, 4.0), 4.0, box, pixel)
    torch.testing.assert_close(found, gaussian(box, pixel), atol=2e-3, rtol=0)


def test_the_same_grid_changes_nothing_but_the_nyquist_planes() -> None:
    volume = torch.randn(9, 9, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resample_volume(volume, 2.0, 9, 2.0), volume, atol=1e-5, rtol=0)


def test_what_lies_outside_a_smaller_box_does_not_fold_into_it() -> None:
    volume = torch.zeros(40, 40, 40, dtype=torch.float64)
    volume[20, 20, 36] = 1.0
    assert float(resample_volume(volume, 1.0, 20, 1.0).abs().max()) < 1e-12
