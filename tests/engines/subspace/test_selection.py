"""How many components are chosen, from maps that are known."""

import numpy as np
import pytest
import torch

from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.selection import choose_components, most_supported
from cryoscape.engines.subspace.support import Support
from cryoscape.physics.slices import FourierGrid

from .conftest import BOX, Balls

RADIUS = 7


def true_model(balls: Balls, strength: float = 1.0, useless: int = 2) -> tuple[Model, Support]:
    """Mean and two bases of the three states, and bases of noise behind them; the same for both halves."""
    states = np.stack([balls.volume(s) for s in range(3)]) / balls.store.scale
    _, values, bases = np.linalg.svd((states - states.mean(0)).reshape(3, -1), full_matrices=False)
    bases = (values[:2, None] * bases[:2]).reshape(2, BOX, BOX, BOX) / np.sqrt(3)
    noise = np.random.default_rng(0).normal(size=(useless, BOX, BOX, BOX)) * bases.std()
    maps = np.concatenate([states.mean(0)[None], strength * bases, noise])
    both = torch.from_numpy(np.stack([maps, maps])).float()
    support = Support(torch.ones(BOX, BOX, BOX), FourierGrid(RADIUS))
    noise_variance = torch.full((BOX // 2 + 1,), balls.noise_variance)
    return Model(both, torch.ones(support.n_shells, both.shape[1]), noise_variance, 0.0), support


@pytest.mark.parametrize("useless", [1, 2])
def test_bases_that_images_do_not_know_are_left_out(balls: Balls, useless: int) -> None:
    model, support = true_model(balls, useless=useless)
    chosen = choose_components(Images(balls.store, RADIUS), model, support)
    assert chosen.n_components == 2
    assert f"2 of {2 + useless} tried carry 100.0 %" in chosen.reason


def test_where_all_help_more_may_help(balls: Balls) -> None:
    model, support = true_model(balls, useless=0)
    chosen = choose_components(Images(balls.store, RADIUS), model, support)
    assert chosen.n_components == 2
    assert "a larger --zdim may find more" in chosen.reason


def test_none_is_an_answer(balls: Balls) -> None:
    model, support = true_model(balls, strength=0.0)
    chosen = choose_components(Images(balls.store, RADIUS), model, support)
    assert chosen.n_components == 0
    assert "add no more than 0.000 nats" in chosen.reason


@pytest.mark.parametrize(
    ("information", "real", "expected"),
    [
        ([0, 2, 3, 3.5, 3.5], [True, True, True, False], 3),
        ([0, 2, 3, 2.999, 2.9], [True, True, True, True], 3),  # a component may cost a trifle
        ([0, 2, 3, 3.5], [True, False, True], 3),  # one in between need not be sure of itself
        ([0, 2, 2.5, 3], [True, True, False], 2),  # the best number ends with one that is not there
        ([0, 2, 1.9, 3], [True, True, False], 1),
        ([0, 1, 2], [False, False], 0),
    ],
)
def test_the_number_ends_with_a_component_that_is_there(
    information: list[float], real: list[bool], expected: int
) -> None:
    assert most_supported([float(value) for value in information], real) == expected
