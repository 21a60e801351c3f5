"""The mean map: the same least squares with one map and every image alike."""

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.distributed import sum_over_processes
from cryoscape.engines.subspace.equations import Block, NormalEquations, solve_maps
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.support import Support

_ROUNDS = 4
_FIRST_PRECISION = 1e-3


def mean_maps(
    images: Images, support: Support, noise: Float[Tensor, " all"]
) -> tuple[Float[Tensor, "2 z y x"], Float[Tensor, " s"]]:
    """Reconstruct the mean map of each half set; its prior power is estimated in a few rounds.

    Returns
    -------
    Maps (2, b, b, b) in the mask, and E |F|^2 a shell.
    """
    nothing = torch.zeros_like(support.mask)
    base = support.grid.zeros(1, device=nothing.device)
    equations = [NormalEquations(support.grid, 1, base) for _ in range(2)]
    for rows in images.blocks():
        one = torch.ones(len(rows), 1, device=rows.device)
        block = Block(*images.read(rows), one, one[:, :, None])
        equations[int(images.half[rows[0]])].add(block, images.k, noise[images.shells])
    sum_over_processes(*(half.sums for half in equations))
    return solved_means(equations, nothing[None].expand(2, -1, -1, -1), support)


def solved_means(
    equations: list[NormalEquations], bases: Float[Tensor, "2 z y x"], support: Support
) -> tuple[Float[Tensor, "2 z y x"], Float[Tensor, " s"]]:
    """Mean map of each half set and its prior power, from equations of the mean map alone.

    Parameters
    ----------
    bases
        Mean maps whose slices were taken off the images.
    """
    weight = (_shell_weight(equations[0], support) + _shell_weight(equations[1], support)) / 2
    power = support.calibration / (_FIRST_PRECISION * weight.clamp(min=1e-12))[:, None]
    power[0] = power[1]  # no image tells of shell 0
    for _ in range(_ROUNDS):
        halves = [solve_maps(half, base, support, power) for half, base in zip(equations, bases, strict=True)]
        found = sum(support.power(half.maps) + half.covariance[:, :1, 0] for half in halves)
        power = torch.as_tensor(found) / 2
    return torch.cat([half.maps for half in halves]), power[:, 0]


def _shell_weight(equations: NormalEquations, support: Support) -> Float[Tensor, " s"]:
    """Data weight of the mean map, averaged over the voxels of each shell."""
    weights = torch.zeros(support.grid.n_voxels, 1, device=equations.sums.device)
    position = equations.positions()
    real = position >= 0
    weights[position[real], 0] = equations.sums[real, 2 * equations.n]
    return support.shell_sums(weights)[:, 0] / support.counts
