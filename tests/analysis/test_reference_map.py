import pytest
import torch

from cryoscape.analysis.reference_map import match_reference
from cryoscape.physics.fsc import low_pass
from cryoscape.physics.grids import flip_hand, radius_grid_3d


@pytest.fixture
def structure() -> torch.Tensor:
    noise = torch.randn(24, 24, 24, generator=torch.Generator().manual_seed(0))
    return low_pass(noise, 8.0) * (radius_grid_3d(24) < 8)


def test_the_hand_shows(structure: torch.Tensor) -> None:
    same = match_reference(structure, structure, 8)
    assert same.same == pytest.approx(1.0, abs=1e-4)
    assert abs(same.mirrored) < 0.4
    other = match_reference(structure, flip_hand(structure), 8)
    assert (other.mirrored, other.same) == pytest.approx((same.same, same.mirrored), abs=1e-5)
    assert float(other.curve[5]) == pytest.approx(1.0, abs=1e-4)


def test_inverted_density_is_negative_and_shells_are_kept_in_range(structure: torch.Tensor) -> None:
    found = match_reference(structure, -structure, 99)
    assert found.same == pytest.approx(-1.0, abs=1e-4)
    assert found.last_shell == 12
