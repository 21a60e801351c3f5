"""First pass: all that an image says of its latent, in one small matrix.

With v = (CTF x slice of each map, image) and noise variance s^2 a frequency, the matrix is G = 2 Re sum
conj(v_a) v_b / s^2. Posterior, likelihood and contrast of the image follow from it alone (`posterior`).
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryoscape.engines.subspace import kernels
from cryoscape.engines.subspace.threads import even_shares, in_threads
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.volume_grid import volume_to_grid


def maps_to_grid(maps: Float[Tensor, "n z y x"], grid: FourierGrid) -> Float[Tensor, "v n 2"]:
    """Transform maps of any box to one grid, ready to be read (gridding-corrected)."""
    return torch.cat([volume_to_grid(one, grid) for one in maps], dim=1)


def image_moments(
    values: Float[Tensor, "v n 2"],
    grid: FourierGrid,
    coefficients: Complex[Tensor, "b p"],
    ctf: Float[Tensor, "b p"],
    rotations: Float[Tensor, "b 3 3"],
    k: Tensor,
    noise_variance: Float[Tensor, " p"],
) -> Float[Tensor, "b m m"]:
    """Compute G of each image, (B, n + 1, n + 1); the image comes last.

    Parameters
    ----------
    values
        n maps on the grid, see `maps_to_grid`.
    coefficients, ctf, rotations
        Images at k (P, 2): volume frequency = k @ R.
    noise_variance
        E |noise|^2 of each frequency.
    """
    weight = (2 / noise_variance).sqrt()
    if values.device.type == "cpu" and values.dtype == torch.float32:
        return _compiled(values, grid, coefficients, ctf, rotations, k, weight)
    slices = extract_slices(values, grid, rotations, k) * ctf[..., None]
    everything = torch.cat([slices, coefficients[..., None]], dim=-1) * weight[:, None]
    rows = torch.view_as_real(everything).permute(0, 1, 3, 2).flatten(1, 2)
    return rows.transpose(1, 2) @ rows


def _compiled(
    values: Tensor,
    grid: FourierGrid,
    coefficients: Tensor,
    ctf: Tensor,
    rotations: Tensor,
    k: Tensor,
    weight: Tensor,
) -> Tensor:
    n_images, n = len(rotations), values.shape[1]
    out = torch.empty(n_images, n + 1, n + 1)
    arguments = (
        values.transpose(1, 2).reshape(len(values), 2 * n).contiguous().numpy(),
        torch.view_as_real(coefficients.resolve_conj()).contiguous().numpy(),
        ctf.contiguous().numpy(),
        weight.numpy(),
        rotations.contiguous().numpy(),
        k.to(torch.float32).contiguous().numpy(),
        grid.half,
        grid.oversampling,
        out.numpy(),
    )
    in_threads(lambda a, b: kernels.moments(*arguments, a, b), even_shares(n_images))
    return out
