"""Convert poses and CTF parameters of RELION and cryoSPARC to ``poses.pkl`` and ``ctf.pkl``."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import write_ctf, write_poses
from cryoscape.particles.checks import check_ctf, check_poses
from cryoscape.particles.from_cryosparc import particles_from_cryosparc
from cryoscape.particles.from_star import Overrides, particles_from_star
from cryoscape.particles.keys import KeyList, check_key_list_is_free, write_key_list
from cryoscape.particles.metadata import CtfTable, Particles, Poses
from cryoscape.physics.ctf import contrast_transfer

logger = logging.getLogger("cryoscape")

_PLOT_POINTS = 1024


@dataclass(frozen=True)
class ParseResult:
    """What was written: the file, how many particles, the values of the first one, and what was assumed."""

    path: Path
    n_particles: int
    first: dict[str, float]
    notices: tuple[str, ...]


def parse_pose_csparc(
    source: Path, output: Path, box_size: int | None = None, abinit: bool = False, hetrefine: bool = False
) -> ParseResult:
    """Write ``poses.pkl`` from a cryoSPARC refinement.

    Parameters
    ----------
    source, output
        The .cs (or .csg) file and the pickle to write.
    box_size
        Box in pixels; only needed where the file does not hold it, else compared with it.
    abinit, hetrefine
        See `particles_from_cryosparc`.

    Raises
    ------
    InputError
        Where fields are missing or poses are not usable.
    """
    _check_output(source, output)
    particles = particles_from_cryosparc(
        source,
        overrides=Overrides(box_size_px=box_size),
        poses="need",
        ctf="skip",
        locate=False,
        abinit=abinit,
        hetrefine=hetrefine,
    )
    return _save_poses(particles, output)


def parse_pose_star(
    source: Path, output: Path, box_size: int | None = None, pixel_size: float | None = None
) -> ParseResult:
    """Write ``poses.pkl`` from a RELION star file; box and pixel size (Å) override those of the file.

    Raises
    ------
    InputError
        Where columns are missing or poses are not usable.
    """
    _check_output(source, output)
    overrides = Overrides(box_size_px=box_size, pixel_size_angstrom=pixel_size)
    particles = particles_from_star(source, overrides=overrides, poses="need", ctf="skip", locate=False)
    return _save_poses(particles, output)


def parse_ctf_csparc(
    source: Path,
    output: Path,
    box_size: int | None = None,
    pixel_size: float | None = None,
    png: Path | None = None,
) -> ParseResult:
    """Write ``ctf.pkl`` from a cryoSPARC file, and a plot of the first particle's CTF to ``png``.

    Raises
    ------
    InputError
        Where fields are missing or values cannot be.
    """
    _check_output(source, output)
    overrides = Overrides(box_size_px=box_size, pixel_size_angstrom=pixel_size)
    particles = particles_from_cryosparc(source, overrides=overrides, poses="skip", ctf="need", locate=False)
    return _save_ctf(particles, output, png)


def parse_ctf_star(
    source: Path, output: Path, overrides: Overrides | None = None, png: Path | None = None
) -> ParseResult:
    """Write ``ctf.pkl`` from a RELION star file; ``overrides`` replace values of the file.

    Raises
    ------
    InputError
        Where a column is missing (the flag that gives its value is named) or values cannot be.
    """
    _check_output(source, output)
    particles = particles_from_star(source, overrides=overrides, poses="skip", ctf="need", locate=False)
    return _save_ctf(particles, output, png)


def _check_output(source: Path, output: Path) -> None:
    if output.suffix.lower() != ".pkl":
        raise InputError(f"{output}: the output must end in .pkl")
    if not source.exists():
        raise InputError(f"{source}: no such file")
    check_key_list_is_free(output)


def _save_poses(particles: Particles, output: Path) -> ParseResult:
    poses = particles.poses
    if poses is None:
        raise InputError(f"{particles.source}: no poses: use the particles of a refinement")
    check_poses(poses, particles.source)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_poses(output, poses.rotation, poses.shift_fraction)
    return _report(particles, output, _first_pose(poses))


def _first_pose(poses: Poses) -> dict[str, float]:
    values = {f"R{i}{j}": float(poses.rotation[0, i, j]) for i in range(3) for j in range(3)}
    x, y = poses.shift_fraction[0]
    return values | {"shift_x_fraction": float(x), "shift_y_fraction": float(y)}


def _save_ctf(particles: Particles, output: Path, png: Path | None) -> ParseResult:
    ctf = particles.ctf
    if ctf is None:
        raise InputError(f"{particles.source}: no CTF parameters in this file")
    notices = check_ctf(ctf, particles.source)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_ctf(output, ctf.as_legacy())
    if png is not None:
        _plot_first(ctf, png)
    first = {name: float(getattr(ctf, name)[0]) for name in CtfTable.column_names()}
    return _report(replace(particles, notices=(*particles.notices, *notices)), output, first)


def _report(particles: Particles, output: Path, first: dict[str, float]) -> ParseResult:
    write_key_list(output, KeyList.of(particles))
    for notice in particles.notices:
        logger.warning("%s", notice)
    logger.info("first particle: %s", ", ".join(f"{name} {value:.6g}" for name, value in first.items()))
    logger.info("%d particles parsed, written to %s", len(particles), output)
    return ParseResult(output, len(particles), first, particles.notices)


def _plot_first(ctf: CtfTable, png: Path) -> None:
    """Plot the CTF of the first particle: an image and a curve up to Nyquist."""
    from cryoscape.plotting.ctf import plot_ctf

    parameters = ctf.parameters(np.zeros(1, dtype=np.int64))
    box, pixel_size = int(ctf.box_size_px[0]), float(ctf.pixel_size_angstrom[0])
    axis = (torch.arange(box) - box // 2) / (box * pixel_size)
    ky, kx = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([kx, ky], dim=-1).reshape(-1, 2)
    line = torch.linspace(0, 0.5 / pixel_size, _PLOT_POINTS)
    curve = contrast_transfer(torch.stack([line, torch.zeros_like(line)], dim=-1), parameters)[0]
    image = contrast_transfer(grid, parameters)[0].reshape(box, box)
    title = (
        f"first particle: defocus {ctf.defocus_u_angstrom[0]:.0f} / {ctf.defocus_v_angstrom[0]:.0f} Å, "
        f"{ctf.voltage_kv[0]:g} kV, {pixel_size:.4g} Å/px"
    )
    figure = plot_ctf(image.numpy(), line.numpy(), curve.numpy(), title)
    png.parent.mkdir(parents=True, exist_ok=True)
    with replace_when_done(png) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    logger.info("CTF of the first particle plotted in %s", png)
