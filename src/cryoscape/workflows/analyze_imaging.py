"""How each particle of a run was imaged: poses, shifts and defocus from the files the run was trained on."""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from cryoscape.analysis.leakage import (
    Foretold,
    angle_columns,
    direction_columns,
    foretold,
    scalar_columns,
)
from cryoscape.engines.run_folder import LoadedRun
from cryoscape.errors import InputError
from cryoscape.particles.metadata import Particles
from cryoscape.physics.rotations import relion_euler_from_matrix
from cryoscape.workflows.run_particles import run_particles

logger = logging.getLogger("cryoscape")

FAINT, CLEAR, STRONG = 0.02, 0.1, 0.3
"""Shares of a quantity's variance told by the latents, from which a leak is called so."""


@dataclass(frozen=True)
class Imaging:
    """Poses and CTF of the particles of a run, row for row with z; None where the run has none.

    Attributes
    ----------
    view_direction : (n, 3) unit vector in the map towards which it is seen; spherical angles (tilt, rot).
    euler_degrees : (n, 3) rot, tilt, psi as RELION has them.
    shift_angstrom : (n, 2) x, y by which the content moves to be centred.
    defocus_angstrom : (n,) mean of U and V, underfocus positive.
    phase_shift_degrees : (n,).
    """

    view_direction: Float[np.ndarray, "n 3"] | None = None
    euler_degrees: Float[np.ndarray, "n 3"] | None = None
    shift_angstrom: Float[np.ndarray, "n 2"] | None = None
    defocus_angstrom: Float[np.ndarray, " n"] | None = None
    phase_shift_degrees: Float[np.ndarray, " n"] | None = None

    def columns(self) -> dict[str, np.ndarray]:
        """Columns (n,) for the table of particles; a phase shift only where it varies."""
        table: dict[str, np.ndarray] = {}
        if self.euler_degrees is not None:
            names = ("rot_degrees", "tilt_degrees", "psi_degrees")
            table |= dict(zip(names, self.euler_degrees.T, strict=True))
        if self.shift_angstrom is not None:
            table |= dict(zip(("shift_x_angstrom", "shift_y_angstrom"), self.shift_angstrom.T, strict=True))
        if self.defocus_angstrom is not None:
            table["defocus_angstrom"] = self.defocus_angstrom
        if self.phase_shift_degrees is not None and np.ptp(self.phase_shift_degrees) > 0:
            table["phase_shift_degrees"] = self.phase_shift_degrees
        return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in table.items()}


def read_imaging(run: LoadedRun) -> Imaging:
    """Poses and CTF of the run's particles; an empty answer and a line in the log where files are gone."""
    try:
        particles = run_particles(run.folder, run.original_rows)
    except (InputError, OSError, KeyError) as error:
        logger.info("Nothing is said of poses and defocus: %s", str(error).splitlines()[0])
        return Imaging()
    extent_angstrom = run.pixel_size_angstrom * run.source.box_size
    return _imaging(particles, extent_angstrom)


def _imaging(particles: Particles, extent_angstrom: float) -> Imaging:
    poses, ctf = particles.poses, particles.ctf
    found: dict[str, np.ndarray] = {}
    if poses is not None:
        rotation = np.asarray(poses.rotation, dtype=np.float64)
        # a point r of the map appears at R r and is seen along z: the map is seen along the third row of R
        found["view_direction"] = np.ascontiguousarray(rotation[:, 2])
        found["euler_degrees"] = relion_euler_from_matrix(torch.from_numpy(rotation)).numpy()
        found["shift_angstrom"] = np.asarray(poses.shift_fraction * extent_angstrom, dtype=np.float64)
    if ctf is not None:
        found["defocus_angstrom"] = (ctf.defocus_u_angstrom + ctf.defocus_v_angstrom) / 2
        found["phase_shift_degrees"] = ctf.phase_shift_degrees
    return Imaging(**found)


def find_leaks(run: LoadedRun, imaging: Imaging, seed: int) -> tuple[Foretold, ...]:
    """What the latents tell of view, in-plane angle, shift, defocus, phase shift and contrast."""
    quantities: dict[str, np.ndarray] = {}
    if imaging.view_direction is not None and imaging.euler_degrees is not None:
        quantities["viewing direction"] = direction_columns(imaging.view_direction)
        quantities["in-plane angle"] = angle_columns(imaging.euler_degrees[:, 2])
    if imaging.shift_angstrom is not None:
        quantities["shift"] = imaging.shift_angstrom
    if imaging.defocus_angstrom is not None:
        quantities["defocus"] = scalar_columns(imaging.defocus_angstrom)
    if imaging.phase_shift_degrees is not None:
        quantities["phase shift"] = scalar_columns(imaging.phase_shift_degrees)
    if run.latents is not None:
        quantities["contrast"] = scalar_columns(run.latents.contrast)
    return foretold(run.z, quantities, seed=seed)


def in_words(leak: Foretold) -> str:
    """What a share means, in a sentence."""
    percent = f"{100 * max(leak.share, 0):.1f} %"
    by_chance = f"chance gives up to {100 * max(leak.chance, 0):.1f} %"
    if leak.share < FAINT or leak.share <= leak.chance:
        return f"not told by the latents ({percent} of its variance; {by_chance})"
    strength = "faintly" if leak.share < CLEAR else "clearly" if leak.share < STRONG else "strongly"
    if leak.component_share < FAINT:
        return (
            f"{strength} told ({percent}), but no component moves with it: it sets how far latents scatter, "
            "as where images with less signal lie nearer the middle"
        )
    return (
        f"{strength} told ({percent}), most of all by PC{leak.component}, of which it explains "
        f"{100 * leak.component_share:.0f} %: maps along it may differ for this reason alone"
    )


def verdict(leaks: tuple[Foretold, ...]) -> str:
    """One sentence on all of them."""
    if not leaks:
        return "Not tested: the run's poses and CTF were not found."
    told = [leak for leak in leaks if leak.share >= FAINT and leak.share > leak.chance]
    moving = [leak for leak in told if leak.component_share >= FAINT]
    names = " and ".join(leak.name for leak in moving or told)
    if not told:
        return "Latents tell nothing of how the particles were imaged."
    if not moving:
        return f"No component moves with what is not structure; only how far latents scatter tells {names}."
    if max(leak.share for leak in moving) < CLEAR:
        return f"Latents hold a faint trace of the {names}, little beside structure."
    return (
        f"Latents move with the {names}. Compare maps of particles that share it before reading them as "
        "structure; states that prefer a view, and junk of little contrast, do the same without a fault."
    )
