"""Latents of each image by its own half set: those of the run, and nothing of the other half."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.subspace.fit import SubspaceResult, fit_subspace
from cryoscape.engines.subspace.half_models import HalfModels

from .conftest import Balls
from .settings import CONFIG


@pytest.fixture(scope="module")
def learned(balls: Balls) -> SubspaceResult:
    torch.set_num_threads(1)
    return fit_subspace(balls.store, CONFIG)


@pytest.fixture(scope="module")
def halves(balls: Balls, learned: SubspaceResult) -> HalfModels:
    state = learned.state
    maps = state["maps"] * balls.store.scale
    return HalfModels(maps, state["change"], learned.radius, state["contrast_spread"])


def place(halves: HalfModels, balls: Balls, learned: SubspaceResult) -> LatentTable:
    return halves.place(balls.store, learned.noise_variance, learned.state["mask"])


def test_images_lie_about_where_the_run_puts_them(
    halves: HalfModels, balls: Balls, learned: SubspaceResult
) -> None:
    found = place(halves, balls, learned)
    good = ~balls.junk
    for half in range(2):
        own = good & (np.arange(len(good)) % 2 == half)
        for ours, theirs in zip(found.mean[own].T, learned.latents.mean[own].T, strict=True):
            assert np.corrcoef(ours, theirs)[0, 1] > 0.9
            assert ours.std() / theirs.std() == pytest.approx(1, abs=0.2)
            assert abs(ours.mean() - theirs.mean()) < 0.15
    assert found.contrast.mean() == pytest.approx(learned.latents.contrast.mean(), rel=0.05)


def test_what_one_half_set_learned_moves_no_image_of_the_other(
    halves: HalfModels, balls: Balls, learned: SubspaceResult
) -> None:
    before = place(halves, balls, learned)
    maps = halves.maps.clone()
    maps[1] = maps[1].flip(-1)
    after = place(replace(halves, maps=maps), balls, learned)
    np.testing.assert_array_equal(after.mean[::2], before.mean[::2])
    assert np.abs(after.mean[1::2] - before.mean[1::2]).mean() > 0.1
