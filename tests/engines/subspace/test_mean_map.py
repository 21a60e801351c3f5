"""Mean maps of half sets, and the mask made from them, against the true map."""

import numpy as np
import pytest
import torch

from cryoscape.engines.noise import total_power
from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.mean_map import mean_maps
from cryoscape.engines.subspace.start import whole_mask
from cryoscape.engines.subspace.support import Support
from cryoscape.physics.fsc import fourier_shell_correlation
from cryoscape.physics.masks import soft_sphere
from cryoscape.physics.slices import FourierGrid

from .conftest import BOX, Balls, make_balls

RADIUS = 7


def reconstructed(balls: Balls):
    support = Support(soft_sphere(BOX, 6.0, 1.5), FourierGrid(RADIUS))
    maps, power = mean_maps(Images(balls.store, RADIUS), support, total_power(balls.store))
    return maps, power, support


@pytest.mark.parametrize("with_ctf", [False, True])
def test_both_halves_are_the_true_map(with_ctf: bool) -> None:
    balls = make_balls(400, 0.1, n_states=1, with_ctf=with_ctf)
    maps, power, support = reconstructed(balls)
    truth = torch.from_numpy(balls.volume(0)).float() / np.float32(balls.store.scale)
    for half in maps:
        correlation = fourier_shell_correlation(half, truth * support.mask)
        assert float(correlation[1 : RADIUS - 1].min()) > 0.97
        # regularisation takes away a little, never adds
        scale = float((half * truth).sum() / (truth * support.mask * truth).sum())
        assert 0.9 < scale < 1.02
    np.testing.assert_allclose(power[1:5], support.power(truth[None] * support.mask)[1:5, 0], rtol=0.25)


def test_the_two_halves_share_no_noise() -> None:
    balls = make_balls(400, 3.0, n_states=1)
    maps, _, support = reconstructed(balls)
    truth = torch.from_numpy(balls.volume(0)).float() / np.float32(balls.store.scale) * support.mask
    rest = [(half - truth * (half * truth).sum() / (truth**2).sum()).flatten() for half in maps]
    correlation = float(torch.corrcoef(torch.stack(rest))[0, 1])
    # what regularisation takes away is common to both, noise is not
    assert abs(correlation) < 0.35


def test_more_noise_is_regularised_more() -> None:
    clear, _, _ = reconstructed(make_balls(200, 0.3, n_states=1))
    balls = make_balls(200, 0.0, n_states=1)
    noise = np.random.default_rng(0).normal(size=balls.store.coefficients.shape).astype(np.float32)
    balls.store.coefficients[:] = noise
    nothing, _, _ = reconstructed(balls)
    # plain division by summed weights would leave noise of power 8 / 200 a voxel of the grid
    assert float(nothing.square().sum()) < 0.2 * float(clear.square().sum())


def test_the_mask_surrounds_the_density_and_no_more() -> None:
    balls = make_balls(300, 0.5, with_ctf=True)
    mask = whole_mask(balls.store, SubspaceConfig(), None)
    assert mask.shape == (BOX, BOX, BOX)
    assert 0 <= float(mask.min()) <= float(mask.max()) <= 1
    density = balls.mean_volume()
    assert float((mask.numpy() * density).sum()) > 0.92 * density.sum()
    sphere = whole_mask(balls.store, SubspaceConfig(mask="sphere"), None)
    assert float(mask.sum()) < 0.9 * float(sphere.sum())


def test_where_no_density_stands_out_the_mask_is_the_sphere() -> None:
    balls = make_balls(20)
    noise = np.random.default_rng(1).normal(size=balls.store.coefficients.shape).astype(np.float32)
    balls.store.coefficients[:] = noise
    sphere = whole_mask(balls.store, SubspaceConfig(mask="sphere"), None)
    found = whole_mask(balls.store, SubspaceConfig(), None)
    assert float(sphere.sum()) > 0
    torch.testing.assert_close(found, sphere)


def test_a_mask_given_is_taken_as_it_is() -> None:
    mask = torch.rand(BOX, BOX, BOX)
    torch.testing.assert_close(whole_mask(make_balls(4).store, SubspaceConfig(), mask), mask)
