"""Maps of states from images of blobs: each state's own, from disjoint halves."""

import numpy as np
import pytest
import torch
from jaxtyping import Float

from cryoscape.engines.states.config import StatesConfig
from cryoscape.engines.states.fit import StatesResult, StepReport, fit_states
from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.start import support_at
from cryoscape.engines.subspace.support import change_box
from cryoscape.physics.masks import soft_sphere
from engines.vae.conftest import BOX, Blobs, make_blobs


def subspace(
    blobs: Blobs, radius: int, share: float
) -> tuple[Model, Float[torch.Tensor, "2 z y x"], Float[torch.Tensor, "z y x"]]:
    """One basis that tells two states apart, of a share of the difference and up to a radius; truth, mask."""
    store = blobs.store
    truth = torch.from_numpy(np.stack([blobs.volume(0), blobs.volume(1)])).float()
    mask = soft_sphere(BOX, 6.0, 1.5)
    support = support_at(mask, radius)
    maps = torch.stack([truth.mean(0), (truth[0] - truth[1]) * share]) / store.scale
    maps = change_box(maps, support.box) * support.mask
    signal = store.coefficients.astype(np.float64)
    noise = torch.full((BOX // 2,), float((signal**2).sum(-1).mean()) / 2)
    return Model(torch.stack([maps, maps]), support.power(maps), noise, 0.0), truth, mask


def test_states_get_their_maps_and_half_maps() -> None:
    torch.set_num_threads(1)
    blobs, radius = make_blobs(300, noise=1.0), BOX // 2 - 1
    # the basis tells the states apart, though too little of it
    model, truth, mask = subspace(blobs, radius, 1 / 4)
    result = fit_states(blobs.store, model, radius, mask, StatesConfig(start_k=4, starts=1))
    assert len(result.shares) == 2
    assert result.shares[0] >= result.shares[1]
    agreement = (result.states == blobs.state).mean()
    assert max(agreement, 1 - agreement) > 0.95
    assert result.stability.min() > 0.9
    np.testing.assert_allclose(result.probabilities.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(result.latents.state, result.states)
    order = [0, 1] if agreement > 0.5 else [1, 0]
    found = result.maps.volumes(result.centres)
    halves = [half.volumes(result.centres) for half in result.halves]
    inside = mask.numpy() > 0.9
    for state, true in enumerate(order):
        expected, other = truth[true].numpy()[inside], truth[1 - true].numpy()[inside]
        assert np.corrcoef(found[state][inside], expected)[0, 1] > 0.9
        for half in halves:
            own = np.corrcoef(half[state][inside], expected)[0, 1]
            assert own > np.corrcoef(half[state][inside], other)[0, 1] + 0.02
    assert np.abs(halves[0] - halves[1]).max() > 0


def found_with(blobs: Blobs, radius: int, rounds: int) -> tuple[float, list[StepReport], StatesResult]:
    """Share of images in the right one of two states, what was reported, and the result."""
    torch.set_num_threads(1)
    model, _, mask = subspace(blobs, radius, 1 / 4)
    steps: list[StepReport] = []
    config = StatesConfig(k=2, start_k=4, starts=1, rounds=rounds)
    result = fit_states(blobs.store, model, radius, mask, config, steps.append)
    right = float((result.states == blobs.state).mean())
    return max(right, 1 - right), [step for step in steps if step.held_out is not None], result


def test_states_are_told_apart_better_by_maps_of_their_own() -> None:
    blobs = make_blobs(800, noise=3.0)
    before, _, _ = found_with(blobs, radius=2, rounds=0)
    after, (first, last), result = found_with(blobs, radius=2, rounds=1)
    assert after > before + 0.03
    assert last.held_out > first.held_out + 2
    assert result.held_out == last.held_out


def test_maps_that_say_less_of_other_images_are_not_believed() -> None:
    blobs = make_blobs(400, noise=6.0)
    before, _, expected = found_with(blobs, radius=3, rounds=0)
    after, (first, last), result = found_with(blobs, radius=3, rounds=1)
    assert last.held_out < first.held_out
    assert result.held_out == first.held_out
    assert after == pytest.approx(before, abs=0.02)
    np.testing.assert_allclose(result.shares, expected.shares, atol=0.02)
