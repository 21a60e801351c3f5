"""Maps by weighted back-projection of particle images, with half maps.

The map is the least-squares answer voxel by voxel: sum of CTF x image over sum of CTF^2 in Fourier space. Its
transform lies on an oversampled grid, so images are spread with little error and the map is cut out of a
larger one; the window of the spreading is divided out.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryoscape.physics.grids import centred_indices, radius_grid_3d
from cryoscape.physics.slices import FourierGrid, insert_slices, symmetrise
from cryoscape.physics.volume_grid import grid_to_volume, gridding_window

_UNMEASURED_RADIUS = 0.75


@dataclass(frozen=True)
class Backprojection:
    """Maps (D, D, D), light density for images multiplied by the sign of the data.

    Attributes
    ----------
    full, half_a, half_b
        Map of all images, of the even ones and of the odd ones.
    n_images
        Images in each half.
    """

    full: Float[Tensor, "z y x"]
    half_a: Float[Tensor, "z y x"]
    half_b: Float[Tensor, "z y x"]
    n_images: tuple[int, int]


class HalfSetAccumulator:
    """Running sums of two half sets; the full map is that of their total.

    Parameters
    ----------
    max_radius
        Largest |k| of the images, in cycles per box.
    oversampling
        Grid points per 1/D.
    device
        Where the sums live.
    """

    def __init__(self, max_radius: int, oversampling: int = 2, device: torch.device | str = "cpu") -> None:
        self.grid = FourierGrid(max_radius, oversampling)
        self.sums = [self.grid.zeros(2, device=device) for _ in range(2)]
        self.n_images = [0, 0]

    def add(
        self,
        coefficients: Complex[Tensor, "b p"],
        ctf: Float[Tensor, "b p"],
        rotations: Float[Tensor, "b 3 3"],
        k: Int[Tensor, "p 2"],
        half: Int[Tensor, " b"],
    ) -> None:
        """Add centred images: coefficients and CTF at k, rotations (volume frequency = k @ R), half sets."""
        for which, total in enumerate(self.sums):
            rows = torch.nonzero(half == which)[:, 0]
            if not len(rows):
                continue
            part, transfer = coefficients[rows], ctf[rows].to(coefficients.real)
            pair = torch.stack([part * transfer, (transfer**2).to(part)], dim=-1)
            insert_slices(pair, self.grid, rotations[rows], k, total)
            self.n_images[which] += len(rows)

    def reconstruct(self, box_size: int, regularisation: float = 0.1) -> Backprojection:
        """Solve for the maps; see `solve`. A half without images is a map of zeros."""
        half_a, half_b = (solve(half, self.grid, box_size, regularisation) for half in self.sums)
        return Backprojection(
            full=solve(self.sums[0] + self.sums[1], self.grid, box_size, regularisation),
            half_a=half_a,
            half_b=half_b,
            n_images=(self.n_images[0], self.n_images[1]),
        )


def solve(
    sums: Float[Tensor, "v 2 2"], grid: FourierGrid, box_size: int, regularisation: float = 0.1
) -> Float[Tensor, "z y x"]:
    """Turn sums of CTF x image and CTF^2, inserted into half of space, into a map.

    Parameters
    ----------
    sums
        Channels: weighted images, weights. Not changed.
    grid
        Their grid.
    box_size
        D of the map.
    regularisation
        Weight w of the mean over a shell in the denominator, (weight + w mean) / (1 + w): frequencies seen
        by few images are damped, the scale of the others stays.
    """
    sums = sums.clone()
    symmetrise(sums, grid)
    weights = sums[:, 1, 0]
    radius = grid.radius(sums.device)
    shell = (radius * grid.oversampling).round().long()
    n_shells = int(shell.max()) + 1
    total = torch.zeros(n_shells, device=sums.device).index_add_(0, shell, weights)
    seen = torch.bincount(shell, minlength=n_shells)
    mean = (total / seen.clamp(min=1))[shell]
    damped = (weights + regularisation * mean) / (1 + regularisation)
    usable = (damped > 0) & (radius >= _UNMEASURED_RADIUS) & (radius <= grid.max_radius)
    values = torch.where(usable[:, None], sums[:, 0] / damped[:, None].clamp(min=1e-30), 0.0)
    volume = grid_to_volume(values[:, None], grid, box_size, correct_gridding=False)
    return _fill_centre(volume, grid) / gridding_window(box_size, grid).to(volume)


def _fill_centre(volume: Float[Tensor, "z y x"], grid: FourierGrid) -> Float[Tensor, "z y x"]:
    """Choose the lowest frequencies, which images do not tell, so that the padded box is empty outside.

    Unknown c_q at the few grid points about the origin; minimise the density squared outside the sphere of
    diameter D in the padded box of n = D x oversampling. With m the sphere and M its transform, the normal
    equations are sum_q' (delta - M(q - q') / n^3) c_q' = sum_x m(x) v(x) exp(-2 pi i q.x / n).
    """
    box, n = volume.shape[-1], volume.shape[-1] * grid.oversampling
    reach = int(_UNMEASURED_RADIUS * grid.oversampling)
    axis = torch.arange(-reach, reach + 1)
    q = torch.cartesian_prod(axis, axis, axis)
    q = q[q.double().norm(dim=-1) < _UNMEASURED_RADIUS * grid.oversampling]
    inside = (radius_grid_3d(box, torch.float64) <= box / 2).double()
    difference = (q[:, None] - q[None]).reshape(-1, 3)
    gram = torch.eye(len(q)) - _transform_at(inside, difference, n).view(len(q), len(q)) / n**3
    right = _transform_at(inside * volume.double().cpu(), q, n)
    solution = torch.linalg.solve(gram, right)
    waves = _waves(q, box, n).conj()
    filled = torch.einsum("m,mz,my,mx->zyx", solution / n**3, *waves)
    return volume + filled.real.to(volume)


def _transform_at(volume: Tensor, q: Int[Tensor, "m 3"], n: int) -> Complex[Tensor, " m"]:
    """Plain Fourier sums at a few frequencies q = (z, y, x) / n cycles per voxel."""
    unique, where = torch.unique(q, dim=0, return_inverse=True)
    z, y, x = _waves(unique, volume.shape[-1], n)
    sums = torch.einsum("zyx,mx->mzy", volume.to(x), x)
    return torch.einsum("mzy,my,mz->m", sums, y, z)[where]


def _waves(q: Int[Tensor, "m 3"], box: int, n: int) -> Complex[Tensor, "3 m b"]:
    phase = q.double().T[..., None] * centred_indices(box).double() / n
    return torch.polar(torch.ones_like(phase), -2 * torch.pi * phase)
