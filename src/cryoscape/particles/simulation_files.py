"""Files of a simulation: what programs read, and the truth kept apart from it."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.spatial.transform import Rotation

from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import write_ctf, write_poses
from cryoscape.io.mrc import write_volume
from cryoscape.io.star import write_star
from cryoscape.particles.simulation_drawing import DrawnParticles, ImagingConfig, junk_kind
from cryoscape.particles.simulation_states import State
from cryoscape.physics.rotations import relion_euler_from_matrix

STACK = "particles.mrcs"
STAR = "particles.star"
CRYOSPARC = "particles.cs"
POSES = "poses.pkl"
CTF = "ctf.pkl"
TRUTH = "truth"
LABELS = "labels.npy"
PARTICLES_TABLE = "particles.parquet"
STATES_TABLE = "states.csv"
MEAN_MAP = "mean.mrc"
RECORD = "simulation.yaml"


def write_metadata(folder: Path, particles: DrawnParticles, config: ImagingConfig) -> None:
    """Write poses and CTF as a RELION 3.1 star file, a cryoSPARC file, and pickles, in the stack's order."""
    optics, table = relion_tables(particles, config)
    write_star(folder / STAR, table, optics)
    with replace_when_done(folder / CRYOSPARC) as temporary, temporary.open("wb") as handle:
        np.save(handle, cryosparc_array(particles, config), allow_pickle=False)
    write_poses(folder / POSES, particles.poses.rotation, particles.poses.shift_fraction)
    write_ctf(folder / CTF, particles.ctf.as_legacy())


def relion_tables(particles: DrawnParticles, config: ImagingConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Optics and particles tables; images are named relative to the star file."""
    n, ctf = len(particles), particles.ctf
    optics = pd.DataFrame(
        {
            "rlnOpticsGroup": [1],
            "rlnOpticsGroupName": ["opticsGroup1"],
            "rlnVoltage": [config.voltage_kv],
            "rlnSphericalAberration": [config.spherical_aberration_mm],
            "rlnAmplitudeContrast": [config.amplitude_contrast],
            "rlnImagePixelSize": [config.pixel_size_angstrom],
            "rlnImageSize": [config.box_size],
            "rlnImageDimensionality": [2],
        }
    )
    angles = relion_euler_from_matrix(torch.from_numpy(particles.poses.rotation)).numpy().round(6)
    origin = (particles.poses.shift_fraction * config.box_size * config.pixel_size_angstrom).round(6)
    table = pd.DataFrame(
        {
            "rlnImageName": [f"{i:06d}@{STACK}" for i in range(1, n + 1)],
            "rlnMicrographName": ["simulated.mrc"] * n,
            "rlnOpticsGroup": np.ones(n, dtype=np.int64),
            "rlnDefocusU": ctf.defocus_u_angstrom.round(4),
            "rlnDefocusV": ctf.defocus_v_angstrom.round(4),
            "rlnDefocusAngle": ctf.defocus_angle_degrees.round(6),
            "rlnPhaseShift": ctf.phase_shift_degrees,
            "rlnAngleRot": angles[:, 0],
            "rlnAngleTilt": angles[:, 1],
            "rlnAnglePsi": angles[:, 2],
            "rlnOriginXAngst": origin[:, 0],
            "rlnOriginYAngst": origin[:, 1],
        }
    )
    return optics, table


def cryosparc_array(particles: DrawnParticles, config: ImagingConfig) -> np.ndarray:
    """Fields blob, ctf and alignments3D of a refinement's particles; blob/sign +1, particles are light."""
    n, ctf = len(particles), particles.ctf
    table = np.zeros(
        n,
        dtype=[
            ("uid", "<u8"), ("blob/path", f"S{len(STACK)}"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)),
            ("blob/psize_A", "<f4"), ("blob/sign", "<f4"), ("ctf/type", "S9"), ("ctf/accel_kv", "<f4"),
            ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"),
            ("ctf/df_angle_rad", "<f4"), ("ctf/phase_shift_rad", "<f4"), ("alignments3D/split", "<u4"),
            ("alignments3D/pose", "<f4", (3,)), ("alignments3D/shift", "<f4", (2,)),
            ("alignments3D/psize_A", "<f4"),
        ],
    )  # fmt: skip
    rng = np.random.default_rng([config.seed, 3])
    table["uid"] = rng.integers(2**40, 2**63, size=n, dtype=np.uint64)
    table["blob/path"], table["blob/idx"] = STACK.encode(), np.arange(n)
    table["blob/shape"], table["blob/psize_A"] = config.box_size, config.pixel_size_angstrom
    table["blob/sign"], table["ctf/type"] = 1, b"imported"
    table["ctf/accel_kv"], table["ctf/cs_mm"] = ctf.voltage_kv, ctf.spherical_aberration_mm
    table["ctf/amp_contrast"] = ctf.amplitude_contrast
    table["ctf/df1_A"], table["ctf/df2_A"] = ctf.defocus_u_angstrom, ctf.defocus_v_angstrom
    table["ctf/df_angle_rad"] = np.radians(ctf.defocus_angle_degrees)
    table["ctf/phase_shift_rad"] = np.radians(ctf.phase_shift_degrees)
    table["alignments3D/split"] = np.arange(n) % 2
    inverse = particles.poses.rotation.transpose(0, 2, 1)
    table["alignments3D/pose"] = Rotation.from_matrix(inverse).as_rotvec()
    table["alignments3D/shift"] = particles.poses.shift_fraction * config.box_size
    table["alignments3D/psize_A"] = config.pixel_size_angstrom
    return table


def map_name(number: int, state: State) -> str:
    """File name of the true map of a state."""
    return f"state_{number:03d}_{re.sub(r'[^A-Za-z0-9.-]+', '-', state.name)[:40]}.mrc"


def write_true_particles(folder: Path, particles: DrawnParticles, states: Sequence[State]) -> None:
    """Write the state of each particle: labels (N,) int64, -1 for junk, and a table of what was drawn."""
    with replace_when_done(folder / LABELS) as temporary, temporary.open("wb") as handle:
        np.save(handle, particles.label, allow_pickle=False)
    known = particles.label >= 0
    latent = np.array([state.latent for state in states])[particles.label]
    names = np.array([state.name for state in states])[particles.label]
    table = pd.DataFrame(
        {
            "row": np.arange(len(particles)),
            "label": particles.label,
            "state": np.where(known, names, "junk"),
            "junk": junk_kind(particles, len(states)),
            "latent": np.where(known, latent, np.nan),
            "contrast": particles.contrast,
        }
    )
    with replace_when_done(folder / PARTICLES_TABLE) as temporary:
        table.to_parquet(temporary, index=False)


def write_states_table(
    folder: Path, states: Sequence[State], electrons: Sequence[float], particles: DrawnParticles
) -> pd.DataFrame:
    """Write number, name, latent, share asked for, particles, electrons and map file of each state."""
    counts = np.bincount(particles.label[particles.label >= 0], minlength=len(states))
    table = pd.DataFrame(
        {
            "label": np.arange(len(states)),
            "state": [state.name for state in states],
            "latent": [state.latent for state in states],
            "fraction": [state.fraction for state in states],
            "particles": counts,
            "electrons": np.asarray(electrons, dtype=np.float64),
            "map": [map_name(i, state) for i, state in enumerate(states)],
        }
    )
    with replace_when_done(folder / STATES_TABLE) as temporary:
        table.to_csv(temporary, index=False)
    return table


def write_map(path: Path, density: torch.Tensor, config: ImagingConfig, centre_angstrom: np.ndarray) -> None:
    """Write a map whose origin lays it on the atomic models."""
    origin = centre_angstrom - (config.box_size // 2) * config.pixel_size_angstrom
    write_volume(path, density.numpy(), config.pixel_size_angstrom, tuple(float(v) for v in origin))
