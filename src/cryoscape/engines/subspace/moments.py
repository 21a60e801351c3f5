"""First pass: all that an image says of its latent, in one small matrix.

With v = (CTF x slice of each map, image) and noise variance s^2 a frequency, the matrix is G = 2 Re sum
conj(v_a) v_b / s^2. Posterior, likelihood and contrast of the image follow from it alone (`posterior`).
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryoscape.engines.subspace import kernels
from cryoscape.engines.subspace.readable import ReadableMaps
from cryoscape.engines.subspace.threads import even_shares, in_threads


def image_moments(
    maps: ReadableMaps,
    coefficients: Complex[Tensor, "b p"],
    ctf: Float[Tensor, "b p"],
    rotations: Float[Tensor, "b 3 3"],
    k: Tensor,
    noise_variance: Float[Tensor, " p"],
    mean_slices: Complex[Tensor, "b p"] | None = None,
) -> Float[Tensor, "b m m"]:
    """Compute G of each image, (B, n + 1, n + 1), for n maps; the image comes last.

    Parameters
    ----------
    coefficients, ctf, rotations
        Images at k (P, 2): volume frequency = k @ R.
    noise_variance
        E |noise|^2 of each frequency.
    mean_slices
        Gains the slices of the mean map, which the normal equations need too.
    """
    weight = (2 / noise_variance).sqrt()
    if maps.compiled:
        return _compiled(maps, coefficients, ctf, rotations, k, weight, mean_slices)
    slices = maps.slices(rotations, k)
    if mean_slices is not None:
        mean_slices.copy_(slices[..., 0])
    everything = torch.cat([slices * ctf[..., None], coefficients[..., None]], dim=-1) * weight[:, None]
    rows = torch.view_as_real(everything).permute(0, 1, 3, 2).flatten(1, 2)
    return rows.transpose(1, 2) @ rows


def _compiled(
    maps: ReadableMaps,
    coefficients: Tensor,
    ctf: Tensor,
    rotations: Tensor,
    k: Tensor,
    weight: Tensor,
    mean_slices: Tensor | None,
) -> Tensor:
    n_images = len(rotations)
    seen = torch.empty(0, 0, 2) if mean_slices is None else torch.view_as_real(mean_slices)
    out = torch.empty(n_images, maps.n + 1, maps.n + 1)
    arguments = (
        maps.mean[:, 0].contiguous().numpy(),
        maps.packed_bases.numpy(),
        torch.view_as_real(coefficients.resolve_conj()).contiguous().numpy(),
        ctf.contiguous().numpy(),
        weight.numpy(),
        rotations.contiguous().numpy(),
        k.to(torch.float32).contiguous().numpy(),
        maps.grid.half,
        maps.grid.oversampling,
        out.numpy(),
        seen.numpy(),
    )
    in_threads(lambda a, b: kernels.moments(*arguments, a, b), even_shares(n_images))
    return out
