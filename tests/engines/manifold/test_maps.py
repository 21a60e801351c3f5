"""Maps from images of Gaussian balls in three states, given what each image is."""

import numpy as np
import pytest
import torch

from cryoscape.engines.manifold.likelihood import linear_model, telling_components, with_components
from cryoscape.engines.manifold.maps import FullMaps
from cryoscape.engines.states.evidence import read_images
from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.passes import Images
from cryoscape.engines.subspace.start import support_at
from cryoscape.physics.masks import soft_sphere
from engines.manifold.conftest import draw_evidence
from engines.subspace.conftest import BOX, Balls, make_balls


@pytest.fixture(scope="module")
def balls() -> Balls:
    return make_balls(500, with_ctf=True)


def model_of(balls: Balls, radius: int, mask: torch.Tensor) -> tuple[Model, np.ndarray]:
    """Two bases that tell the states apart, at half strength, and one of noise; places of states."""
    states = torch.from_numpy(np.stack([balls.volume(s) for s in range(3)])).float()
    noise = 1e-6 * torch.randn(1, BOX, BOX, BOX, generator=torch.Generator().manual_seed(0))
    maps = torch.cat([states[:1], (states[1:] - states[0]) / 2, noise]) / balls.store.scale
    support = support_at(mask, radius)
    power = support.power(maps)
    model = Model(torch.stack([maps, maps]), power, torch.full((BOX,), balls.noise_variance), 0.0)
    return model, np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0]], np.float32)


def test_maps_follow_the_coefficients(balls: Balls) -> None:
    mask, radius = soft_sphere(BOX, 6.0, 1.5), BOX // 2 - 1
    model, places = model_of(balls, radius, mask)
    c = torch.from_numpy(places[balls.state])
    v = torch.cat([torch.ones(len(c), 1), c], dim=1)
    full = FullMaps(balls.store, model, radius, mask, v, v[:, :, None] * v[:, None])
    found = full.in_image_units().volumes(places)
    inside = mask.numpy() > 0.9
    for state in range(3):
        own, *others = (balls.volume(s)[inside] for s in (state, (state + 1) % 3, (state + 2) % 3))
        correlation = np.corrcoef(found[state][inside], own)[0, 1]
        assert correlation > 0.9
        assert correlation > max(np.corrcoef(found[state][inside], other)[0, 1] for other in others) + 0.03
    # read with these maps, images lie where they belong
    reading = full.read()
    z = linear_model(with_components(reading.evidence, 2)).features[:, :2].numpy()
    nearest = np.argmin(((z[:, None] - places[:, :2]) ** 2).sum(2), axis=1)
    assert (nearest == balls.state).mean() > 0.9


def test_bases_that_tell_nothing_are_left_out(balls: Balls) -> None:
    mask, radius = soft_sphere(BOX, 6.0, 1.5), BOX // 2 - 1
    model, _ = model_of(balls, radius, mask)
    images, support = Images(balls.store, radius), support_at(mask, radius)
    evidence = read_images(images, model.maps, support, model.noise, 0.0).evidence
    assert telling_components(evidence) == 2
    fewer = read_images(images, model.maps[:, :3], support, model.noise, 0.0).evidence
    kept = with_components(evidence, 2)
    torch.testing.assert_close(kept.gram, fewer.gram)
    torch.testing.assert_close(kept.image, fewer.image)
    z = np.random.default_rng(0).normal(size=(50, 3))
    assert telling_components(draw_evidence(z, np.array([9.0, 1e-4, 4.0, 1e-4])).evidence) == 2
    assert telling_components(draw_evidence(z, np.array([9.0, 1e-4, 1e-4, 1e-4])).evidence) == 1
