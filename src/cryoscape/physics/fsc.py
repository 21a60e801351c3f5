"""Fourier shell correlation (FSC) of two maps: shells, resolution, masked and corrected curves.

Shell i holds the frequencies whose radius rounds to i cycles per box; shell 0 is the mean density alone.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryoscape.physics.masks import cosine_edge, distance_from_density, soft_sphere

RANDOMISE_BELOW = 0.8
"""Phases are randomised from the shell where the unmasked curve first falls below this, as in RELION."""
_LOOSE_ANGSTROM = (25.0, 15.0)
_TIGHT_ANGSTROM = (6.0, 6.0)
_MASK_RESOLUTION_ANGSTROM = 15.0


def fourier_shell_correlation(
    a: Float[Tensor, "*batch z y x"], b: Float[Tensor, "*batch z y x"]
) -> Float[Tensor, "*batch s"]:
    """Correlate maps in shells of Fourier space.

    Re sum F_a conj(F_b) / sqrt(sum |F_a|^2 sum |F_b|^2) over each shell (Harauz & van Heel 1986).

    Returns
    -------
    float64, D // 2 + 1 shells; 0 where a map has no power in a shell.
    """
    return _shell_correlation(torch.fft.rfftn(a, dim=(-3, -2, -1)), torch.fft.rfftn(b, dim=(-3, -2, -1)))


def resolution_shell(fsc: Float[Tensor, " s"], threshold: float) -> float | None:
    """Return the first shell where a curve crosses below a threshold, linearly interpolated.

    Shell 0 says nothing about structure and counts as 1. None if the curve stays at or above the threshold.
    """
    curve = fsc.double().clone()
    curve[0] = 1.0
    below = torch.nonzero(curve < threshold)
    if not len(below):
        return None
    i = int(below[0])
    before, after = float(curve[i - 1]), float(curve[i])
    return i - 1 + (before - threshold) / (before - after)


def resolution_angstrom(
    fsc: Float[Tensor, " s"], threshold: float, box_size: int, pixel_size_angstrom: float
) -> float:
    """Return the resolution at a threshold; Nyquist (2 pixels) where the curve never falls below it."""
    shell = resolution_shell(fsc, threshold)
    extent = box_size * pixel_size_angstrom
    return 2 * pixel_size_angstrom if shell is None else extent / max(shell, 1e-6)


@dataclass(frozen=True)
class FscCurves:
    """Curves of two half maps, each (S,), with the masks they were made with.

    Attributes
    ----------
    unmasked, spherical, loose, tight
        FSC without a mask, in a soft sphere, and in wide and narrow soft masks about the density.
    corrected
        The tight curve less what the mask itself adds: (tight - random) / (1 - random) (Chen et al. 2013).
    random
        Tight curve of maps whose phases were randomised from shell ``randomised_from`` on.
    """

    unmasked: Float[Tensor, " s"]
    spherical: Float[Tensor, " s"]
    loose: Float[Tensor, " s"]
    tight: Float[Tensor, " s"]
    corrected: Float[Tensor, " s"]
    random: Float[Tensor, " s"]
    randomised_from: int


def half_map_curves(
    half_a: Float[Tensor, "z y x"],
    half_b: Float[Tensor, "z y x"],
    pixel_size_angstrom: float,
    mask: Float[Tensor, "z y x"] | None = None,
    reference: Float[Tensor, "z y x"] | None = None,
    randomise_from: int | None = None,
    seed: int = 0,
) -> FscCurves:
    """Compute all curves of two half maps.

    Parameters
    ----------
    half_a, half_b
        Maps of independent halves of the data, light density.
    pixel_size_angstrom
        Of the maps.
    mask
        Used for the tight curve; default made from the reference.
    reference
        Map whose density the masks surround; default the mean of the halves.
    randomise_from, seed
        See `masked_correlation`.
    """
    box = half_a.shape[-1]
    sphere = soft_sphere(box, 0.85 * box / 2, max(3.0, 0.05 * box), half_a.device).to(half_a)
    unmasked = fourier_shell_correlation(half_a, half_b)
    inside = ((half_a + half_b) / 2 if reference is None else reference) * sphere
    distance = _distance_from_density(inside, pixel_size_angstrom)
    loose_mask = _mask_about(distance, pixel_size_angstrom, *_LOOSE_ANGSTROM)
    tight_mask = _mask_about(distance, pixel_size_angstrom, *_TIGHT_ANGSTROM) if mask is None else mask
    tight = masked_correlation(half_a, half_b, tight_mask, unmasked, randomise_from, seed)
    return FscCurves(
        unmasked=unmasked,
        spherical=fourier_shell_correlation(half_a * sphere, half_b * sphere),
        loose=fourier_shell_correlation(half_a * loose_mask, half_b * loose_mask),
        tight=tight.masked,
        corrected=tight.corrected,
        random=tight.random,
        randomised_from=tight.randomised_from,
    )


@dataclass(frozen=True)
class MaskedFsc:
    """Curves (S,) within a mask; the names are those of `FscCurves`, ``masked`` is its tight curve."""

    masked: Float[Tensor, " s"]
    corrected: Float[Tensor, " s"]
    random: Float[Tensor, " s"]
    randomised_from: int


def masked_correlation(
    half_a: Float[Tensor, "z y x"],
    half_b: Float[Tensor, "z y x"],
    mask: Float[Tensor, "z y x"],
    unmasked: Float[Tensor, " s"],
    randomise_from: int | None = None,
    seed: int = 0,
) -> MaskedFsc:
    """Correlate maps within a mask, and take off what the mask itself adds.

    Parameters
    ----------
    half_a, half_b, mask
        Maps, and a soft mask, 1 inside.
    unmasked
        Their FSC without a mask.
    randomise_from
        Shell from which phases are randomised; default where ``unmasked`` first falls below 0.8.
    seed
        Of the random phases.
    """
    start = resolution_shell(unmasked, RANDOMISE_BELOW) if randomise_from is None else randomise_from
    first = max(1, half_a.shape[-1] // 2 if start is None else int(start))
    masked = fourier_shell_correlation(half_a * mask, half_b * mask)
    generator = torch.Generator().manual_seed(seed)
    shuffled = [randomise_phases(half, first, generator) * mask for half in (half_a, half_b)]
    random = fourier_shell_correlation(*shuffled)
    return MaskedFsc(masked, _corrected(masked, random, first), random, first)


def _corrected(tight: Tensor, random: Tensor, first: int) -> Tensor:
    """Take off the share of the mask, from two shells beyond the start where both curves have settled."""
    corrected = tight.clone()
    p = random[first + 2 :].clamp(max=0.999)
    corrected[first + 2 :] = ((tight[first + 2 :] - p) / (1 - p)).clamp(-1, 1)
    return corrected


def density_mask(
    volume: Float[Tensor, "z y x"], pixel_size_angstrom: float, dilation_angstrom: float, edge_angstrom: float
) -> Float[Tensor, "z y x"]:
    """Make a soft mask about the density of a map.

    The map is low-passed to 15 angstrom (or 4 pixels); density above half of its 99.9th percentile is
    dilated, then falls off by a raised cosine (at least 3 pixels wide).
    """
    distance = _distance_from_density(volume, pixel_size_angstrom)
    return _mask_about(distance, pixel_size_angstrom, dilation_angstrom, edge_angstrom)


def _distance_from_density(
    volume: Float[Tensor, "z y x"], pixel_size_angstrom: float
) -> Float[Tensor, "z y x"]:
    cutoff = max(_MASK_RESOLUTION_ANGSTROM, 4 * pixel_size_angstrom)
    smooth = low_pass(volume, volume.shape[-1] * pixel_size_angstrom / cutoff)
    high = smooth.flatten().kthvalue(1 + int(0.999 * (smooth.numel() - 1))).values
    return distance_from_density(smooth, float(high) / 2)


def _mask_about(
    distance: Float[Tensor, "z y x"],
    pixel_size_angstrom: float,
    dilation_angstrom: float,
    edge_angstrom: float,
) -> Float[Tensor, "z y x"]:
    edge_px = max(3.0, edge_angstrom / pixel_size_angstrom)
    return cosine_edge(distance - dilation_angstrom / pixel_size_angstrom, edge_px)


def low_pass(volume: Float[Tensor, "*batch z y x"], radius: float) -> Float[Tensor, "*batch z y x"]:
    """Filter maps with a Gaussian of value 1/2 at ``radius`` (cycles per box)."""
    transform = torch.fft.rfftn(volume, dim=(-3, -2, -1))
    ratio = _radius(volume.shape[-1], volume.device).to(volume) / radius
    return torch.fft.irfftn(transform * 0.5 ** (ratio**2), s=volume.shape[-3:], dim=(-3, -2, -1))


def randomise_phases(
    volume: Float[Tensor, "z y x"], first_shell: int, generator: torch.Generator
) -> Float[Tensor, "z y x"]:
    """Give every frequency from ``first_shell`` on the phase of white noise; amplitudes stay."""
    noise = torch.fft.rfftn(torch.randn(volume.shape, generator=generator).to(volume))
    transform = torch.fft.rfftn(volume)
    random = transform.abs() * noise / noise.abs().clamp(min=1e-30)
    beyond = _shell(volume.shape[-1], volume.device) >= first_shell
    return torch.fft.irfftn(torch.where(beyond, random, transform), s=volume.shape)


def _shell_correlation(
    a: Complex[Tensor, "*batch z y c"], b: Complex[Tensor, "*batch z y c"]
) -> Float[Tensor, "*batch s"]:
    box = a.shape[-2]
    shell = _shell(box, a.device)
    n_shells = box // 2 + 1
    # the half transform holds one of each pair of opposite frequencies, but both in its outer columns
    weight = torch.full(a.shape[-3:], 2.0, device=a.device, dtype=torch.float64)
    weight[..., 0] = 1
    if box % 2 == 0:
        weight[..., -1] = 1
    keep = shell < n_shells
    index, weight = shell[keep], weight[keep]

    def per_shell(values: Tensor) -> Tensor:
        flat = (values[..., keep].double() * weight).reshape(-1, len(index))
        sums = torch.zeros(len(flat), n_shells, dtype=torch.float64, device=a.device)
        return sums.index_add_(1, index, flat).reshape(*values.shape[:-3], n_shells)

    cross = per_shell((a * b.conj()).real)
    power = (per_shell(a.abs() ** 2) * per_shell(b.abs() ** 2)).sqrt()
    return torch.where(power > 0, cross / power.clamp(min=1e-300), torch.zeros_like(cross))


def _radius(box: int, device: torch.device) -> Float[Tensor, "z y c"]:
    """Radius in cycles per box of each voxel of an uncentred half transform."""
    full = torch.fft.fftfreq(box, 1 / box, dtype=torch.float64, device=device) ** 2
    half = torch.arange(box // 2 + 1, dtype=torch.float64, device=device) ** 2
    return (full[:, None, None] + full[:, None] + half).sqrt()


def _shell(box: int, device: torch.device) -> Int[Tensor, "z y c"]:
    return _radius(box, device).round().long()
