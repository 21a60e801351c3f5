"""Do poses, shifts and CTF fit the images? Each is tried against what it might wrongly be.

Half maps are made under each assumption, and every image is correlated with the projection of the map that
did not see it. Noise correlates with nothing, so the right assumption explains images best; the difference
between two assumptions is tested over particles, pair by pair.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryoscape.physics.backprojection import HalfSetAccumulator
from cryoscape.physics.grids import HalfPlane
from cryoscape.physics.masks import soft_sphere
from cryoscape.physics.slices import extract_slices
from cryoscape.physics.volume_grid import volume_to_grid

Assumption = Literal[
    "given",
    "poses of other particles",
    "inverse rotations",
    "mirrored images",
    "opposite shifts",
    "no CTF",
    "CTF of other particles",
]
_BATCH = 500


@dataclass(frozen=True)
class Observed:
    """Images and what is said of them.

    Attributes
    ----------
    plane : frequencies, up to an integer radius.
    coefficients : (N, P), content centred by the given shifts.
    ctf : (N, P)
    rotations : (N, 3, 3), volume frequency = k @ R.
    shift_fraction : (N, 2), (x, y) in box lengths by which content was moved.
    """

    plane: HalfPlane
    coefficients: Complex[Tensor, "n p"]
    ctf: Float[Tensor, "n p"]
    rotations: Float[Tensor, "n 3 3"]
    shift_fraction: Float[Tensor, "n 2"]


@dataclass(frozen=True)
class Trial:
    """How well images are explained under an assumption.

    Attributes
    ----------
    correlation
        Mean over particles of the correlation of an image with the projection of the other half's map.
    z_given
        How many standard errors the given values explain images better than this assumption does.
    """

    assumption: Assumption
    correlation: float
    z_given: float


def try_assumptions(observed: Observed, seed: int = 0) -> list[Trial]:
    """Score the given values and every other assumption that differs from them."""
    given = held_out_correlation(observed)
    trials = [Trial("given", float(given.mean()), 0.0)]
    for assumption, other in _alternatives(observed, seed).items():
        correlation = held_out_correlation(other)
        trials.append(Trial(assumption, float(correlation.mean()), _paired_z(given - correlation)))
    return trials


def _paired_z(difference: Float[Tensor, " n"]) -> float:
    spread = float(difference.std()) / len(difference) ** 0.5
    return float(difference.mean()) / max(spread, 1e-12)


def _alternatives(observed: Observed, seed: int) -> dict[Assumption, Observed]:
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(observed.rotations), generator=generator)
    mirror = torch.tensor([1.0, -1.0, 1.0]).to(observed.rotations)
    shift = observed.shift_fraction
    back_y = torch.stack([torch.zeros_like(shift[:, 1]), -2 * shift[:, 1]], dim=-1)
    found: dict[Assumption, Observed] = {
        "poses of other particles": replace(observed, rotations=observed.rotations[shuffled]),
        "inverse rotations": replace(observed, rotations=observed.rotations.transpose(1, 2)),
        # an image upside down has its ky reversed, and was centred the wrong way along y
        "mirrored images": replace(
            observed,
            rotations=observed.rotations * mirror[:, None],
            coefficients=_moved(observed, back_y),
        ),
    }
    if float(shift.abs().max()) * observed.plane.box_size > 0.1:
        found["opposite shifts"] = replace(observed, coefficients=_moved(observed, -2 * shift))
    if float((observed.ctf - 1).abs().max()) > 1e-3:
        found["no CTF"] = replace(observed, ctf=torch.ones_like(observed.ctf))
        if float((observed.ctf - observed.ctf[shuffled]).abs().mean()) > 0.02:
            found["CTF of other particles"] = replace(observed, ctf=observed.ctf[shuffled])
    return found


def _moved(observed: Observed, fraction: Float[Tensor, "n 2"]) -> Complex[Tensor, "n p"]:
    phase = -2 * torch.pi * fraction @ observed.plane.k.to(fraction).T
    return observed.coefficients * torch.polar(torch.ones_like(phase), phase)


def held_out_correlation(observed: Observed) -> Float[Tensor, " n"]:
    """Correlate each image with its projection from the map of the other half set.

    Frequencies are weighted by the inverse of the mean power of the images in their shell.
    """
    radius = int(observed.plane.radius[-1].round())
    half = torch.arange(len(observed.rotations), device=observed.rotations.device) % 2
    accumulator = HalfSetAccumulator(radius, device=observed.rotations.device)
    accumulator.add(observed.coefficients, observed.ctf, observed.rotations, observed.plane.k, half)
    found = accumulator.reconstruct(2 * radius)
    sphere = soft_sphere(2 * radius, 0.8 * radius, 0.2 * radius).to(found.full)
    weight = _inverse_power(observed)
    out = torch.zeros(len(half), device=half.device)
    for own, other in ((0, found.half_b), (1, found.half_a)):
        values = volume_to_grid(other * sphere, accumulator.grid)
        for rows in torch.split(torch.nonzero(half == own)[:, 0], _BATCH):
            rotations = observed.rotations[rows]
            read = extract_slices(values, accumulator.grid, rotations, observed.plane.k)[..., 0]
            out[rows] = _correlation(observed.coefficients[rows], read * observed.ctf[rows], weight)
    return out


def _correlation(
    a: Complex[Tensor, "b p"], b: Complex[Tensor, "b p"], weight: Float[Tensor, " p"]
) -> Float[Tensor, " b"]:
    cross = ((a * b.conj()).real * weight).sum(-1)
    power = (a.abs().square() * weight).sum(-1) * (b.abs().square() * weight).sum(-1)
    return cross / power.sqrt().clamp(min=1e-20)


def _inverse_power(observed: Observed) -> Float[Tensor, " p"]:
    shell: Int[Tensor, " p"] = observed.plane.radius.round().long().to(observed.ctf.device)
    power = observed.coefficients.abs().square().mean(0)
    total = torch.bincount(shell, weights=power) / torch.bincount(shell).clamp(min=1)
    return 1 / total[shell].clamp(min=1e-20).to(power)
