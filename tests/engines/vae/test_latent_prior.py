import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from cryoscape.engines.vae.latent_prior import LatentPrior, improve, place


def moments_of(z, n_values=40, seed=0):
    """Images of 1 + q random maps plus unit noise: rows of a regression, and their Gram matrices."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(len(z), n_values, z.shape[1] + 1, generator=generator, dtype=torch.float64)
    known = torch.cat([torch.ones(len(z), 1, dtype=z.dtype), z], dim=1)
    image = torch.einsum("npm,nm->np", maps, known)
    image += torch.randn(image.shape, generator=generator, dtype=torch.float64)
    rows = torch.cat([maps, image[..., None]], dim=2)
    return rows.transpose(1, 2) @ rows


def test_likelihood_integrates_over_the_contrast():
    g = moments_of(torch.tensor([[0.4]], dtype=torch.float64)) / 4
    prior = LatentPrior(torch.tensor([[0.3]], dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    known = np.array([1.0, 0.3])
    image, power = known @ g[0, :2, 2].numpy(), known @ g[0, :2, :2].numpy() @ known
    spread = 0.2

    def density(a):
        normal = math.exp(-((a - 1) ** 2) / (2 * spread**2)) / (spread * math.sqrt(2 * math.pi))
        return math.exp(a * image - a * a * power / 2) * normal

    expected = math.log(quad(density, -1, 3)[0])
    assert float(place(g, prior, spread).log_likelihood[0]) == pytest.approx(expected, rel=1e-6)


def test_points_move_to_where_the_latents_are_and_likelihood_rises():
    centres = torch.tensor([[-1.5, 0.5], [1.0, -1.0]], dtype=torch.float64)
    g = moments_of(centres[torch.arange(400) % 2])
    prior = LatentPrior(0.5 * centres, torch.full((2,), 0.5, dtype=torch.float64))
    before = float(place(g, prior, 0.05).log_likelihood.mean())
    for _ in range(20):
        prior = improve(g, prior, 0.05)
    assert float(place(g, prior, 0.05).log_likelihood.mean()) > before
    torch.testing.assert_close(prior.points, centres, atol=0.05, rtol=0)
