"""Likelihoods at coefficients against another implementation, numerical integrals and closed forms."""

import numpy as np
import pytest
import torch

from cryoscape.engines.manifold.likelihood import linear_model, moments
from cryoscape.engines.states.evidence import likelihoods
from engines.manifold.conftest import draw_evidence

POWER = np.array([40.0, 9.0, 4.0, 1.0])


def standard_normal(n: int, q: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, q))


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_points_of_each_image_agree_with_points_common_to_all(spread: float) -> None:
    known = draw_evidence(standard_normal(20, 3), POWER, spread)
    points = torch.from_numpy(standard_normal(7, 3, 2)).float()
    expected = likelihoods(known.evidence, points)
    found = moments(known.evidence).fit(points[:, None].expand(-1, 20, -1))
    torch.testing.assert_close(found.log_likelihood.T, expected.log, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(found.contrast.T, expected.contrast)
    torch.testing.assert_close(found.contrast_variance.T, expected.contrast_variance)


def test_contrast_is_integrated_out() -> None:
    spread = 0.2
    known = draw_evidence(standard_normal(5, 3), POWER, spread)
    found = moments(known.evidence).fit(known.coefficients[None])
    v = np.concatenate([np.ones((5, 1)), known.coefficients.double().numpy()], axis=1)
    gram, image = known.moments[:, :-1, :-1].double().numpy(), known.moments[:, :-1, -1].double().numpy()
    power, product = np.einsum("bi,bij,bj->b", v, gram, v), (image * v).sum(1)
    a = np.linspace(-1, 3, 40001)
    density = np.exp(-((a - 1) ** 2) / (2 * spread**2)) / (spread * np.sqrt(2 * np.pi))
    for b in range(5):
        integrand = np.exp(a * product[b] - a**2 * power[b] / 2) * density
        total = integrand.sum() * (a[1] - a[0])
        assert float(found.log_likelihood[0, b]) == pytest.approx(np.log(total), abs=1e-3)
        mean = (integrand * a).sum() * (a[1] - a[0]) / total
        assert float(found.contrast[0, b]) == pytest.approx(mean, abs=1e-4)


def test_the_linear_model_has_its_closed_form() -> None:
    known = draw_evidence(standard_normal(30, 3), POWER)
    g = known.moments.double().numpy()
    found = linear_model(known.evidence)
    for b in range(30):
        precision = np.eye(3) + g[b, 1:4, 1:4]
        right = g[b, 1:4, 4] - g[b, 1:4, 0]
        mean = np.linalg.solve(precision, right)
        alone = g[b, 0, 4] - g[b, 0, 0] / 2
        whole = alone + (right @ mean - np.linalg.slogdet(precision)[1]) / 2
        np.testing.assert_allclose(found.features[b, :3], mean, atol=1e-4)
        variance = np.log(np.diag(np.linalg.inv(precision)))
        np.testing.assert_allclose(found.features[b, 3:6], variance, atol=1e-4)
        assert float(found.log_likelihood[b]) == pytest.approx(whole, abs=1e-3)
        assert float(found.alone[b]) == pytest.approx(alone, abs=1e-3)
    assert (found.features[:, 6] == 1).all()
