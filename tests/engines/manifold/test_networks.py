"""Networks begin as the linear subspace."""

import torch

from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.networks import new_networks


def features(n: int, q: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(n, q, generator=generator), -torch.rand(n, q, generator=generator)
    return torch.cat([mean, log_variance, torch.ones(n, 1)], dim=1)


def test_without_their_networks_they_are_the_linear_posterior_and_the_linear_maps() -> None:
    given = features(50, 5)
    for zdim in (3, 5, 7):
        networks = new_networks(ManifoldConfig(zdim=zdim), 5, given)
        with torch.no_grad():
            for part in (networks.encoder, networks.decoder):
                part.network[-1].weight.zero_()
            found = networks.encoder(given)
            same = min(zdim, 5)
            torch.testing.assert_close(found.mean[:, :same], given[:, :same])
            assert (found.mean[:, same:] == 0).all()
            variance = torch.diagonal(found.covariance, dim1=1, dim2=2)
            torch.testing.assert_close(variance[:, :same], given[:, 5 : 5 + same].exp())
            assert (variance[:, same:] == 1).all()
            u = torch.randn(2, 4, zdim)
            torch.testing.assert_close(networks.decoder(u)[..., :same], u[..., :same])


def test_they_begin_close_to_that_and_are_seeded() -> None:
    given = features(200, 5)
    first, again, other = (new_networks(ManifoldConfig(zdim=3, seed=s), 5, given) for s in (0, 0, 1))
    with torch.no_grad():
        means = [networks.encoder(given).mean for networks in (first, again, other)]
    assert (means[0] - given[:, :3]).abs().max() < 0.2
    assert torch.equal(means[0], means[1])
    assert not torch.equal(means[0], means[2])
