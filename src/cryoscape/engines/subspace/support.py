"""Where maps live: a mask in a small box of real space, and the Fourier grid they are read from."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.physics.fourier import crop_volume
from cryoscape.physics.grids import centred_indices
from cryoscape.physics.slices import FourierGrid
from cryoscape.physics.volume_grid import Region, grid_to_volume, volume_to_grid

MARGIN = 2
"""Frequencies beyond the radius that maps may hold: the mask spreads what lies within."""


@dataclass(frozen=True)
class Support:
    """Where maps live and the grid they are read from, of maximal radius up to b / 2.

    Attributes
    ----------
    mask : (b, b, b) from 0 to 1 in the box of maps.
    focus : (b, b, b) from 0 to 1, where maps were seen to differ: bases live in mask x focus; None for all.
    """

    mask: Float[Tensor, "z y x"]
    grid: FourierGrid
    focus: Float[Tensor, "z y x"] | None = None

    @property
    def box(self) -> int:
        """Voxels a side of the maps."""
        return self.mask.shape[-1]

    @cached_property
    def region(self) -> Region:
        """The smallest part of the box with the whole mask."""
        voxels = torch.nonzero(self.mask)
        if not len(voxels):
            return (slice(0, 0),) * 3
        first, last = voxels.min(0).values.tolist(), voxels.max(0).values.tolist()
        z, y, x = (slice(a, b + 1) for a, b in zip(first, last, strict=True))
        return z, y, x

    @property
    def calibration(self) -> float:
        """Share of the box within the mask, over the grid voxels an unknown: see `equations`."""
        return float((self.mask**2).mean()) / self.grid.oversampling**3

    def calibrations(self, n: int) -> Float[Tensor, " n"]:
        """Calibration of a mean map and n - 1 bases."""
        values = torch.full((n,), self.calibration)
        if self.focus is not None:
            values[1:] = float(((self.mask * self.focus) ** 2).mean()) / self.grid.oversampling**3
        return values.to(self.mask)

    @cached_property
    def shell(self) -> Int[Tensor, " v"]:
        """Shell |k| rounded of each voxel of the grid; -1 beyond the radius and at the origin."""
        radius = self.grid.radius(self.mask.device)
        usable = (radius <= self.grid.max_radius) & (radius > 0)
        return torch.where(usable, radius.round().long(), -1)

    @property
    def n_shells(self) -> int:
        """Shells 0 to the radius."""
        return self.grid.max_radius + 1

    def within(self, radius: int) -> "Support":
        """The same maps, read up to a smaller radius."""
        return Support(self.mask, FourierGrid(radius, self.grid.oversampling), self.focus)

    def shell_sums(self, values: Float[Tensor, "v n"]) -> Float[Tensor, "s n"]:
        """Sum over the voxels of each shell."""
        used = self.shell >= 0
        sums = values.new_zeros(self.n_shells, values.shape[1])
        return sums.index_add_(0, self.shell[used], values[used])

    @cached_property
    def counts(self) -> Float[Tensor, " s"]:
        """Voxels in each shell, at least 1."""
        counts = torch.bincount(self.shell[self.shell >= 0], minlength=self.n_shells)
        return counts.clamp(min=1).to(self.mask)

    def to_grid(
        self, maps: Float[Tensor, "n z y x"], correct_gridding: bool = True
    ) -> Float[Tensor, "v n 2"]:
        """Transform maps to the grid, side by side."""
        out = self.grid.zeros(len(maps), device=maps.device)
        for j, one in enumerate(maps):
            out[:, j] = volume_to_grid(one, self.grid, correct_gridding)[:, 0]
        return out

    def shell_products(
        self, a: Float[Tensor, "n z y x"], b: Float[Tensor, "n z y x"]
    ) -> Float[Tensor, "s n"]:
        """Mean Re F_a conj(F_b) of pairs of maps in each shell, at whole frequencies of their box."""
        first = torch.fft.rfftn(a, dim=(-3, -2, -1))
        second = first if a is b else torch.fft.rfftn(b, dim=(-3, -2, -1))
        product = (first * second.conj()).real.flatten(1).T
        shell, weight = self._whole_frequencies
        sums = product.new_zeros(self.n_shells, len(a)).index_add_(0, shell, product * weight[:, None])
        count = weight.new_zeros(self.n_shells).index_add_(0, shell, weight)
        return sums / count.clamp(min=1)[:, None]

    @cached_property
    def _whole_frequencies(self) -> tuple[Int[Tensor, " k"], Float[Tensor, " k"]]:
        """Shell of each frequency of a half transform, and how many it stands for: 0 beyond the radius."""
        axis = torch.fft.fftfreq(self.box, 1 / self.box, device=self.mask.device) ** 2
        half = torch.arange(self.box // 2 + 1, device=self.mask.device) ** 2
        radius = (axis[:, None, None] + axis[:, None] + half).sqrt()
        weight = torch.full_like(radius, 2.0)
        weight[..., 0] = 1
        weight[(radius > self.grid.max_radius) | (radius == 0)] = 0
        return radius.round().long().clamp(max=self.n_shells - 1).flatten(), weight.flatten()

    def power(self, maps: Float[Tensor, "n z y x"]) -> Float[Tensor, "s n"]:
        """Mean |F|^2 of maps in each shell."""
        return self.shell_products(maps, maps)

    def masked(self, spectrum: Float[Tensor, "v 1 2"]) -> Float[Tensor, "v 1 2"]:
        """What the mask makes of the transform of a map, 0 beyond the radius."""
        volume = grid_to_volume(spectrum, self.grid, self.box, False, self.region, limited=True)
        return volume_to_grid(volume * self.mask, self.grid, False, self.region)

    def from_spectra(self, spectra: Float[Tensor, "v n 2"]) -> Float[Tensor, "n z y x"]:
        """Transform solutions of nearest-voxel insertion, mean first, back; undo its window, and mask.

        They must be 0 beyond the radius.
        """
        axis = torch.sinc(centred_indices(self.box).double() / (self.box * self.grid.oversampling))
        window = (axis[:, None, None] * axis[:, None] * axis).to(self.mask)
        maps = [
            grid_to_volume(spectra[:, j : j + 1], self.grid, self.box, False, self.region, limited=True)
            for j in range(spectra.shape[1])
        ]
        whole = torch.stack(maps) / window * self.mask
        if self.focus is not None:
            whole[1:] *= self.focus
        return whole


def box_for(radius: int, box_size: int) -> int:
    """Even box that holds frequencies up to a radius with a margin, at most the box of the images."""
    return min(box_size, 2 * (radius + MARGIN))


def change_box(maps: Float[Tensor, "n z y x"], box: int) -> Float[Tensor, "n w v u"]:
    """Bring maps to another box of the same extent; their Fourier sums stay."""
    if box == maps.shape[-1]:
        return maps
    return crop_volume(maps, box) * (maps.shape[-1] / box) ** 3
