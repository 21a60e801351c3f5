"""Maps from images of Gaussian balls in three states, given what each image is."""

import numpy as np
import pytest
import torch

from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.likelihood import linear_model, telling_components, with_components
from cryoscape.engines.manifold.maps import MapsRead, make_maps_again, read_subspace_maps
from cryoscape.engines.manifold.networks import new_networks
from cryoscape.engines.states.evidence import read_images
from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.start import support_at
from cryoscape.engines.subspace.support import change_box
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
    maps = change_box(maps, support.box)
    power = support.power(maps)
    model = Model(torch.stack([maps, maps]), power, torch.full((BOX,), balls.noise_variance), 0.0)
    return model, np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0]], np.float32)


def again(balls: Balls, radius: int) -> tuple[MapsRead, MapsRead, np.ndarray]:
    """First and second maps, with networks that begin as the linear posterior, and places of states."""
    mask = soft_sphere(BOX, 6.0, 1.5)
    model, places = model_of(balls, radius, mask)
    config = ManifoldConfig(zdim=2, width=8, final_samples=20)
    first = read_subspace_maps(balls.store, model, radius, mask)
    networks = new_networks(config, 2, linear_model(first.learning).features)
    done: list[int] = []
    second = make_maps_again(*(balls.store, model, radius, mask, first, networks, config), update=done.append)
    assert done == sorted(done)
    assert done[-1] == 5 * balls.store.n
    return first, second, places


def test_maps_follow_the_places_and_images_lie_where_they_belong(balls: Balls) -> None:
    first, second, places = again(balls, BOX // 2 - 1)
    assert first.learning.zdim == second.learning.zdim == 2, "the basis of noise is left out"
    inside = soft_sphere(BOX, 6.0, 1.5).numpy() > 0.9
    found = second.maps.volumes(places[:, :2])
    for state in range(3):
        own, *others = (balls.volume(s)[inside] for s in (state, (state + 1) % 3, (state + 2) % 3))
        correlation = np.corrcoef(found[state][inside], own)[0, 1]
        assert correlation > 0.9
        assert correlation > max(np.corrcoef(found[state][inside], other)[0, 1] for other in others) + 0.02
    for evidence in (second.placing, second.learning):
        z = linear_model(evidence).features[:, :2].numpy()
        nearest = np.argmin(((z[:, None] - places[:, :2]) ** 2).sum(2), axis=1)
        assert (nearest == balls.state).mean() > 0.9


def test_maps_reach_half_the_box_from_a_smaller_radius(balls: Balls) -> None:
    first, second, places = again(balls, 5)
    assert first.maps.box_size == second.maps.box_size == BOX
    inside = soft_sphere(BOX, 6.0, 1.5).numpy() > 0.9
    found = second.maps.volumes(places[:, :2])
    for state in range(3):
        assert np.corrcoef(found[state][inside], balls.volume(state)[inside])[0, 1] > 0.9


def test_an_image_is_judged_by_maps_that_do_not_know_it(balls: Balls) -> None:
    """Products of images with maps that have seen their noise are larger."""
    _, second, _ = again(balls, BOX // 2 - 1)
    seen, held_out = (linear_model(one).log_likelihood.mean() for one in (second.placing, second.learning))
    assert float(seen) > float(held_out) + 0.1


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
