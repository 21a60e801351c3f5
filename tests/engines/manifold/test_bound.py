"""Bounds and moments from draws, where the exact answer is known: a linear decoder and a normal prior."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from cryoscape.engines.manifold.bound import sample, weighted_bound
from cryoscape.engines.manifold.likelihood import moments
from cryoscape.engines.manifold.networks import Decoder, Gaussians
from cryoscape.engines.subspace.posterior import Posterior, posterior
from engines.manifold.conftest import Known, draw_evidence

Q = 3


def linear_decoder() -> Decoder:
    """Coefficients that are the latents themselves."""
    decoder = Decoder(Q, Q, 4)
    with torch.no_grad():
        decoder.network[-1].weight.zero_()
    return decoder


def known(spread: float) -> Known:
    z = np.random.default_rng(1).normal(size=(40, Q))
    return draw_evidence(z, np.array([50.0, 9.0, 4.0, 1.0]), spread)


def exact(one: Known, spread: float) -> tuple[Posterior, Gaussians]:
    found = posterior(one.moments, spread)
    return found, Gaussians(found.mean, torch.linalg.cholesky(found.covariance))


def noise(n: int) -> Tensor:
    return torch.randn(n, 40, Q, generator=torch.Generator().manual_seed(2))


def test_draws_from_the_exact_posterior_all_weigh_the_marginal_likelihood() -> None:
    one = known(0.0)
    found, proposal = exact(one, 0.0)
    seen = sample(moments(one.evidence), linear_decoder(), proposal, noise(3))
    torch.testing.assert_close(seen.log_likelihood, found.log_likelihood, atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(seen.bound, found.log_likelihood, atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("spread", [0.0, 0.15])
def test_other_draws_come_to_the_marginal_likelihood_and_moments(spread: float) -> None:
    one = known(spread)
    found, proposal = exact(one, spread)
    other = Gaussians(proposal.mean + 0.1, 1.2 * proposal.scale)
    seen = sample(moments(one.evidence), linear_decoder(), other, noise(20_000))
    torch.testing.assert_close(seen.log_likelihood, found.log_likelihood, atol=0.02, rtol=0)
    torch.testing.assert_close(seen.contrast, found.contrast, atol=0.01, rtol=0)
    torch.testing.assert_close(seen.once, found.weighted, atol=0.04, rtol=0)
    torch.testing.assert_close(seen.twice, found.weighted_squares, atol=0.1, rtol=0.03)


def test_bounds_are_ordered() -> None:
    one = known(0.1)
    found, proposal = exact(one, 0.1)
    poor = Gaussians(proposal.mean + 0.3, 1.5 * proposal.scale)
    evidence, decoder = moments(one.evidence), linear_decoder()
    many = noise(2000)
    seen = sample(evidence, decoder, poor, many)
    few = torch.stack([weighted_bound(evidence, decoder, poor, part, 1.0) for part in many.split(5)]).mean(0)
    assert (seen.bound < few).all()
    assert (few < seen.log_likelihood).all()
    assert (seen.log_likelihood < found.log_likelihood + 0.2).all()
    alone = torch.stack([weighted_bound(evidence, decoder, poor, part, 1.0) for part in many.split(1)])
    torch.testing.assert_close(alone.mean(0), seen.bound, atol=1e-2, rtol=1e-4)


def test_a_prior_of_no_weight_leaves_the_likelihood_alone() -> None:
    one = known(0.1)
    _, proposal = exact(one, 0.1)
    evidence, decoder = moments(one.evidence), linear_decoder()
    found = weighted_bound(evidence, decoder, proposal, noise(1), 0.0)
    torch.testing.assert_close(found, evidence.fit(proposal.at(noise(1))).log_likelihood[0])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(0, 10_000))
def test_divergence_from_the_prior(d: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(3, d, generator=generator)
    scale = torch.randn(3, d, d, generator=generator).tril(-1)
    scale += torch.diag_embed(torch.rand(3, d, generator=generator) + 0.1)
    prior = MultivariateNormal(torch.zeros(d), torch.eye(d))
    expected = kl_divergence(MultivariateNormal(mean, scale_tril=scale), prior)
    found = Gaussians(mean, scale)
    torch.testing.assert_close(found.kl(), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.covariance, scale @ scale.mT)
