"""Mean and bases at full resolution for latents that are given, by the same regularised least squares."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.distributed import sum_over_processes
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.noise import total_power
from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.em import extrapolate_power, next_power
from cryoscape.engines.subspace.equations import Block, NormalEquations, solve_maps
from cryoscape.engines.subspace.final import full_maps, in_image_units
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.mean_map import mean_maps
from cryoscape.engines.subspace.passes import measure_noise
from cryoscape.engines.subspace.start import support_at, whole_mask
from cryoscape.engines.subspace.support import Support
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.physics.smooth_reading import volume_to_smooth_grid

_PRIOR_RADIUS, _PRIOR_ROUNDS = 32, 4
_GUESS, _LEAST_SHARE = 0.05, 0.1
"""Power of a basis: first guess, of the mean map's, and least share of their average."""


def maps_for_latents(
    store: FourierStore,
    z: Float[np.ndarray, "n q"],
    covariance: Float[np.ndarray, "n q q"] | None = None,
    mask: Float[Tensor, "z y x"] | None = None,
) -> LinearMaps:
    """Mean and bases at full resolution for latents that are given, by the same regularised least squares.

    Parameters
    ----------
    z
        Of each image of the store; q may be 0.
    covariance
        Of z; default none.
    mask
        Where maps may differ; default the surroundings of the mean map.
    """
    whole = whole_mask(store, SubspaceConfig(), mask)
    change, t, tt = _whitened_moments(z, covariance)
    t, tt = t.to(store.device), tt.to(store.device)
    first = min(_PRIOR_RADIUS, store.box_size // 2 - 1)
    images, support = Images(store, first), support_at(whole, first)
    means, power = mean_maps(images, support, total_power(store))
    noise = total_power(store)
    measured = measure_noise(images, means[:, None], support, t[:, :1], tt[:, :1, :1])
    noise[: len(measured)] = measured
    prior = _prior_for(images, support, means, power, noise, t, tt)

    radius = store.box_size // 2 - 1
    images, support = Images(store, radius), support_at(whole, radius)
    means, power = mean_maps(images, support, noise)
    prior = extrapolate_power(prior, power)
    maps = full_maps(images, means.mean(0, keepdim=True), prior, support, noise, t, tt)[0]
    return in_image_units(torch.einsum("ij,jzyx->izyx", change.to(maps), maps), store)


def _prior_for(
    images: Images, support: Support, means: Tensor, power: Tensor, noise: Tensor, t: Tensor, tt: Tensor
) -> Float[Tensor, "s n"]:
    """Prior power of maps for given latents, from what two half sets have in common."""
    n = t.shape[1]
    halves = [NormalEquations(support.grid, n, volume_to_smooth_grid(mean, support.grid)) for mean in means]
    for rows in images.blocks():
        block = Block(*images.read(rows), t[rows], tt[rows])
        halves[int(images.half[rows[0]])].add(block, images.k, noise[images.shells])
    sum_over_processes(*(half.sums for half in halves))
    prior = power[:, None] * torch.cat([torch.ones(1), torch.full((n - 1,), _GUESS)]).to(power)
    for _ in range(_PRIOR_ROUNDS):
        solved = [solve_maps(half, mean, support, prior) for half, mean in zip(halves, means, strict=True)]
        prior = next_power(solved, support, prior, _LEAST_SHARE)
    return prior


def _whitened_moments(z: np.ndarray, covariance: np.ndarray | None) -> tuple[Tensor, Tensor, Tensor]:
    """Moments of u with z = centre + root u of covariance I, and the change of maps from u to z.

    Mean + sum u_j C_j is mean' + sum z_j B_j with B = root^-T C and mean' = mean - centre . B.
    """
    latents = torch.from_numpy(z).double()
    q, centre = z.shape[1], latents.mean(0)
    own = torch.zeros(len(z), q, q).double() if covariance is None else torch.from_numpy(covariance).double()
    spread = (latents - centre).T @ (latents - centre) / len(z) + own.mean(0)
    root = torch.linalg.cholesky(spread + 1e-9 * torch.eye(q).double())
    inverse = torch.linalg.inv(root) if q else root
    u = (latents - centre) @ inverse.T
    t = torch.cat([torch.ones(len(z), 1).double(), u], dim=1)
    tt = t[:, :, None] * t[:, None]
    tt[:, 1:, 1:] += inverse @ own @ inverse.T
    change = torch.eye(q + 1, dtype=torch.float64)
    change[1:, 1:] = inverse.T
    change[0, 1:] = -(inverse @ centre)
    return change.float(), t.float(), tt.float()
