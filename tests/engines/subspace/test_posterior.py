"""Posteriors against dense Gaussian algebra, and against integration over the contrast by brute force."""

import numpy as np
import pytest
import torch

from cryoscape.engines.subspace.posterior import posterior

Q, N, D = 3, 6, 12


def random_problem(seed: int = 0, scale: float = 0.6):
    """Real vectors: mean map (N, D), bases (N, D, Q) and images of them in noise of variance 1."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(N, D)) * 2 * scale
    bases = rng.normal(size=(N, D, Q)) * scale
    z, a = rng.normal(size=(N, Q)), rng.normal(1, 0.3, N)
    image = a[:, None] * (mean + np.einsum("ndq,nq->nd", bases, z)) + rng.normal(size=(N, D))
    return mean, bases, image


def gram(mean, bases, image):
    vectors = np.concatenate([mean[..., None], bases, image[..., None]], axis=-1)
    return torch.from_numpy(np.einsum("ndi,ndj->nij", vectors, vectors))


def dense(mean, bases, image, a: float):
    """Posterior of z and log density of the image (less pure noise), for one image and contrast."""
    covariance = np.eye(D) + a**2 * bases @ bases.T
    rest = image - a * mean
    gain = a * bases.T @ np.linalg.inv(covariance)
    log = -0.5 * (rest @ np.linalg.solve(covariance, rest) + np.linalg.slogdet(covariance)[1])
    return gain @ rest, np.eye(Q) - a * gain @ bases, log + 0.5 * image @ image


def test_fixed_contrast_is_gaussian_algebra() -> None:
    mean, bases, image = random_problem()
    found = posterior(gram(mean, bases, image))
    for i in range(N):
        z, covariance, log = dense(mean[i], bases[i], image[i], 1.0)
        alone = 0.5 * (image[i] @ image[i] - ((image[i] - mean[i]) ** 2).sum())
        one = np.concatenate([[1], z])
        squares = np.outer(one, one)
        squares[1:, 1:] += covariance
        np.testing.assert_allclose(found.mean[i], z, atol=1e-5)
        np.testing.assert_allclose(found.covariance[i], covariance, atol=1e-6)
        np.testing.assert_allclose(found.log_likelihood[i], log, rtol=1e-5)
        np.testing.assert_allclose(found.information[i], log - alone, atol=1e-4)
        np.testing.assert_allclose(found.weighted[i], one, atol=1e-5)
        np.testing.assert_allclose(found.weighted_squares[i], squares, atol=1e-5)
    assert found.contrast.tolist() == [1.0] * N
    assert found.contrast_variance.abs().max() < 1e-12


@pytest.mark.parametrize(("spread", "scale"), [(0.1, 0.6), (0.3, 0.6), (0.3, 2.0), (0.2, 0.1)])
def test_free_contrast_is_the_integral_over_it(spread: float, scale: float) -> None:
    mean, bases, image = random_problem(seed=1, scale=scale)
    found = posterior(gram(mean, bases, image), spread)
    points = np.linspace(0.02, 1 + 8 * spread, 4001)
    log_prior = -((points - 1) ** 2) / (2 * spread**2) - np.log(spread * np.sqrt(2 * np.pi))
    log_prior += np.log(points[1] - points[0])
    for i in range(N):
        parts = [dense(mean[i], bases[i], image[i], a) for a in points]
        z, own = np.array([p[0] for p in parts]), np.array([p[1] for p in parts])
        joint = log_prior + np.array([p[2] for p in parts])
        weight = np.exp(joint - joint.max())
        total = np.log(weight.sum()) + joint.max()
        weight /= weight.sum()
        alone = log_prior + points * (mean[i] @ image[i]) - points**2 / 2 * (mean[i] @ mean[i])
        one = np.concatenate([np.ones((len(points), 1)), z], axis=1)
        second = one[:, :, None] * one[:, None]
        second[:, 1:, 1:] += own
        expected_mean, contrast = weight @ z, weight @ points
        second_moment = np.einsum("a,aij->ij", weight, second)
        covariance = second_moment[1:, 1:] - np.outer(expected_mean, expected_mean)
        np.testing.assert_allclose(found.contrast[i], contrast, atol=3e-3)
        np.testing.assert_allclose(found.contrast_variance[i], weight @ points**2 - contrast**2, atol=1e-3)
        np.testing.assert_allclose(found.mean[i], expected_mean, atol=5e-3)
        np.testing.assert_allclose(found.covariance[i], covariance, atol=5e-3)
        np.testing.assert_allclose(found.weighted[i], (weight * points) @ one, atol=5e-3)
        squares = np.einsum("a,aij->ij", weight * points**2, second)
        np.testing.assert_allclose(found.weighted_squares[i], squares, rtol=5e-3, atol=1e-2)
        np.testing.assert_allclose(found.log_likelihood[i], total, atol=2e-2)
        information = total - np.logaddexp.reduce(alone)
        np.testing.assert_allclose(found.information[i], information, atol=5e-2)


def test_a_narrow_prior_of_the_contrast_is_a_fixed_one() -> None:
    moments = gram(*random_problem())
    fixed, narrow = posterior(moments), posterior(moments, 1e-4)
    torch.testing.assert_close(narrow.mean, fixed.mean, rtol=0, atol=1e-3)
    torch.testing.assert_close(narrow.information, fixed.information, rtol=0, atol=1e-3)


def test_fewer_components_are_those_of_a_smaller_problem() -> None:
    mean, bases, image = random_problem()
    found = posterior(gram(mean, bases, image), 0.2, n_components=2)
    alone = posterior(gram(mean, bases[..., :2], image), 0.2)
    for name in ("mean", "covariance", "information", "weighted_squares"):
        torch.testing.assert_close(getattr(found, name), getattr(alone, name))


def test_without_bases_there_is_nothing_to_gain() -> None:
    found = posterior(gram(*random_problem()), 0.2, n_components=0)
    assert found.mean.shape == (N, 0)
    assert float(found.information.abs().max()) < 1e-6


def test_a_basis_that_no_image_shows_keeps_its_prior() -> None:
    mean, bases, image = random_problem()
    bases[..., 1] = 0
    found = posterior(gram(mean, bases, image), 0.2)
    np.testing.assert_allclose(found.mean[:, 1], 0, atol=1e-6)
    np.testing.assert_allclose(found.covariance[:, 1, 1], 1, atol=1e-6)


def test_information_rewards_on_average_the_model_that_made_the_images() -> None:
    """The mean log density ratio of the true model to a wrong one is a divergence: positive."""
    rng = np.random.default_rng(5)
    n = 4000
    mean, bases = np.ones((n, D)), np.tile(rng.normal(size=(D, 1)), (n, 1, 1))
    noise, z = rng.normal(size=(n, D)), rng.normal(size=n)
    with_basis = mean + bases[..., 0] * z[:, None] + noise
    assert float(posterior(gram(mean, bases, with_basis)).information.mean()) > 0.5
    assert float(posterior(gram(mean, bases, mean + noise)).information.mean()) < -0.1


def test_misfit_is_standard_for_particles_and_large_for_noise() -> None:
    rng = np.random.default_rng(6)
    n, spread = 4000, 0.1
    mean, bases = np.tile(rng.normal(size=D) * 2, (n, 1)), np.tile(rng.normal(size=(D, 2)), (n, 1, 1))
    noise = rng.normal(size=(n, D))
    z = rng.normal(size=(n, 2))
    a = rng.normal(1, spread, n)
    particles = a[:, None] * (mean + np.einsum("ndq,nq->nd", bases, z)) + noise
    found = posterior(gram(mean, bases, particles), spread).misfit
    assert abs(float(found.mean())) < 0.1
    assert float(found.std()) == pytest.approx(1, abs=0.1)
    score = float(posterior(gram(mean, bases, noise), spread).misfit.mean())
    power = (mean[0] ** 2).sum()
    heterogeneity = ((bases[0].T @ mean[0]) ** 2).sum()
    assert score == pytest.approx(power / np.sqrt(power + spread**2 * power**2 + heterogeneity), rel=0.1)
