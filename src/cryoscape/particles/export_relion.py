"""Poses and CTF of particles as the tables of a RELION star file."""

from typing import Literal

import numpy as np
import pandas as pd
import torch

from cryoscape.errors import InputError
from cryoscape.particles.export_origin import OPTICS_NAME
from cryoscape.particles.from_star import ANGLES
from cryoscape.particles.metadata import CtfTable, Particles
from cryoscape.physics.rotations import relion_euler_from_matrix

Dialect = Literal["relion30", "relion31"]
_DECIMALS = 6
"""Of angles (degrees) and origins, as RELION prints them."""
_MAGNIFICATION = 10000.0
"""With it, RELION 3.0's detector pixel in micrometres has the number of the pixel size in angstrom."""


def relion_tables(
    particles: Particles,
    image_names: np.ndarray,
    image_size_px: int,
    dialect: Dialect,
    origin: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Tables of particles and, from RELION 3.1 on, of optics groups.

    Box and pixel size are those of the images that are named, whatever box the CTF was estimated at. Origins
    are in angstrom, for RELION 3.0 in pixels of these images. Particles of equal voltage, spherical
    aberration, amplitude contrast, pixel size and name of their group, where that is known, form an optics
    group; groups count from 1 in order of appearance.

    Parameters
    ----------
    particles
        N particles with CTF, their box that of the images; poses are written where there are any.
    image_names
        (N,) text, ``number@file``.
    image_size_px
        Side of the images in their files.
    dialect
        Which RELION to write for.
    origin
        What else is known of each particle, as `origin_columns` tells it.

    Raises
    ------
    InputError
        If the CTF, and with it the pixel size, is not known.
    """
    ctf, box = particles.ctf, particles.box_size_px
    if ctf is None or box is None:
        raise InputError(f"{particles.source}: no CTF: give ctf.pkl, or a .star or .cs file that holds it")
    pixel_size = ctf.pixel_size_at(box)
    columns: dict[str, np.ndarray] = {
        "rlnImageName": image_names,
        "rlnDefocusU": _plain(ctf.defocus_u_angstrom),
        "rlnDefocusV": _plain(ctf.defocus_v_angstrom),
        "rlnDefocusAngle": _plain(ctf.defocus_angle_degrees),
        "rlnPhaseShift": _plain(ctf.phase_shift_degrees),
    }
    columns |= _pose_columns(particles, box, pixel_size, dialect)
    known = {} if origin is None else {str(name): origin[name].to_numpy() for name in origin.columns}
    group_name = known.pop(OPTICS_NAME, None)
    columns |= known
    optics = _optics_columns(ctf, pixel_size)
    if dialect == "relion30":
        del optics["rlnImagePixelSize"]
        columns |= optics
        columns["rlnMagnification"] = np.full(len(particles), _MAGNIFICATION)
        columns["rlnDetectorPixelSize"] = _plain(pixel_size)
        return pd.DataFrame(columns), None
    groups, number = _groups(pd.DataFrame(optics), group_name)
    columns["rlnOpticsGroup"] = number
    groups["rlnImageSize"] = image_size_px
    groups["rlnImageDimensionality"] = 2
    return pd.DataFrame(columns), groups


def _pose_columns(
    particles: Particles, box: int, pixel_size: np.ndarray, dialect: Dialect
) -> dict[str, np.ndarray]:
    poses = particles.poses
    if poses is None:
        return {}
    angles = relion_euler_from_matrix(torch.from_numpy(poses.rotation)).numpy().round(_DECIMALS)
    pixels = poses.shift_fraction * box
    columns = {name: angles[:, axis] for axis, name in enumerate(ANGLES)}
    for axis, name in enumerate(("rlnOriginX", "rlnOriginY")):
        if dialect == "relion30":
            columns[name] = pixels[:, axis].round(_DECIMALS)
        else:
            columns[f"{name}Angst"] = (pixels[:, axis] * pixel_size).round(_DECIMALS)
    return columns


def _optics_columns(ctf: CtfTable, pixel_size: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "rlnVoltage": _plain(ctf.voltage_kv),
        "rlnSphericalAberration": _plain(ctf.spherical_aberration_mm),
        "rlnAmplitudeContrast": _plain(ctf.amplitude_contrast),
        "rlnImagePixelSize": _plain(pixel_size),
    }


def _groups(optics: pd.DataFrame, name: np.ndarray | None) -> tuple[pd.DataFrame, np.ndarray]:
    """One row an optics group, with its number and name, and the number (N,) of each particle's group.

    Names are those given, with a number added where groups of one name differ; else opticsGroup1, 2...
    """
    if name is not None:
        optics = optics.assign(**{OPTICS_NAME: name})
    number = optics.groupby(list(optics.columns), sort=False).ngroup().to_numpy() + 1
    groups = optics.drop_duplicates().reset_index(drop=True)
    numbered = [f"opticsGroup{i}" for i in range(1, len(groups) + 1)]
    if name is not None:
        given = groups.pop(OPTICS_NAME)
        again = given.groupby(given).cumcount().tolist()
        numbered = [f"{old}_{i + 1}" if i else str(old) for old, i in zip(given, again, strict=True)]
    groups.insert(0, "rlnOpticsGroup", np.arange(1, len(groups) + 1))
    groups.insert(1, OPTICS_NAME, numbered)
    return groups, number.astype(np.int64)


def _plain(values: np.ndarray) -> np.ndarray:
    """Numbers that came from float32 (as those of ctf.pkl do) as such: 2.7 is then printed as 2.7."""
    short = values.astype(np.float32)
    return short if np.allclose(short, values, rtol=1e-7, atol=0) else values
