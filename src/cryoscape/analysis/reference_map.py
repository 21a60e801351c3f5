"""Compare a map with a reference: whether it shows the same, in the same hand and sign."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.physics.fsc import fourier_shell_correlation
from cryoscape.physics.grids import flip_hand
from cryoscape.physics.masks import soft_sphere


@dataclass(frozen=True)
class ReferenceMatch:
    """Agreement with a reference.

    Attributes
    ----------
    same, mirrored : mean FSC, shells 2 to ``last_shell``, with the reference and with its mirror image.
    curve : FSC with the better of the two.
    last_shell : where the half maps agree to 0.5.
    """

    same: float
    mirrored: float
    curve: Float[Tensor, " s"]
    last_shell: int


def match_reference(
    volume: Float[Tensor, "z y x"], reference: Float[Tensor, "z y x"], last_shell: int
) -> ReferenceMatch:
    """Correlate a map with a reference on the same grid and with its mirror image, both in a sphere.

    Negative values: the density of one of them is inverted.
    """
    box = volume.shape[-1]
    sphere = soft_sphere(box, 0.85 * box / 2, 0.1 * box / 2, volume.device).to(volume)
    last = min(max(last_shell, 4), box // 2)
    both = torch.stack([reference, flip_hand(reference)]) * sphere
    curves = fourier_shell_correlation((volume * sphere).expand_as(both), both)
    same, mirrored = (float(curve[2 : last + 1].mean()) for curve in curves)
    return ReferenceMatch(same, mirrored, curves[int(abs(mirrored) > abs(same))], last)
