"""One pass over the images: posteriors of all, and the normal equations of two half sets.

Each half set has maps of its own, and its images are placed by these: the two halves know nothing of each
other. So what their maps have in common is signal, and what the maps of one half say of images of the other
is held-out evidence. (Placing each half by the maps of the other would be neither: what an image adds to the
maps of its half would come back to it through the latents of the other half.)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.engines.distributed import gathered, own_part, sum_over_processes
from cryoscape.engines.noise import pixel_shells, residual_power, shell_means, window_power
from cryoscape.engines.subspace.equations import Block, NormalEquations
from cryoscape.engines.subspace.moments import image_moments
from cryoscape.engines.subspace.posterior import Posterior, posterior
from cryoscape.engines.subspace.readable import ReadableMaps, readable
from cryoscape.engines.subspace.support import Support
from cryoscape.particles.fourier_store import FourierStore

_BLOCK_COEFFICIENTS = 1 << 21
_NOISE_IMAGES = 400
_HELD_OUT_IMAGES = 1500
_BAND_RADIANS = 0.1


@dataclass(frozen=True)
class Images:
    """Images of a store up to a radius in cycles per box."""

    store: FourierStore
    radius: int

    @cached_property
    def n_pixels(self) -> int:
        """Frequencies used: a prefix of the half plane."""
        return self.store.plane.count_within(float(self.radius))

    @cached_property
    def k(self) -> Float[Tensor, "p 2"]:
        """Frequencies in cycles per box."""
        return self.store.plane.k[: self.n_pixels].to(torch.float32)

    @cached_property
    def shells(self) -> Int[Tensor, " p"]:
        """Shell of each pixel."""
        return pixel_shells(self.store)[: self.n_pixels]

    @cached_property
    def half(self) -> Int[Tensor, " n"]:
        """Half set of each image, 0 or 1."""
        return self.store.halves()

    @cached_property
    def order(self) -> Int[Tensor, " n"]:
        """Images by viewing direction, in bands up and down: neighbours read and write the same voxels."""
        direction = self.store.rotations[:, 2]
        direction = direction * torch.where(direction[:, :1] < 0, -1.0, 1.0)
        band = (torch.acos(direction[:, 2].clamp(-1, 1)) / _BAND_RADIANS).floor()
        angle = torch.atan2(direction[:, 1], direction[:, 0]) / 4  # within +-0.4
        return torch.argsort(band + torch.where(band % 2 == 0, angle, -angle))

    def blocks(self) -> Iterator[Int[Tensor, " b"]]:
        """Positions of the images of this process, some at a time, each block of one half set."""
        size = max(32, min(4096, _BLOCK_COEFFICIENTS // self.n_pixels))
        for rows in torch.split(own_part(self.order), 2 * size):
            for which in range(2):
                mine = rows[self.half[rows] == which]
                if len(mine):
                    yield mine

    def read(self, rows: Int[Tensor, " b"]) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients, CTF and rotations of some images."""
        store = self.store
        return store.batch(rows, self.n_pixels), store.ctf(rows, self.n_pixels), store.rotations[rows]


@dataclass(frozen=True)
class PassResult:
    """What the images say under given maps.

    Attributes
    ----------
    posterior : of all images, by the maps of their own half set.
    noise : (S,) variance a shell.
    equations : sums of each half set; empty where not asked for.
    held_out_information : nats an image, of a sample of images under the maps of the other half set.
    """

    posterior: Posterior
    noise: Float[Tensor, " s"]
    equations: list[NormalEquations]
    held_out_information: float


def run_pass(
    images: Images,
    maps: Float[Tensor, "h n z y x"],
    support: Support,
    noise: Float[Tensor, " s"],
    contrast_spread: float,
    update: Callable[[int], None] = lambda done: None,
    with_equations: bool = True,
) -> PassResult:
    """Compute posteriors under the maps of each half set and, with them, the equations of better maps.

    Parameters
    ----------
    maps
        Mean and bases of the two half sets, or of all images (h = 1).
    noise
        Variance a shell.
    update
        Called with the number of images done.
    """
    variance = noise[images.shells]
    values = [readable(one, support.grid) for one in maps]
    equations = [
        NormalEquations(support.grid, maps.shape[1], values[h % len(values)].mean)
        for h in range(2 * with_equations)
    ]
    parts, order, done = [], [], 0
    residual, held_out = Residual(images), HeldOut(images)
    for rows in images.blocks():
        which = int(images.half[rows[0]])
        data, ctf, rotations = images.read(rows)
        own = values[which % len(values)]
        mean_slices = torch.empty_like(data)
        moments = image_moments(own, data, ctf, rotations, images.k, variance, mean_slices)
        found = posterior(moments, contrast_spread)
        parts.append(found)
        order.append(rows)
        if with_equations:
            block = Block(data, ctf, rotations, found.weighted, found.weighted_squares)
            equations[which].add(block, images.k, variance, mean_slices)
            residual.add(rows, own, found.weighted, found.weighted_squares)
            held_out.add(rows, values[(1 - which) % len(values)], variance, contrast_spread)
        done += len(rows)
        update(done)
    sum_over_processes(*(half.sums for half in equations), residual.total, residual.count, held_out.total)
    return PassResult(_in_order(parts, order), residual.noise(), equations, held_out.information())


def _in_order(parts: list[Posterior], rows: list[Tensor]) -> Posterior:
    """Put the posteriors of blocks, and of all processes, together in the order of the store."""
    columns = (torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Posterior))
    order, *values = gathered((torch.cat(rows), *columns))
    place = torch.argsort(order)
    return Posterior(*(value[place] for value in values))


class HeldOut:
    """Information of a regular sample of images under the maps of the half set that they are not in."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.total = torch.zeros(2, dtype=torch.float64, device=images.store.device)  # sum and count
        self._stride = max(1, images.store.n // _HELD_OUT_IMAGES) | 1  # odd, so that both half sets are seen

    def add(
        self,
        rows: Int[Tensor, " b"],
        maps: ReadableMaps,
        noise_variance: Float[Tensor, " p"],
        contrast_spread: float,
    ) -> None:
        """Look at those of some images that are in the sample."""
        chosen = rows[rows % self._stride == 0]
        if len(chosen):
            moments = image_moments(maps, *self.images.read(chosen), self.images.k, noise_variance)
            self.total[0] += posterior(moments, contrast_spread).information.double().sum()
            self.total[1] += len(chosen)

    def information(self) -> float:
        """Mean over the sample, nats an image; 0 where there was none."""
        return float(self.total[0] / self.total[1].clamp(min=1))


class Residual:
    """What maps leave of a regular sample of images, and the noise variance that it tells of."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.total = torch.zeros(images.n_pixels, device=images.store.device)
        self.count = torch.zeros((), device=images.store.device)
        self._stride = max(1, images.store.n // _NOISE_IMAGES) | 1  # odd, so that both half sets are seen

    def add(
        self,
        rows: Int[Tensor, " b"],
        values: ReadableMaps,
        weighted: Float[Tensor, "b n"],
        weighted_squares: Float[Tensor, "b n n"],
    ) -> None:
        """Look at those of some images that are in the sample.

        Parameters
        ----------
        weighted, weighted_squares
            E[a (1, z)] and E[a^2 (1, z) (1, z)^T] of these images.
        """
        for chosen in torch.split(torch.nonzero(rows % self._stride == 0)[:, 0], 100):
            if not len(chosen):
                continue
            data, ctf, rotations = self.images.read(rows[chosen])
            slices = values.slices(rotations, self.images.k) * ctf[..., None]
            power = residual_power(data, slices, weighted[chosen], weighted_squares[chosen])
            self.total += power * len(chosen)
            self.count += len(chosen)

    def noise(self) -> Float[Tensor, " s"]:
        """Noise variance a shell, of unwindowed images."""
        power = self.total / self.count.clamp(min=1)
        return shell_means(power, self.images.shells) / window_power(self.images.store)


def measure_noise(
    images: Images,
    maps: Float[Tensor, "h n z y x"],
    support: Support,
    weighted: Float[Tensor, "m n"],
    weighted_squares: Float[Tensor, "m n n"],
) -> Float[Tensor, " s"]:
    """Noise variance a shell, from what the maps of each half set leave of a sample of its images."""
    values = [readable(one, support.grid) for one in maps]
    residual = Residual(images)
    for which in range(2):
        rows = torch.nonzero(images.half == which)[:, 0]
        residual.add(rows, values[which % len(values)], weighted[rows], weighted_squares[rows])
    return residual.noise()
