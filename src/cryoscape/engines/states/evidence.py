"""All that images say of states within a subspace: the likelihood of each image at any point of it.

An image's log-likelihood at coordinates c and contrast a is a g.v - a^2 v^T G v / 2 with v = (1, c), from the
moments of `subspace.moments`. So one pass over the images serves any number of mixtures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.engines.distributed import sum_over_processes
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.moments import image_moments
from cryoscape.engines.subspace.posterior import posterior
from cryoscape.engines.subspace.readable import readable
from cryoscape.engines.subspace.support import Support


@dataclass(frozen=True)
class Evidence:
    """Moments of each image with mean and bases of the half set that it is not in.

    Attributes
    ----------
    gram : (N, m (m + 1) / 2), upper triangle of G row by row, for m = q + 1 maps; off-diagonals doubled.
    image : (N, m), product of each map with the image.
    contrast_spread : standard deviation of the contrast about 1; 0 where it is fixed.
    """

    gram: Float[Tensor, "n t"]
    image: Float[Tensor, "n m"]
    contrast_spread: float

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.image)

    @property
    def zdim(self) -> int:
        """Dimension of the subspace, q."""
        return self.image.shape[1] - 1

    @cached_property
    def pairs(self) -> Int[Tensor, "2 t"]:
        """Row and column of each number of ``gram``."""
        m = self.image.shape[1]
        return torch.triu_indices(m, m, device=self.image.device)

    def of(self, rows: Int[Tensor, " r"]) -> "Evidence":
        """Evidence of some images."""
        return Evidence(self.gram[rows], self.image[rows], self.contrast_spread)


@dataclass(frozen=True)
class Likelihoods:
    """Of each image at each of K points; contrast integrated out.

    Attributes
    ----------
    log : (N, K), natural logarithm, less that of an image of pure noise.
    contrast, contrast_variance : (N, K), posterior of the contrast given the point.
    """

    log: Float[Tensor, "n k"]
    contrast: Float[Tensor, "n k"]
    contrast_variance: Float[Tensor, "n k"]


@dataclass(frozen=True)
class Reading:
    """What one pass over the images leaves.

    Attributes
    ----------
    z : (N, q), latents if the subspace alone is believed.
    misfit : (N,), see `subspace.posterior.Posterior`.
    """

    evidence: Evidence
    z: Float[Tensor, "n q"]
    misfit: Float[Tensor, " n"]


def packed(moments: Float[Tensor, "n m m"], contrast_spread: float) -> Evidence:
    """Evidence from moments of (mean map, q bases, image)."""
    m = moments.shape[-1] - 1
    i, j = torch.triu_indices(m, m, device=moments.device)
    twice = torch.where(i == j, 1.0, 2.0).to(moments)
    return Evidence(moments[:, i, j] * twice, moments[:, :m, m].contiguous(), contrast_spread)


def read_images(
    images: Images,
    maps: Float[Tensor, "h m z y x"],
    support: Support,
    noise: Float[Tensor, " s"],
    contrast_spread: float,
    update: Callable[[int], None] = lambda done: None,
) -> Reading:
    """Read all images once; several processes share them, and each knows all in the end.

    Parameters
    ----------
    maps
        Mean and bases of the two half sets, in the same coordinates.
    noise
        Variance a shell.
    update
        Called with the number of images done.
    """
    values = [readable(half, support.grid) for half in maps]
    m, n = maps.shape[1], images.store.n
    gram = torch.zeros(n, m * (m + 1) // 2, device=maps.device)
    image, z = torch.zeros(n, m, device=maps.device), torch.zeros(n, m - 1, device=maps.device)
    misfit, done = torch.zeros(n, device=maps.device), 0
    for rows in images.blocks():
        other = values[1 - int(images.half[rows[0]])]
        moments = image_moments(other, *images.read(rows), images.k, noise[images.shells])
        part = packed(moments, contrast_spread)
        gram[rows], image[rows] = part.gram, part.image
        found = posterior(moments, contrast_spread)
        z[rows], misfit[rows] = found.mean, found.misfit
        done += len(rows)
        update(done)
    sum_over_processes(gram, image, z, misfit)  # each image is read by one process, and is 0 in the others
    return Reading(Evidence(gram, image, contrast_spread), z, misfit)


def likelihoods(evidence: Evidence, points: Float[Tensor, "k q"]) -> Likelihoods:
    """Evaluate all images at all points.

    With contrast a ~ N(1, s^2) the integral is closed: precision p = v^T G v + 1 / s^2, mean
    (g.v + 1 / s^2) / p.
    """
    v = torch.cat([torch.ones(len(points), 1, device=points.device), points.float()], dim=1)
    i, j = evidence.pairs
    product = evidence.image @ v.T
    power = (evidence.gram @ (v[:, i] * v[:, j]).T).clamp(min=0)
    if evidence.contrast_spread <= 0:
        one = torch.ones_like(product)
        return Likelihoods(product - power / 2, one, torch.zeros_like(one))
    prior = evidence.contrast_spread**-2
    precision = power + prior
    contrast = (product + prior) / precision
    # contrast^2 precision / 2 - prior / 2, without the difference of large numbers
    excess = ((product - power) * (1 + contrast) + power) / 2
    return Likelihoods(excess - (precision / prior).log() / 2, contrast, 1 / precision)
