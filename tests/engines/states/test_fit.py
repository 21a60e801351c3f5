"""Maps of states from images of blobs: each state's own, from disjoint halves."""

import numpy as np
import torch

from cryoscape.engines.states.config import StatesConfig
from cryoscape.engines.states.fit import fit_states
from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.start import support_at
from cryoscape.physics.masks import soft_sphere
from engines.vae.conftest import BOX, make_blobs


def test_states_get_their_maps_and_half_maps() -> None:
    torch.set_num_threads(1)
    blobs = make_blobs(300, noise=1.0)
    store, radius = blobs.store, BOX // 2 - 1
    truth = torch.from_numpy(np.stack([blobs.volume(0), blobs.volume(1)])).float()
    # a subspace whose one basis tells the states apart, though too little of it
    maps = torch.stack([truth.mean(0), (truth[0] - truth[1]) / 4]) / store.scale
    mask = soft_sphere(BOX, 6.0, 1.5)
    support = support_at(mask, radius)
    signal = store.coefficients[..., :].astype(np.float64)
    noise = torch.full((BOX // 2,), float((signal**2).sum(-1).mean()) / 2)
    model = Model(torch.stack([maps, maps]), support.power(maps), noise, 0.0)
    result = fit_states(store, model, radius, mask, StatesConfig(start_k=4, starts=1))
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
