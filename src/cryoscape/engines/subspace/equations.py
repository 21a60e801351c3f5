"""Second pass: mean and bases together, by regularised least squares at each voxel of Fourier space.

Pixels go to the nearest voxel of an oversampled grid. So that what lies between voxels is not taken for
heterogeneity, the mean map of the pass before is read by a smooth kernel and only what it leaves is
inserted; solved for are its correction and the bases.

Maps are confined to a mask in real space, which ties neighbouring voxels together. Its share f = mean(mask^2)
and the oversampling o of the grid calibrate the prior: in the unitary transform of the box of maps there is
one unknown for o^3 voxels of the grid, and power within the mask is f times that of the field before masking.
So the data weigh o^3 times their sum at a voxel, against a prior precision of f / power.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryoscape.engines.subspace import kernels
from cryoscape.engines.subspace.sorted_pixels import sort_by_voxel
from cryoscape.engines.subspace.support import Support
from cryoscape.engines.subspace.threads import even_shares, in_threads
from cryoscape.physics.slices import FourierGrid
from cryoscape.physics.smooth_reading import extract_smooth_slices

_LEAST_POWER = 1e-9
"""Of the largest power of a map: bounds the precision where a shell is empty."""


@dataclass(frozen=True)
class Block:
    """Some images at the frequencies of the moment, and the moments of their latents.

    Attributes
    ----------
    t : (B, n), E[a (1, z)] with the contrast a.
    tt : (B, n, n), E[a^2 (1, z) (1, z)^T].
    """

    coefficients: Complex[Tensor, "b p"]
    ctf: Float[Tensor, "b p"]
    rotations: Float[Tensor, "b 3 3"]
    t: Float[Tensor, "b n"]
    tt: Float[Tensor, "b n n"]


class NormalEquations:
    """Sums over images for a slab of planes |z| in [first, last) of the grid.

    Parameters
    ----------
    grid
        Half of Fourier space.
    n
        Maps solved for: mean and bases.
    base
        (V, 1, 2) the mean map on the grid, ready to be read by the smooth kernel.
    first, last
        Planes; all for the default.
    """

    def __init__(
        self,
        grid: FourierGrid,
        n: int,
        base: Float[Tensor, "v 1 2"],
        first: int = 0,
        last: int | None = None,
    ) -> None:
        self.grid, self.n, self.base = grid, n, base
        self.first, self.last = first, grid.half + 1 if last is None else last
        self.pairs = torch.triu_indices(n, n, device=base.device)
        n_voxels = 2 * (self.last - self.first) * grid.n_yz * grid.n_x
        self.sums = torch.zeros(n_voxels, 2 * n + self.pairs.shape[1], device=base.device)

    def add(
        self,
        block: Block,
        k: Tensor,
        noise_variance: Float[Tensor, " p"],
        base_slices: Complex[Tensor, "b p"] | None = None,
    ) -> None:
        """Add images; each pixel goes to its nearest voxel.

        Parameters
        ----------
        base_slices
            Slices of the base map, where they are at hand.
        """
        if base_slices is None:
            base_slices = extract_smooth_slices(self.base, self.grid, block.rotations, k)
        tt = block.tt[:, self.pairs[0], self.pairs[1]].contiguous()
        if self.sums.device.type == "cpu":
            self._add_compiled(block, tt, k, noise_variance, base_slices)
        else:
            self._add_plain(block, tt, k, noise_variance, base_slices)

    def _add_compiled(
        self, block: Block, tt: Tensor, k: Tensor, noise_variance: Tensor, base_slices: Tensor
    ) -> None:
        grid, shape, planes = self.grid, block.ctf.shape, (self.first, self.last)
        values, voxels = np.empty((*shape, 5), np.float32), np.empty(shape, np.int32)
        pixels = (
            torch.view_as_real(block.coefficients.resolve_conj()).contiguous().numpy(),
            block.ctf.contiguous().numpy(),
            torch.view_as_real(base_slices.to(torch.complex64)).contiguous().numpy(),
            (1 / noise_variance).float().numpy(),
            block.rotations.contiguous().numpy(),
            k.to(torch.float32).contiguous().numpy(),
            *(grid.half, grid.oversampling, *planes),
        )
        in_threads(lambda a, b: kernels.locate(*pixels, values, voxels, a, b), even_shares(len(tt)))
        found = sort_by_voxel(values, voxels, grid, planes, 4 * self.sums.shape[1])
        once, sums = block.t.contiguous().numpy(), self.sums.numpy()
        moments = (found.values, found.images, found.places, once, tt.numpy(), sums)
        in_threads(lambda a, b: kernels.normal_equations(*moments, a, b), found.shares)

    def _add_plain(self, block: Block, tt: Tensor, k: Tensor, noise_variance: Tensor, base: Tensor) -> None:
        """Do the same with tensor operations, for GPUs."""
        q = (
            torch.einsum("pi,bij->bpj", k.to(block.rotations), block.rotations[:, :2])
            * self.grid.oversampling
        )
        negative = q[..., 0] < 0
        nearest = (torch.where(negative[..., None], -q, q) + 0.5).floor().long()
        weighted = block.ctf / noise_variance
        image, base = weighted * block.coefficients, weighted * block.ctf * base
        squared = weighted * block.ctf
        for b in range(len(tt)):
            flip = torch.where(negative[b], -1.0, 1.0)
            residual = image[b, :, None] * block.t[b] - base[b, :, None] * block.tt[b, 0]
            real, imaginary = residual.real, residual.imag * flip[:, None]
            left = squared[b, :, None] * tt[b]
            for mirrored in (False, True):
                at, part = nearest[b], imaginary
                chosen = torch.ones_like(negative[b])
                if mirrored:
                    at, part = at * at.new_tensor([1, -1, -1]), -imaginary
                    chosen = at[:, 0] == 0
                voxel, within = self._voxel(at)
                chosen = chosen & within
                rows = torch.cat([real, part, left], dim=1)[chosen]
                self.sums.index_add_(0, voxel[chosen], rows)

    def _voxel(self, at: Int[Tensor, "p 3"]) -> tuple[Tensor, Tensor]:
        """Index in the slab of voxels (x, y, z), and whether they lie in it."""
        x, y, z = at.unbind(-1)
        depth = self.last - self.first
        plane = torch.where(z >= 0, z - self.first, depth - z - self.first)
        within = (z.abs() >= self.first) & (z.abs() < self.last)
        return (plane * self.grid.n_yz + y + self.grid.half) * self.grid.n_x + x, within

    def of_mean(self) -> "NormalEquations":
        """The equations of the mean map alone, were bases nothing."""
        alone = NormalEquations(self.grid, 1, self.base, self.first, self.last)
        alone.sums[:] = self.sums[:, [0, self.n, 2 * self.n]]
        return alone

    def positions(self) -> Int[Tensor, " s"]:
        """Index in the flattened grid of each voxel of the slab, or -1 for a plane counted twice."""
        depth = self.last - self.first
        z = torch.arange(2 * depth, device=self.sums.device)
        twice = (z == depth) & (self.first == 0)
        z = torch.where(z < depth, z + self.first, depth - z - self.first)
        plane = self.grid.n_yz * self.grid.n_x
        position = (z[:, None] + self.grid.half) * plane + torch.arange(plane, device=z.device)
        return torch.where(twice[:, None], -1, position).reshape(-1)

    def solve(
        self, precision: Float[Tensor, "s n"], support: Support, known: Float[Tensor, "v 1 2"]
    ) -> "SlabSolution":
        """Solve voxel by voxel with a diagonal prior precision for each shell.

        The base map, whose transform is ``known``, is only where the solution is counted from: the prior of
        the correction is centred on what takes it off again.
        """
        position = self.positions()
        shell = torch.where(position >= 0, support.shell[position.clamp(min=0)], -1)
        used = torch.nonzero(shell >= 0)[:, 0]
        position, in_shell, sums = position[used], shell[used], self.sums
        base = known[position, 0] * precision[in_shell, 0, None]
        sums[used, 0] -= base[:, 0]
        sums[used, self.n] -= base[:, 1]
        solution = torch.zeros(len(shell), 2 * self.n)
        inverses = torch.zeros(support.n_shells, self.n, self.n, dtype=torch.float64)
        self._solve_compiled(sums, precision, shell, used, solution, inverses)
        sums[used, 0] += base[:, 0]
        sums[used, self.n] += base[:, 1]
        values = solution.to(precision)[used].view(len(used), 2, self.n).transpose(1, 2)
        return SlabSolution(position, in_shell, values, inverses.to(precision))

    def _solve_compiled(
        self,
        sums: Tensor,
        precision: Tensor,
        shell: Tensor,
        used: Tensor,
        solution: Tensor,
        variance: Tensor,
    ) -> None:
        shares = even_shares(len(used))
        parts = torch.zeros(len(shares), *variance.shape, dtype=torch.float64)
        fixed = (
            sums.cpu().numpy(),
            precision.double().cpu().numpy(),
            shell.cpu().numpy(),
            used.cpu().numpy(),
            self.n,
        )
        numbers = {share: parts[i].numpy() for i, share in enumerate(shares)}
        in_threads(lambda a, b: kernels.solve_voxels(*fixed, solution.numpy(), numbers[a, b], a, b), shares)
        variance += parts.sum(0)


@dataclass(frozen=True)
class SlabSolution:
    """Solutions at some voxels of the grid.

    Attributes
    ----------
    position, shell : (U,) of each voxel.
    values : (U, n, 2).
    inverses : (S, n, n) sum over voxels of the inverse matrices.
    """

    position: Int[Tensor, " u"]
    shell: Int[Tensor, " u"]
    values: Float[Tensor, "u n 2"]
    inverses: Float[Tensor, "s n n"]


@dataclass(frozen=True)
class Solution:
    """Mean and bases in the mask (n, b, b, b), and the posterior covariance of their transforms (S, n, n)."""

    maps: Float[Tensor, "n z y x"]
    covariance: Float[Tensor, "s n n"]

    def changed(self, change: Float[Tensor, "n n"]) -> "Solution":
        """The same in other coordinates: maps change @ maps."""
        return Solution(
            torch.einsum("ij,jzyx->izyx", change, self.maps),
            torch.einsum("ij,sjk,lk->sil", change, self.covariance, change),
        )


def precision_of(power: Float[Tensor, "s n"], support: Support) -> Float[Tensor, "s n"]:
    """Prior precision a voxel, on the scale of the sums, of prior power |F|^2."""
    largest = power[1:].max(0).values  # no image tells of shell 0
    return support.calibrations(power.shape[1]) / torch.maximum(power, _LEAST_POWER * largest)


def solve_maps(
    equations: NormalEquations, base: Float[Tensor, "z y x"], support: Support, power: Float[Tensor, "s n"]
) -> Solution:
    """Solve, transform back, add the mean map that was taken off, and mask.

    Parameters
    ----------
    equations
        Of the whole grid.
    base
        Mean map whose slices were taken off the images.
    power
        Prior variance |F|^2 of each map in each shell.
    """
    known = support.to_grid(base[None], correct_gridding=False)
    solved = equations.solve(precision_of(power, support), support, known)
    spectrum = support.grid.zeros(equations.n, device=base.device)
    spectrum[solved.position] = solved.values
    maps = support.from_spectra(spectrum)
    maps[0] += base
    scale = support.calibrations(equations.n).sqrt()
    return Solution(maps, solved.inverses * (scale[:, None] * scale / support.counts[:, None, None]))
