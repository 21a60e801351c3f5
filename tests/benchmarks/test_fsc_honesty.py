"""Half maps that share no noise promise what the truth says; half maps that do promise more."""

import numpy as np
import pytest
import torch

from cryoscape.engines.regression.fit import RegressedMap
from fsc_honesty import CRITERIA, judge, line, middle_particles, of_difference, of_map, promised

BOX = 32


def _noise(seed: int) -> torch.Tensor:
    return torch.randn(BOX, BOX, BOX, generator=torch.Generator().manual_seed(seed))


def _truth() -> torch.Tensor:
    axis = torch.arange(BOX) - BOX // 2
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).float().sqrt()
    return _noise(0) * (radius < 9) * 2 + (radius < 9)


def _map(shared_noise: float) -> RegressedMap:
    truth = _truth()
    a, b = (truth + (1 - shared_noise**2) ** 0.5 * _noise(i) + shared_noise * _noise(3) for i in (1, 2))
    return RegressedMap((a + b) / 2, a, b, torch.zeros(1), 100, 100.0, 3)


def test_a_promise_is_the_correlation_of_the_mean_of_two_halves() -> None:
    for half, truth in CRITERIA:
        assert float(promised(torch.tensor(half))) == pytest.approx(truth, abs=1e-3)


@pytest.mark.parametrize("make", ["map", "difference"])
def test_independent_noise_keeps_its_promise_and_shared_noise_does_not(make: str) -> None:
    zero = RegressedMap(*(torch.zeros(BOX, BOX, BOX) for _ in range(3)), torch.zeros(1), 100, 100.0, 0)

    def excess(shared_noise: float) -> float:
        made = _map(shared_noise)
        if make == "map":
            return of_map(made, _truth().numpy(), 2.0).mean_excess
        return of_difference(made, zero, _truth().numpy(), np.zeros((BOX,) * 3, np.float32)).mean_excess

    assert abs(excess(0.0)) < 0.02
    assert excess(0.9) > 0.05


def test_shells_are_where_curves_cross() -> None:
    halves = torch.linspace(1, 0, 17)
    found = judge(halves, promised(halves))
    assert found.half_shells == pytest.approx((13.7, 8.0), abs=0.05)
    assert found.truth_shells == pytest.approx(found.half_shells, abs=0.3)
    assert found.mean_excess == pytest.approx(0, abs=1e-6)
    assert line("x", [found.__dict__]).startswith("| x | 13.7 |")


def test_the_middle_of_a_state_is_one_of_its_particles() -> None:
    labels = np.array([0, 0, 0, 1, 1, -1])
    z = np.array([[0.0], [1.0], [5.0], [7.0], [9.0], [8.0]])
    states, rows = middle_particles(z, labels, 5)
    assert states.tolist() == [0, 1]
    assert labels[rows].tolist() == [0, 1]
    assert rows[0] == 1
