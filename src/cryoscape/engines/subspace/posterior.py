"""Exact posterior of latent and contrast of each image, from its moments.

Image = a C P (mean + sum z_j basis_j) + noise with z ~ N(0, I) and contrast a ~ N(1, s^2). Given a, z is
Gaussian with precision I + a^2 G_BB and mean (I + a^2 G_BB)^-1 a (G_By - a G_B0). In the eigenbasis of G_BB
this is one division a component, so the integral over a is done on points about its maximum.
"""

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.subspace.threads import even_shares, in_threads

_COARSE, _FINE = 15, 7
_REACH = 3.5
_LEAST_CONTRAST = 0.02


@dataclass(frozen=True)
class Posterior:
    """What images say of their latents; contrast integrated out.

    Attributes
    ----------
    mean, covariance : (N, q) and (N, q, q), of z.
    information : (N,) log-likelihood gained over the mean map alone, natural logarithm.
    log_likelihood : (N,) of the image, less that of an image of pure noise.
    contrast : (N,) mean.
    contrast_variance : (N,)
    misfit : (N,) how many standard deviations the image's product with the mean map falls short of the mean
        map's own: about 0 for particles, large for junk.
    weighted : (N, q + 1) E[a (1, z)].
    weighted_squares : (N, q + 1, q + 1) E[a^2 (1, z) (1, z)^T].
    """

    mean: Float[Tensor, "n q"]
    covariance: Float[Tensor, "n q q"]
    information: Float[Tensor, " n"]
    log_likelihood: Float[Tensor, " n"]
    contrast: Float[Tensor, " n"]
    contrast_variance: Float[Tensor, " n"]
    misfit: Float[Tensor, " n"]
    weighted: Float[Tensor, "n m"]
    weighted_squares: Float[Tensor, "n m m"]

    def of(self, rows: Int[Tensor, " r"] | Bool[Tensor, " n"]) -> "Posterior":
        """Posteriors of some images."""
        return Posterior(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class _Eigenbasis:
    """G_BB = Q diag(values) Q^T, and the other moments in its basis."""

    values: Tensor
    vectors: Tensor
    mean: Tensor  # Q^T G_B0
    image: Tensor  # Q^T G_By
    mean_power: Tensor  # G_00
    mean_image: Tensor  # G_0y


def posterior(
    moments: Float[Tensor, "n m m"], contrast_spread: float = 0.0, n_components: int | None = None
) -> Posterior:
    """Compute posteriors; moments of (mean map, q bases, image), see `moments.image_moments`.

    Parameters
    ----------
    contrast_spread
        Standard deviation s of the contrast; 0 fixes it at 1.
    n_components
        Use only the first so many bases.
    """
    q = moments.shape[-1] - 2 if n_components is None else n_components
    basis = _eigenbasis(moments.double(), q)
    a, log_prior = _contrast_points(basis, contrast_spread)
    precision = 1 + a[..., None] ** 2 * basis.values[:, None]
    right = a[..., None] * (basis.image[:, None] - a[..., None] * basis.mean[:, None])
    mean = right / precision
    joint = log_prior + _log_likelihood(basis, a, right, precision)
    weight = torch.softmax(joint, dim=1)
    alone = log_prior + _of_mean_alone(basis, a)
    likelihood = torch.logsumexp(joint, dim=1)

    contrast = (weight * a).sum(1)
    variance = (weight * a**2).sum(1) - contrast**2
    z = torch.einsum("na,naq->nq", weight, mean)
    az, aaz = (torch.einsum("na,naq->nq", weight * a**power, mean) for power in (1, 2))
    inner = torch.einsum("na,nap,naq->npq", weight, mean, mean)
    inner += torch.diag_embed(torch.einsum("na,naq->nq", weight, 1 / precision))
    outer = torch.einsum("na,nap,naq->npq", weight * a**2, mean, mean)
    outer += torch.diag_embed(torch.einsum("na,naq->nq", weight * a**2, 1 / precision))
    vectors, turned = basis.vectors, basis.vectors.transpose(1, 2)

    def back(x: Tensor) -> Tensor:
        return torch.einsum("npq,nq->np", vectors, x)

    squares = moments.new_empty(len(z), q + 1, q + 1, dtype=torch.float64)
    squares[:, 0, 0] = (weight * a**2).sum(1)
    squares[:, 0, 1:] = squares[:, 1:, 0] = back(aaz)
    squares[:, 1:, 1:] = vectors @ outer @ turned
    return Posterior(
        mean=back(z).float(),
        covariance=(vectors @ (inner - z[:, :, None] * z[:, None]) @ turned).float(),
        information=(likelihood - torch.logsumexp(alone, dim=1)).float(),
        log_likelihood=likelihood.float(),
        contrast=contrast.float(),
        contrast_variance=variance.clamp(min=0).float(),
        misfit=_misfit(basis, contrast_spread).float(),
        weighted=torch.cat([contrast[:, None], back(az)], dim=1).float(),
        weighted_squares=squares.float(),
    )


def _eigenbasis(g: Tensor, q: int) -> _Eigenbasis:
    values, vectors = _eigh(g[:, 1 : q + 1, 1 : q + 1])
    turned = vectors.transpose(1, 2)
    return _Eigenbasis(
        values.clamp(min=0),
        vectors,
        torch.einsum("npq,nq->np", turned, g[:, 1 : q + 1, 0]),
        torch.einsum("npq,nq->np", turned, g[:, 1 : q + 1, -1]),
        g[:, 0, 0],
        g[:, 0, -1],
    )


def _eigh(g: Float[Tensor, "n q q"]) -> tuple[Float[Tensor, "n q"], Float[Tensor, "n q q"]]:
    """Eigenvalues and eigenvectors; on a CPU the library itself takes one matrix after the other."""
    if g.device.type != "cpu" or not len(g):
        return torch.linalg.eigh(g)
    values, vectors = g.new_empty(g.shape[:-1]), torch.empty_like(g, memory_format=torch.contiguous_format)

    def some(first: int, last: int) -> None:
        values[first:last], vectors[first:last] = torch.linalg.eigh(g[first:last])

    in_threads(some, even_shares(len(g)))
    return values, vectors


def _misfit(basis: _Eigenbasis, spread: float) -> Tensor:
    power = basis.mean_power.clamp(min=1e-12)
    heterogeneity = (basis.mean**2).sum(-1)
    variance = power + spread**2 * power**2 + heterogeneity
    return (power - basis.mean_image) / variance.sqrt()


def _of_mean_alone(basis: _Eigenbasis, a: Tensor) -> Tensor:
    return a * basis.mean_image[:, None] - a**2 / 2 * basis.mean_power[:, None]


def _log_likelihood(basis: _Eigenbasis, a: Tensor, right: Tensor, precision: Tensor) -> Tensor:
    gain = ((right**2 / precision) - precision.log()).sum(-1) / 2
    return _of_mean_alone(basis, a) + gain


def _contrast_points(basis: _Eigenbasis, spread: float) -> tuple[Tensor, Tensor]:
    """Contrasts (N, A) where the integral is summed, and the log of prior times step at each.

    First over the prior, then over the neighbourhood of the maximum found, as wide as its curvature tells.
    """
    n = len(basis.values)
    if spread <= 0:
        one = torch.ones(n, 1, dtype=torch.float64, device=basis.values.device)
        return one, torch.zeros_like(one)
    low, high = max(1 - _REACH * spread, _LEAST_CONTRAST), 1 + _REACH * spread
    coarse = torch.linspace(low, high, _COARSE, dtype=torch.float64, device=basis.values.device)
    a = coarse.expand(n, -1)
    right = a[..., None] * (basis.image[:, None] - a[..., None] * basis.mean[:, None])
    precision = 1 + a[..., None] ** 2 * basis.values[:, None]
    joint = _log_likelihood(basis, a, right, precision) - (a - 1) ** 2 / (2 * spread**2)
    top = joint.argmax(1).clamp(1, _COARSE - 2)
    step = (high - low) / (_COARSE - 1)
    before, at, after = (joint.gather(1, (top + shift)[:, None])[:, 0] for shift in (-1, 0, 1))
    curvature = ((2 * at - before - after) / step**2).clamp(min=1 / spread**2)
    centre = coarse[top] + ((after - before) / (2 * step) / curvature).clamp(-step, step)
    width = curvature.rsqrt()
    offsets = torch.linspace(-_REACH, _REACH, _FINE, dtype=torch.float64, device=a.device)
    fine = (centre[:, None] + width[:, None] * offsets).clamp(min=_LEAST_CONTRAST)
    log_prior = -((fine - 1) ** 2) / (2 * spread**2) - math.log(spread * math.sqrt(2 * math.pi))
    return fine, log_prior + (width[:, None] * (offsets[1] - offsets[0])).log()


def latent_table(found: Posterior, change: Float[Tensor, "n n"]) -> LatentTable:
    """Posteriors as a table, in the coordinates of maps changed by ``change``: (1, z') change = (1, z)."""
    inverse = torch.linalg.inv(change.double())[1:, 1:]
    z = (found.mean.double() - change[0, 1:].double()) @ inverse
    covariance = inverse.T @ found.covariance.double() @ inverse
    return LatentTable(
        mean=z.float().cpu().numpy(),
        covariance=covariance.float().cpu().numpy(),
        log_likelihood=found.information.cpu().numpy(),
        contrast=found.contrast.cpu().numpy(),
        junk_score=found.misfit.cpu().numpy(),
    )
