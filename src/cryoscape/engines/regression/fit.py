"""Maps at points of latent space, or of a selection, with half maps that share no image."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.noise import total_power
from cryoscape.engines.regression.correction import Correction, Corrector
from cryoscape.engines.regression.neighbours import RINGS, rings, squared_distances
from cryoscape.engines.regression.sums import bytes_for_sums, maps_at_a_time, residual_sums
from cryoscape.engines.regression.voxels import Voxels
from cryoscape.engines.subspace.em import extrapolate_power
from cryoscape.engines.subspace.final import Sets, full_maps
from cryoscape.engines.subspace.fit import Watch
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.passes import measure_noise
from cryoscape.engines.subspace.start import support_at
from cryoscape.engines.subspace.support import Support, change_box
from cryoscape.particles.fourier_store import FourierStore


def _unseen(step: str, done: int, n: int) -> None:
    """Nobody asked how far it is."""


@dataclass(frozen=True)
class RegressedMap:
    """One map with its halves, in the box and units of the images.

    Attributes
    ----------
    full, half_a, half_b : (D, D, D).
    z : (q,) where it is.
    n_near : particles that may truly lie there, within the first ring about the point; of a selection, all.
    n_effective : particles used, the median over the shells where a correction is made; at least ``n_near``.
    n_corrected_shells : shells in which the prediction was corrected.
    """

    full: Float[Tensor, "z y x"]
    half_a: Float[Tensor, "z y x"]
    half_b: Float[Tensor, "z y x"]
    z: Float[Tensor, " q"]
    n_near: int
    n_effective: float
    n_corrected_shells: int


class Regression:
    """Prepared for one set of images and one run: half-set predictions and noise.

    Parameters
    ----------
    store
        Images, in the box the maps are wanted in; on the CPU.
    latents
        Posterior of each image of the store, in its order; needs covariances. By the maps of its own half set
        (images at even and at odd positions), or half maps share noise through it.
    maps
        The run's mean and bases.
    mask
        (D, D, D) in the box of the store, where maps may differ.
    watch
        Told how far each pass over the images has come.
    """

    def __init__(
        self,
        store: FourierStore,
        latents: LatentTable,
        maps: LinearMaps,
        mask: Float[Tensor, "z y x"],
        watch: Watch = _unseen,
    ) -> None:
        radius = store.box_size // 2 - 1
        self.store = store
        self.images, self.support = Images(store, radius), support_at(mask, radius)
        start = torch.cat([torch.from_numpy(maps.mean)[None], torch.from_numpy(maps.bases)]) / store.scale
        start = change_box(start, self.support.box) * self.support.mask
        noise = total_power(store)
        self.z, self.covariance = torch.tensor(latents.mean), torch.tensor(latents.covariance)
        self.t, tt = moments_of(latents)
        measured = measure_noise(self.images, start[None], self.support, self.t, tt)
        noise[: len(measured)] = measured
        self.noise = noise
        power, known = _power(start, maps.box_size, self.support), _known_shells(maps.box_size, self.support)
        beyond = known < self.support.n_shells
        sets: Sets = "halves and all" if beyond else "halves"
        given = (self.images, start[:1], power, self.support, noise, self.t, tt)
        found = full_maps(*given, partial(watch, "maps of half sets"), sets, bytes_for_sums())
        self.maps, self.whole = found[:2], start
        if beyond:  # as far as the run's own maps reach, they are the better regularised ones of all images
            reach = (torch.arange(self.support.n_shells) < known).float()
            more = [_by_shell(one, 1 - reach) for one in found[2]]
            self.whole = torch.stack([_by_shell(one, reach) for one in start]) + torch.stack(more)

    def at_points(self, points: Float[Tensor, "m q"], watch: Watch = _unseen) -> Iterator[RegressedMap]:
        """Maps at points, some at a time in one pass over the images."""
        ring = rings(squared_distances(self.z, self.covariance, points))
        yield from self._maps(points, ring, len(RINGS), watch)

    def of_selection(self, rows: Int[Tensor, " b"]) -> RegressedMap:
        """Map of some images (positions in the store), at the mean of their latents."""
        ring = torch.full((self.store.n, 1), -1, dtype=torch.int64)
        ring[rows] = 0
        return next(self._maps(self.z[rows].mean(0, keepdim=True), ring, 1, _unseen))

    def _maps(
        self, points: Float[Tensor, "m q"], ring: Int[Tensor, "n m"], n_rings: int, watch: Watch
    ) -> Iterator[RegressedMap]:
        voxels = Voxels.of(self.support)
        size, corrector = maps_at_a_time(voxels, n_rings), Corrector(self.support, voxels)
        for first in range(0, len(points), size):
            some = slice(first, first + size)
            chosen = ring[:, some].contiguous()
            known = (self.images, self.maps, self.support.grid, voxels, self.noise, self.t)
            last = min(first + size, len(points))
            update = partial(watch, f"particles near maps {first} to {last - 1} of {len(points)}")
            sums = residual_sums(*known, chosen, n_rings, update)
            for j, point in enumerate(points[some]):
                counts = torch.stack(
                    [
                        torch.bincount(own[own >= 0], minlength=n_rings)
                        for own in (chosen[self.images.half == half, j] for half in range(2))
                    ]
                ).float()
                yield self._finish(point, corrector.correct(sums[j], counts), counts)

    def _finish(self, point: Tensor, found: Correction, counts: Tensor) -> RegressedMap:
        at = torch.cat([torch.ones(1), point])
        halves = torch.einsum("n,hnzyx->hzyx", at, self.maps)
        both = halves.mean(0)
        # What all images predict beyond the mean of half sets, each regularised for itself, less the share of
        # it that the correction of that mean has made up for.
        more = _by_shell(torch.einsum("n,nzyx->zyx", at, self.whole) - both, 1 - found.gain)
        maps = found.maps + torch.cat([(both + more)[None], halves])
        whole = change_box(maps, self.store.box_size) * self.store.scale
        within = counts.sum(0).cumsum(0)
        used = found.choice[found.choice > 0]
        effective = float(within[used - 1].median()) if len(used) else float(within[0])
        return RegressedMap(
            whole[0], whole[1], whole[2], point, int(within[0]), max(effective, float(within[0])), len(used)
        )


def moments_of(latents: LatentTable) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k k"]]:
    """E[a (1, z)] and E[a^2 (1, z) (1, z)^T] of each image, with its contrast a."""
    contrast, z = torch.tensor(latents.contrast), torch.tensor(latents.mean)
    one = torch.cat([torch.ones(len(z), 1), z], dim=1)
    squares = one[:, :, None] * one[:, None]
    squares[:, 1:, 1:] += torch.tensor(latents.covariance)
    return contrast[:, None] * one, contrast[:, None, None] ** 2 * squares


def _known_shells(box_size: int, support: Support) -> int:
    """Shells from 0 on that maps learned in a box hold."""
    return min(box_size // 2 - 1, support.grid.max_radius) + 1


def _by_shell(volume: Float[Tensor, "z y x"], factor: Float[Tensor, " s"]) -> Float[Tensor, "z y x"]:
    """A map times a factor in each shell; beyond them the last one counts."""
    box = volume.shape[-1]
    axis, half = torch.fft.fftfreq(box, 1 / box) ** 2, torch.fft.rfftfreq(box, 1 / box) ** 2
    shell = (axis[:, None, None] + axis[:, None] + half).sqrt().round().long()
    beyond = torch.cat([factor, factor[-1:]])
    return torch.fft.irfftn(torch.fft.rfftn(volume) * beyond[shell.clamp(max=len(factor))], s=volume.shape)


def _power(maps: Float[Tensor, "n z y x"], box_size: int, support: Support) -> Float[Tensor, "s n"]:
    """Prior power of each map; beyond the box it was learned in, as steep as the last shells of the mean."""
    power = support.power(maps)
    known = _known_shells(box_size, support)
    if known >= len(power):
        return power
    mean = power[:, 0].clone()
    mean[known:] = mean[known - 1]
    return extrapolate_power(power[:known], mean)
