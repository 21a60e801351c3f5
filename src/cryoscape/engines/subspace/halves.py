"""What two half sets that know nothing of each other have in common: coordinates, and where maps differ."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.subspace.support import Support
from cryoscape.physics.fourier import crop_volume

_SMOOTHING_VOXELS = 2.0
"""About one period of the highest frequency in use: maps have two voxels for it."""
_LEAST_FOCUS = 0.02


def common_coordinates(maps: Float[Tensor, "2 n z y x"]) -> Float[Tensor, "2 n n"]:
    """Rotations of the latents of each half set after which their bases correspond, most alike first.

    The second half is turned onto the first (orthogonal Procrustes, Schoenemann 1966), then both so that the
    product of their bases is diagonal. Latents are standard normal, so turning them changes no model.
    """
    first, second = maps[:, 1:].flatten(2).double()
    u, _, vt = torch.linalg.svd(first @ second.T)
    turn = u @ vt
    product = first @ (turn @ second).T
    _, vectors = torch.linalg.eigh((product + product.T) / 2)
    sort = vectors.flip(1).T
    changes = torch.eye(maps.shape[1], dtype=torch.float64, device=maps.device).repeat(2, 1, 1)
    changes[0, 1:, 1:], changes[1, 1:, 1:] = sort, sort @ turn
    return changes.to(maps)


def agreement(maps: Float[Tensor, "2 n z y x"]) -> Float[Tensor, " q"]:
    """Correlation of each basis between the half sets."""
    first, second = maps[:, 1:].flatten(2).double()
    size = (first.norm(dim=1) * second.norm(dim=1)).clamp(min=1e-30)
    return ((first * second).sum(1) / size).float()


def local_agreement(maps: Float[Tensor, "2 n z y x"]) -> Float[Tensor, "z y x"]:
    """Share of the power of the bases about each voxel that both half sets found, 0.02 to 1.

    The Wiener filter of one half set in real space, the same for all bases: where nothing moves, bases hold
    noise alone.
    """
    first, second = maps[:, 1:]
    common = _smooth((first * second).sum(0))
    power = _smooth((first**2 + second**2).sum(0) / 2)
    least = 1e-9 * power.max().clamp(min=1e-30)
    return (common / torch.maximum(power, least)).clamp(_LEAST_FOCUS, 1)


def focused(support: Support, maps: Float[Tensor, "2 n z y x"]) -> Support:
    """The support with bases confined to where those of maps (in any box) agree."""
    agreement = local_agreement(maps)
    if agreement.shape[-1] != support.box:
        agreement = crop_volume(agreement, support.box).clamp(0, 1)
    return replace(support, focus=agreement)


def _smooth(volume: Float[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
    axis = torch.fft.fftfreq(volume.shape[-1], device=volume.device) ** 2
    half = torch.fft.rfftfreq(volume.shape[-1], device=volume.device) ** 2
    squared = axis[:, None, None] + axis[:, None] + half
    kernel = torch.exp(-2 * (torch.pi * _SMOOTHING_VOXELS) ** 2 * squared)
    return torch.fft.irfftn(torch.fft.rfftn(volume) * kernel, s=volume.shape)
