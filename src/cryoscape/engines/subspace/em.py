"""One iteration of expectation maximisation on two half sets."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.subspace.equations import NormalEquations, Solution, solve_maps
from cryoscape.engines.subspace.halves import common_coordinates, focused
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.mean_map import solved_means
from cryoscape.engines.subspace.passes import run_pass
from cryoscape.engines.subspace.posterior import Posterior
from cryoscape.engines.subspace.support import Support

_LARGEST_STEP = 4.0
"""Factor by which the prior power of a shell may change in one iteration."""
_EXTRAPOLATED_SHELLS, _SLOPE_SHELLS = 3, 5
_LEAST_GAIN = 0.05
_LEAST_OF_MEAN = 0.003
"""Power of a basis that is never given up while learning, of the mean map's: small motions begin below it."""
_LEAST_SPREAD = 0.01


@dataclass(frozen=True)
class Model:
    """Maps at one radius and all that says how images come about.

    Attributes
    ----------
    maps : (2, n, b, b, b), mean and bases of each half set; z ~ N(0, I).
    power : (S, n) prior variance |F|^2 of each map a shell.
    noise : (A,) noise variance a shell, up to the largest radius.
    contrast_spread : standard deviation of the contrast of images about 1; 0 where it is not estimated.
    """

    maps: Float[Tensor, "h n z y x"]
    power: Float[Tensor, "s n"]
    noise: Float[Tensor, " all"]
    contrast_spread: float


@dataclass(frozen=True)
class Iteration:
    """A better model, and what the images say under the one before.

    Attributes
    ----------
    held_out_information : nats an image, under maps of the half set it is not in.
    """

    model: Model
    posterior: Posterior
    held_out_information: float


def iterate(
    model: Model,
    support: Support,
    images: Images,
    placing_radius: int | None = None,
    update: Callable[[int], None] = lambda done: None,
) -> Iteration:
    """Improve the model once, each half set by itself; they share prior, noise and coordinates.

    Parameters
    ----------
    placing_radius
        Frequencies that a model knows of which was learned at a smaller radius and brought to the box of
        ``support``: images are placed by these, and maps are solved for at all.
    update
        Called with the number of images done.
    """
    placing = support if placing_radius is None else support.within(placing_radius)
    done = run_pass(
        *(images, model.maps, placing, model.noise, model.contrast_spread), update, solving=support
    )
    if placing_radius is not None:
        alone = [half.of_mean() for half in done.equations]
        _, of_mean = solved_means(alone, model.maps[:, 0], support)
        model = replace(model, power=extrapolate_power(model.power, of_mean))
    found = done.posterior
    halves = solve_halves(done.equations, model, focused(support, model.maps))
    changes = torch.stack(
        [whitening(half.maps, found.of(images.of_half(h))) for h, half in enumerate(halves)]
    )
    whitened = torch.stack([half.changed(change).maps for half, change in zip(halves, changes, strict=True)])
    changes = common_coordinates(whitened) @ changes
    halves = [half.changed(change) for half, change in zip(halves, changes, strict=True)]
    prior = torch.stack([model.power @ (change**2).T for change in changes]).mean(0)
    power = next_power(halves, support, prior)
    maps = torch.stack([half.maps for half in halves])
    spread = next_spread(model.contrast_spread, found)
    better = Model(maps, power, model.noise.clone(), spread)
    better = scaled(better, float(found.contrast.median()))
    better.noise[: len(done.noise)] = done.noise
    return Iteration(better, found, done.held_out_information)


def solve_halves(equations: list[NormalEquations], model: Model, support: Support) -> list[Solution]:
    """Maps of each half set from its own equations, which are used up, and the common prior."""
    bases = model.maps[:, 0]
    return [solve_maps(equations.pop(0), base, support, model.power) for base in bases]


def scaled(model: Model, contrast: float) -> Model:
    """Maps as strong as images of this typical contrast say, so that it is 1 again.

    Regularised maps are a little weak. Were that left to the contrasts, their spread about 1 and with it the
    maps' weakness would grow without end.
    """
    return replace(model, maps=model.maps * contrast, power=model.power * contrast**2)


def next_spread(spread: float, found: Posterior) -> float:
    """Relative spread of the contrast: a step of expectation maximisation, twice as long as its plain form.

    Below a hundredth it cannot be told from none, and stays 0.
    """
    if spread <= 0:
        return 0.0
    mean = found.contrast.mean()
    plain = float(((found.contrast - mean) ** 2 + found.contrast_variance).mean().sqrt() / mean)
    longer = plain * min(max(plain / spread, 0.5), 2.0)
    return longer if longer > _LEAST_SPREAD else 0.0


def next_power(
    halves: list[Solution], support: Support, prior: Float[Tensor, "s n"], least_share: float = 1.0
) -> Float[Tensor, "s n"]:
    """Prior power of each map a shell, from the maps of the two half sets; see `power_in_common`."""
    common = support.shell_products(halves[0].maps, halves[1].maps)
    variance = torch.stack([torch.diagonal(half.covariance, dim1=1, dim2=2) for half in halves]).mean(0)
    return power_in_common(common, variance, prior, least_share)


def power_in_common(
    common: Float[Tensor, "s n"],
    variance: Float[Tensor, "s n"],
    prior: Float[Tensor, "s n"],
    least_share: float = 1.0,
) -> Float[Tensor, "s n"]:
    """Prior power, given the mean product of the half sets' regularised maps a shell.

    With the gain g = 1 - variance / prior of the regularised least squares, the product is g^2 x the power.
    Averaged over neighbouring shells. No basis falls below a share of the average of all in a shell: while
    learning, one that is still being found would be lost for good, and what is too much for it its latents'
    posterior takes back.
    """
    gain = (1 - variance / prior).clamp(_LEAST_GAIN, 1)
    best = smooth(common / gain**2)
    if best.shape[1] > 1:
        pooled = best[:, 1:].clamp(min=0).mean(1, keepdim=True)
        least = torch.maximum(least_share * pooled, least_share * _LEAST_OF_MEAN * best[:, :1])
        best[:, 1:] = torch.maximum(best[:, 1:], least)
    return torch.maximum(torch.minimum(best, _LARGEST_STEP * prior), prior / _LARGEST_STEP)


def extrapolate_power(power: Float[Tensor, "s n"], of_mean: Float[Tensor, " t"]) -> Float[Tensor, "t n"]:
    """Prior power in more shells, relative to the mean map's: level and slope of the last shells known.

    Maps differ by parts of the same density, so the ratio changes slowly; its slope is that of all bases
    together, and it does not rise.
    """
    n, more = len(power), len(of_mean) - len(power)
    last = slice(max(1, n - _EXTRAPOLATED_SHELLS), n)
    whole = of_mean[:, None] * (power[last] / of_mean[last, None]).mean(0)
    if more > 0 and power.shape[1] > 1 and n > 2 * _SLOPE_SHELLS:
        pooled = power[:, 1:].sum(1) / of_mean[:n]
        far, near = pooled[n - 2 * _SLOPE_SHELLS : n - _SLOPE_SHELLS], pooled[n - _SLOPE_SHELLS :]
        slope = float((near.mean() / far.mean()).log().clamp(max=0)) / _SLOPE_SHELLS
        whole[n:, 1:] *= (slope * torch.arange(1, more + 1).to(whole)).exp()[:, None]
    whole[:n] = power
    whole[:, 0] = of_mean
    return whole


def smooth(values: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
    """Average each shell from 1 on with its neighbours, each counted half."""
    if len(values) < 3:
        return values.clone()
    padded = torch.cat([values[1:2], values[1:], values[-1:]])
    averaged = padded[:-2] / 4 + padded[1:-1] / 2 + padded[2:] / 4
    return torch.cat([averaged[:1], averaged])


def whitening(maps: Float[Tensor, "n z y x"], found: Posterior) -> Float[Tensor, "n n"]:
    """Change of maps after which z has mean 0 and covariance I over the images, bases orthogonal and sorted.

    What the latents' spread has too much or too little of goes into the bases, which quickens convergence
    (parameter expansion, Liu, Rubin & Wu 1998).
    """
    q = len(maps) - 1
    z = found.mean.double()
    centre = z.mean(0)
    spread = found.covariance.double().mean(0) + z.T @ z / len(z) - centre[:, None] * centre
    change = torch.eye(q + 1, dtype=torch.float64, device=z.device)
    change[0, 1:] = centre
    change[1:, 1:] = torch.linalg.cholesky(spread).T
    turned = torch.einsum("ij,jzyx->izyx", change.float(), maps)
    flat = turned[1:].flatten(1).double()
    _, vectors = torch.linalg.eigh(flat @ flat.T)
    rotation = torch.eye(q + 1, dtype=torch.float64, device=z.device)
    rotation[1:, 1:] = vectors.flip(1).T
    return (rotation @ change).float()


def fewer_components(model: Model, n_components: int) -> Model:
    """Keep the first components only."""
    n = n_components + 1
    return replace(model, maps=model.maps[:, :n].contiguous(), power=model.power[:, :n].contiguous())
