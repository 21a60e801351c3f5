"""Memory of learning: what is counted is what is allocated, and radii keep within what there is."""

import pytest
import torch

from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.equations import NormalEquations
from cryoscape.engines.subspace.memory import learning_bytes, within_memory
from cryoscape.engines.subspace.readable import readable
from cryoscape.physics.slices import FourierGrid


def test_sums_and_maps_are_most_of_what_is_counted() -> None:
    radius, q = 9, 5
    grid = FourierGrid(radius)
    maps = readable(torch.zeros(q + 1, 20, 20, 20), grid)
    sums = NormalEquations(grid, q + 1, maps.mean).sums
    held = 2 * 4 * (sums.numel() + maps.packed_bases.numel() + maps.mean.numel())
    assert held <= learning_bytes(radius, q) < 1.5 * held


@pytest.mark.parametrize(("room_gib", "largest"), [(100.0, 63), (6.0, 48), (2.0, 29), (0.0, 8)])
def test_the_largest_radius_that_fits(room_gib: float, largest: int) -> None:
    config = within_memory(SubspaceConfig(), 128, int(room_gib * 2**30))
    radii = config.radii(128)
    assert radii[-1] == largest
    assert all(learning_bytes(radius, 12) <= room_gib * 2**30 for radius in radii[1:])


def test_fewer_components_need_less() -> None:
    room = learning_bytes(48, 5)
    assert within_memory(SubspaceConfig(zdim=5), 128, room).radii(128)[-1] == 48
    assert within_memory(SubspaceConfig(zdim=12), 128, room).radii(128)[-1] < 48
