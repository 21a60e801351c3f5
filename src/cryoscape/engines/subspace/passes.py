"""One pass over the images: posteriors of all, and the normal equations of two half sets.

Each half set has maps of its own, and its images are placed by these: the two halves know nothing of each
other. So what their maps have in common is signal, and what the maps of one half say of images of the other
is held-out evidence. (Placing each half by the maps of the other would be neither: what an image adds to the
maps of its half would come back to it through the latents of the other half.)
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryoscape.engines.distributed import gathered, sum_over_processes
from cryoscape.engines.noise import residual_power, shell_means, window_power
from cryoscape.engines.subspace.equations import Block, NormalEquations
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.moments import image_moments
from cryoscape.engines.subspace.posterior import Posterior, posterior
from cryoscape.engines.subspace.readable import ReadableMaps, readable
from cryoscape.engines.subspace.support import Support
from cryoscape.physics.smooth_reading import extract_smooth_slices, volume_to_smooth_grid

_NOISE_IMAGES = 400
_HELD_OUT_IMAGES = 1500


@dataclass(frozen=True)
class PassResult:
    """What the images say under given maps.

    Attributes
    ----------
    posterior : of the images looked at, by the maps of their own half set.
    noise : (S,) variance a shell; as `held_out_information`, 0 where not all maps are solved for.
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
    solving: Support | None = None,
    n_solved: int | None = None,
) -> PassResult:
    """Compute posteriors under the maps of each half set and, with them, the equations of better maps.

    Parameters
    ----------
    maps
        Mean and bases of the two half sets, or of all images (h = 1).
    support
        That the maps are read from; images are placed by the frequencies within its radius.
    noise
        Variance a shell.
    update
        Called with the number of images done.
    solving
        Of the maps that the equations are for, up to the radius of the images; None for no equations.
    n_solved
        Maps that the equations are for: default all. With fewer, noise and held-out information are not
        measured.
    """
    variance = noise[images.shells]
    placing = Placing(replace(images, radius=support.grid.max_radius), variance, contrast_spread)
    values = [readable(one, support.grid) for one in maps]
    n = maps.shape[1] if n_solved is None else n_solved
    equations = [] if solving is None else _equations(maps, values, solving, n)
    parts, order, done = [], [], 0
    residual, held_out = Residual(placing.images), HeldOut(placing)
    for rows in images.blocks():
        which = int(images.half[rows[0]])
        data, ctf, rotations = images.read(rows)
        own = values[which % len(values)]
        found, mean_slices = placing.place(own, data, ctf, rotations)
        parts.append(found)
        order.append(rows)
        if equations:
            block = Block(data, ctf, rotations, found.weighted[:, :n], found.weighted_squares[:, :n, :n])
            slices = _all_slices(mean_slices, equations[which], rotations, images.k)
            equations[which].add(block, images.k, variance, slices)
        if equations and n_solved is None:
            residual.add(rows, own, found.weighted, found.weighted_squares)
            held_out.add(rows, values[(1 - which) % len(values)])
        done += len(rows)
        update(done)
    sum_over_processes(*(half.sums for half in equations), residual.total, residual.count, held_out.total)
    return PassResult(_in_order(parts, order), residual.noise(), equations, held_out.information())


def _equations(
    maps: Float[Tensor, "h n z y x"], values: list[ReadableMaps], solving: Support, n: int
) -> list[NormalEquations]:
    """Equations of each half set, counted from its mean map of before, on the grid that is solved for."""
    if solving.grid == values[0].grid:
        bases = [one.mean for one in values]
    else:
        bases = [volume_to_smooth_grid(one[0], solving.grid) for one in maps]
    return [NormalEquations(solving.grid, n, bases[h % len(bases)]) for h in range(2)]


def _all_slices(
    within: Complex[Tensor, "b p"], equations: NormalEquations, rotations: Float[Tensor, "b 3 3"], k: Tensor
) -> Complex[Tensor, "b all"]:
    """Slices of the mean map up to the radius solved for; images may be placed by fewer frequencies."""
    n = within.shape[1]
    if n == len(k):
        return within
    beyond = extract_smooth_slices(equations.base, equations.grid, rotations, k[n:])
    return torch.cat([within, beyond], dim=1)


@dataclass(frozen=True)
class Placing:
    """How images are placed: by frequencies up to a radius, with a noise variance a frequency."""

    images: Images
    variance: Float[Tensor, " p"]
    contrast_spread: float

    def place(
        self,
        maps: ReadableMaps,
        data: Complex[Tensor, "b p"],
        ctf: Float[Tensor, "b p"],
        rotations: Float[Tensor, "b 3 3"],
    ) -> tuple[Posterior, Complex[Tensor, "b within"]]:
        """Posteriors of some images, and the slices of the mean map; frequencies beyond are left aside."""
        n = self.images.n_pixels
        slices = torch.empty_like(data[:, :n])
        moments = image_moments(
            maps, data[:, :n], ctf[:, :n], rotations, self.images.k, self.variance[:n], slices
        )
        return posterior(moments, self.contrast_spread), slices


def _in_order(parts: list[Posterior], rows: list[Tensor]) -> Posterior:
    """Put the posteriors of blocks, and of all processes, together in the order of the store."""
    columns = (torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Posterior))
    order, *values = gathered((torch.cat(rows), *columns))
    place = torch.argsort(order)
    return Posterior(*(value[place] for value in values))


class HeldOut:
    """Information of a regular sample of images under the maps of the half set that they are not in."""

    def __init__(self, placing: Placing) -> None:
        self.placing = placing
        store = placing.images.store
        self.total = torch.zeros(2, dtype=torch.float64, device=store.device)  # sum and count
        self._stride = placing.images.regular_sample(_HELD_OUT_IMAGES)

    def add(self, rows: Int[Tensor, " b"], maps: ReadableMaps) -> None:
        """Look at those of some images that are in the sample."""
        chosen = rows[rows % self._stride == 0]
        if len(chosen):
            found, _ = self.placing.place(maps, *self.placing.images.read(chosen))
            self.total[0] += found.information.double().sum()
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
        self._stride = images.regular_sample(_NOISE_IMAGES)

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
