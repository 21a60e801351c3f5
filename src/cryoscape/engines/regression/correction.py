"""From sums to the correction of one map: Wiener filter a shell, and as many neighbours as pay a shell.

A particle farther away adds signal, but of another map. Which rings to take is asked of images not used: the
correction made from one half set, masked, is held against the nearest images of the other. With D and n the
sums of CTF x residual and CTF^2 over noise of those, a correction X takes 2 Re X* D - n |X|^2 off their
squared residual. It is used, shell by shell, where this is more than its own standard error.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.engines.subspace.em import smooth
from cryoscape.engines.subspace.support import Support

_LEAST_IMAGES = 50
"""In each half set, by which a correction may be judged."""
_NEIGHBOURING_SHELLS = 2


@dataclass(frozen=True)
class Correction:
    """Correction of one map.

    Attributes
    ----------
    maps : (3, b, b, b) from all images and from each half set.
    choice : (S,) rings used in each shell, 0 where the prediction stands alone.
    """

    maps: Float[Tensor, "3 z y x"]
    choice: Int[Tensor, " s"]


@dataclass(frozen=True)
class _Voxels:
    """Where sums lie in the grid, and in which shell."""

    used: Tensor
    position: Tensor
    shell: Tensor


def correct(
    sums: Float[Tensor, "2 v r 3"],
    positions: Int[Tensor, " v"],
    counts: Float[Tensor, "2 r"],
    support: Support,
) -> Correction:
    """Compute the correction from the sums of one map.

    Parameters
    ----------
    positions
        Voxel of the grid of each voxel of the sums, -1 for none.
    counts
        Images in each ring of each half set.
    """
    shell = torch.where(positions >= 0, support.shell[positions.clamp(min=0)], -1)
    used = torch.nonzero(shell >= 0)[:, 0]
    at = _Voxels(used, positions[used], shell[used])
    nested = sums[:, used].cumsum(2)
    within = counts.cumsum(1).min(0).values
    judges = torch.nonzero(within >= _LEAST_IMAGES)[:, 0]
    nothing = torch.zeros(3, *support.mask.shape)
    if not len(judges):
        return Correction(nothing, torch.zeros(support.n_shells, dtype=torch.int64))
    first = int(judges[0])
    near = nested[:, :, first]
    precisions, gains = [], []
    for number in range(first, sums.shape[2]):
        precision = _precision(nested[:, :, number], at, support)
        precisions.append(precision)
        gains.append(_held_out_gain(nested[:, :, number], near, precision, at, support))
    best = torch.stack(gains).max(0)
    choice = torch.where(best.values > 0, best.indices + 1, 0)
    both = torch.cat([nested.sum(0)[None], nested])
    spectra = torch.zeros(3, len(at.used), 2)
    for number, precision in enumerate(precisions):
        chosen = choice[at.shell] == number + 1
        if bool(chosen.any()):
            part = both[:, :, first + number][:, chosen]
            spectra[:, chosen] = _filtered(part, precision[at.shell[chosen]])
    maps = torch.cat([_to_maps(one, at, support) for one in spectra])
    return Correction(maps, torch.where(choice > 0, choice + first, 0))


def _filtered(sums: Float[Tensor, "h v 3"], precision: Float[Tensor, " v"]) -> Float[Tensor, "h v 2"]:
    return sums[..., :2] / (sums[..., 2:] + precision[:, None])


def _to_maps(values: Float[Tensor, "v 2"], at: _Voxels, support: Support) -> Float[Tensor, "1 z y x"]:
    spectrum = support.grid.zeros(1)
    spectrum[at.position, 0] = values
    return support.from_spectra(spectrum)


def _per_shell(values: Float[Tensor, " v"], at: _Voxels, support: Support) -> Float[Tensor, " s"]:
    sums = torch.zeros(support.n_shells, dtype=torch.float64)
    return sums.index_add_(0, at.shell, values.double())


def _precision(sums: Float[Tensor, "2 v 3"], at: _Voxels, support: Support) -> Float[Tensor, " s"]:
    """Prior precision from the power that two half sets have in common: E D_a* D_b = n_a n_b |signal|^2."""
    common = _per_shell((sums[0, :, :2] * sums[1, :, :2]).sum(-1), at, support)
    weight = _per_shell(sums[0, :, 2] * sums[1, :, 2], at, support)
    least = 1e-6 * (common / weight.clamp(min=1e-30)).abs().max().clamp(min=1e-30)
    smoothed = smooth(common[:, None])[:, 0] / smooth(weight[:, None])[:, 0].clamp(min=1e-30)
    return (support.calibration / torch.maximum(smoothed, least)).float()


def _held_out_gain(
    sums: Float[Tensor, "2 v 3"],
    near: Float[Tensor, "2 v 3"],
    precision: Float[Tensor, " s"],
    at: _Voxels,
    support: Support,
) -> Float[Tensor, " s"]:
    """What corrections of each half take off the nearest images of the other, less one standard error."""
    spectra = _filtered(sums, precision[at.shell])
    gain = torch.zeros(support.n_shells, dtype=torch.float64)
    variance = torch.zeros_like(gain)
    for own in range(2):
        masked = support.to_grid(_to_maps(spectra[own], at, support))[at.position, 0]
        other = near[1 - own]
        power = _per_shell(other[:, 2] * (masked**2).sum(-1), at, support)
        gain += 2 * _per_shell((masked * other[:, :2]).sum(-1), at, support) - power
        variance += 2 * power
    kernel = torch.ones(1, 1, 2 * _NEIGHBOURING_SHELLS + 1, dtype=torch.float64)
    pooled = torch.nn.functional.conv1d(
        torch.stack([gain, variance])[:, None], kernel, padding=_NEIGHBOURING_SHELLS
    )[:, 0]
    return pooled[0] - pooled[1].clamp(min=0).sqrt()
