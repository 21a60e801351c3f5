"""What is drawn by chance for each simulated particle: its structure, pose, optics and contrast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int

from cryoscape.errors import InputError
from cryoscape.particles.metadata import CtfTable, Poses
from cryoscape.physics.rotations import matrix_from_relion_euler, random_rotations

Noise = Literal["white", "radial"]
Orientations = Literal["uniform", "preferred"]
Junk = Literal["noise", "wrong", "poses", "edges"]

JUNK_LABEL = -1
NOISE_SOURCE, EDGE_SOURCE = -1, -2
N_WRONG = 4
"""Different wrong structures among junk particles."""
_LEAST_CONTRAST = 0.1


@dataclass(frozen=True)
class ImagingConfig:
    """How simulated particles are imaged.

    Attributes
    ----------
    snr : variance of the noiseless images over the whole box, divided by that of the noise; inf for no noise.
    noise : "white", or "radial": stronger at low frequency, as in real micrographs (`noise_power`).
    orientations : "uniform", or "preferred": viewing directions concentrated about the z axis of the map
        (von Mises-Fisher with ``concentration``), in-plane angle uniform.
    shift_sigma_px : standard deviation of the shift along x and along y.
    defocus_range_angstrom : mean defocus is uniform between these.
    astigmatism_sigma_angstrom : |U - V| is half-normal of this scale, its angle uniform.
    b_factor_angstrom2 : envelope exp(-B s^2 / 4) of the images, which no file tells.
    contrast_sigma : standard deviation of the strength of particles about 1.
    junk_fraction : share of particles that are junk.
    junk : kinds, equally frequent: "noise" only, "wrong" structures, particles whose "poses" in the files are
        wrong, and "edges" of a film.
    """

    box_size: int
    pixel_size_angstrom: float
    snr: float = 0.05
    noise: Noise = "white"
    orientations: Orientations = "uniform"
    concentration: float = 2.0
    shift_sigma_px: float = 1.0
    defocus_range_angstrom: tuple[float, float] = (8000.0, 25000.0)
    astigmatism_sigma_angstrom: float = 200.0
    voltage_kv: float = 300.0
    spherical_aberration_mm: float = 2.7
    amplitude_contrast: float = 0.1
    b_factor_angstrom2: float = 0.0
    contrast_sigma: float = 0.0
    junk_fraction: float = 0.0
    junk: tuple[Junk, ...] = ("noise",)
    seed: int = 0


def check_imaging(config: ImagingConfig) -> None:
    """Refuse settings that have no meaning.

    Raises
    ------
    InputError
        With the flag, its value and what is expected.
    """
    low, high = config.defocus_range_angstrom
    astigmatism = config.astigmatism_sigma_angstrom
    rules: tuple[tuple[bool, str, object, str], ...] = (
        (config.box_size >= 8 and not config.box_size % 2, "-D", config.box_size, "an even box, 8 or more"),
        (config.pixel_size_angstrom > 0, "--apix", config.pixel_size_angstrom, "a pixel size above 0 A"),
        (config.snr > 0, "--snr", config.snr, "a ratio above 0 (inf for no noise)"),
        (config.concentration > 0, "--concentration", config.concentration, "a number above 0"),
        (config.shift_sigma_px >= 0, "--shift-sigma", config.shift_sigma_px, "0 px or more"),
        (0 < low <= high, "--defocus", f"{low:g} {high:g}", "a range LOW HIGH in A, both above 0"),
        (astigmatism >= 0, "--astigmatism", astigmatism, "0 A or more"),
        (config.voltage_kv > 0, "--kv", config.voltage_kv, "a voltage above 0 kV"),
        (0 <= config.amplitude_contrast <= 1, "-w", config.amplitude_contrast, "a number from 0 to 1"),
        (config.contrast_sigma >= 0, "--contrast-sigma", config.contrast_sigma, "0 or more"),
        (0 <= config.junk_fraction < 1, "--junk-fraction", config.junk_fraction, "a share from 0 to below 1"),
        (len(config.junk) > 0, "--junk", "", f"one or more of {', '.join(get_args(Junk))}"),
    )  # fmt: skip
    for holds, flag, value, expected in rules:
        if not holds:
            raise InputError(f"{flag} {value}: expected {expected}")


@dataclass(frozen=True)
class DrawnParticles:
    """N particles as drawn.

    Attributes
    ----------
    source : (N,) number of the structure that is imaged: states first, wrong structures after; NOISE_SOURCE
        for none, EDGE_SOURCE for an edge.
    label : (N,) number of the state, -1 for junk.
    contrast : (N,) strength, 0 for pure noise.
    poses, ctf : as metadata has them.
    imaged_rotation : (N, 3, 3) at which structures are imaged; None where poses tell it of all particles.
    """

    source: Int[np.ndarray, " n"]
    label: Int[np.ndarray, " n"]
    contrast: Float[np.ndarray, " n"]
    poses: Poses
    ctf: CtfTable
    imaged_rotation: Float[np.ndarray, "n 3 3"] | None = None

    def __len__(self) -> int:
        return len(self.label)

    @property
    def true_rotation(self) -> Float[np.ndarray, "n 3 3"]:
        """Rotation at which each particle is imaged."""
        return self.poses.rotation if self.imaged_rotation is None else self.imaged_rotation


def draw_particles(n: int, fractions: Sequence[float], config: ImagingConfig) -> DrawnParticles:
    """Draw n particles in random order; states get their exact share of those that are not junk, rounded."""
    rng = np.random.default_rng([config.seed, 1])
    n_junk = round(n * config.junk_fraction)
    counts = apportion(n - n_junk, np.asarray(fractions, dtype=np.float64))
    label = np.concatenate([np.repeat(np.arange(len(counts)), counts), np.full(n_junk, JUNK_LABEL)])
    rng.shuffle(label)
    source = label.copy()
    # a stream of its own: particles that are not junk do not depend on the kinds of junk
    junk_rng = np.random.default_rng([config.seed, 5])
    source[label == JUNK_LABEL] = _draw_junk_sources(n_junk, counts, config.junk, junk_rng)
    contrast = np.maximum(1 + config.contrast_sigma * rng.normal(size=n), _LEAST_CONTRAST)
    contrast[source == NOISE_SOURCE] = 0.0
    shift_px = config.shift_sigma_px * rng.normal(size=(n, 2))
    poses = Poses(_draw_rotations(n, config, rng), shift_px / config.box_size)
    ctf = _draw_ctf(n, config, rng)
    misplaced = (label == JUNK_LABEL) & (source >= 0) & (source < len(counts))
    if not misplaced.any():
        return DrawnParticles(source, label, contrast, poses, ctf)
    imaged = poses.rotation.copy()
    imaged[misplaced] = _draw_rotations(int(misplaced.sum()), config, junk_rng)
    return DrawnParticles(source, label, contrast, poses, ctf, imaged)


def _draw_junk_sources(
    n: int, counts: Int[np.ndarray, " s"], kinds: Sequence[Junk], rng: np.random.Generator
) -> Int[np.ndarray, " j"]:
    """What each junk particle shows; those of wrong poses show the states in proportion to their counts."""
    kind = np.repeat(np.arange(len(kinds)), apportion(n, np.ones(len(kinds))))
    rng.shuffle(kind)
    share = counts / max(1, counts.sum()) if counts.any() else np.full(len(counts), 1 / len(counts))
    shown: dict[Junk, np.ndarray] = {
        "noise": np.full(n, NOISE_SOURCE),
        "edges": np.full(n, EDGE_SOURCE),
        "wrong": len(counts) + rng.integers(N_WRONG, size=n),
        "poses": rng.choice(len(counts), size=n, p=share),
    }
    return np.choose(kind, [shown[name] for name in kinds])


def junk_kind(particles: DrawnParticles, n_states: int) -> np.ndarray:
    """Kind of junk that each particle is, (N,) text; empty where it is none."""
    source = particles.source
    kind = np.select(
        [particles.label != JUNK_LABEL, source == NOISE_SOURCE, source == EDGE_SOURCE, source >= n_states],
        ["", "noise", "edges", "wrong"],
        "poses",
    )
    return np.asarray(kind)


def apportion(n: int, fractions: Float[np.ndarray, " s"]) -> Int[np.ndarray, " s"]:
    """Whole numbers that sum to n and lie nearest to n times the (scaled) fractions: largest remainders."""
    exact = n * fractions / fractions.sum()
    counts = np.floor(exact).astype(np.int64)
    first = np.argsort(-(exact - counts), kind="stable")[: n - int(counts.sum())]
    counts[first] += 1
    return counts


def _draw_rotations(n: int, config: ImagingConfig, rng: np.random.Generator) -> Float[np.ndarray, "n 3 3"]:
    if config.orientations == "uniform":
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        return random_rotations(n, generator, torch.float64).numpy()
    # inverse of the cumulative distribution of cos(tilt) on the sphere (Wood 1994)
    kappa, u = config.concentration, rng.random(n)
    cosine = 1 + np.log(u + (1 - u) * np.exp(-2 * kappa)) / kappa
    tilt = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    rot, psi = rng.uniform(-180, 180, (2, n))
    return matrix_from_relion_euler(torch.from_numpy(np.stack([rot, tilt, psi], axis=1))).numpy()


def _draw_ctf(n: int, config: ImagingConfig, rng: np.random.Generator) -> CtfTable:
    mean = rng.uniform(*config.defocus_range_angstrom, size=n)
    half = 0.5 * np.abs(config.astigmatism_sigma_angstrom * rng.normal(size=n))
    return CtfTable(
        box_size_px=np.full(n, float(config.box_size)),
        pixel_size_angstrom=np.full(n, float(config.pixel_size_angstrom)),
        defocus_u_angstrom=mean + half,
        defocus_v_angstrom=mean - half,
        defocus_angle_degrees=rng.uniform(0, 180, n),
        voltage_kv=np.full(n, float(config.voltage_kv)),
        spherical_aberration_mm=np.full(n, float(config.spherical_aberration_mm)),
        amplitude_contrast=np.full(n, float(config.amplitude_contrast)),
        phase_shift_degrees=np.zeros(n),
    )
