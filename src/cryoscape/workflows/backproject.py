"""Back-project particles to a map with half maps, and say whether sign, poses and CTF look right."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cryoscape.analysis.data_sign import map_sign
from cryoscape.analysis.reference_map import match_reference
from cryoscape.errors import InputError
from cryoscape.io.mrc import read_volume
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.metadata import Particles
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import ImageStack
from cryoscape.particles.store import build_store, is_store, open_store
from cryoscape.particles.streaming import stream_blocks
from cryoscape.physics.backprojection import Backprojection, HalfSetAccumulator
from cryoscape.physics.fsc import FscCurves, half_map_curves, resolution_angstrom, resolution_shell
from cryoscape.physics.resampling import resample_volume
from cryoscape.workflows import backproject_verdict as verdict
from cryoscape.workflows.backproject_files import BackprojectFiles, output_files, write_results
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

_STORE_BLOCK = 2000


@dataclass(frozen=True)
class BackprojectRequest:
    """What to back-project, and where to.

    Attributes
    ----------
    output : a .mrc file, beside which the other files go, or a folder.
    first : use only the first so many particles.
    reference : map to compare with; may have another box and pixel size.
    pixel_size_angstrom : of the images, where files do not tell it.
    regularisation : see `physics.backprojection.solve`.
    """

    particles: Path
    output: Path
    poses: Path | None = None
    ctf: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None
    invert: bool = True
    first: int | None = None
    reference: Path | None = None
    pixel_size_angstrom: float | None = None
    regularisation: float = 0.1
    half_maps: bool = True
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class BackprojectResult:
    """Maps and what they say; ``files`` is None where images have no poses and only the sign was tested."""

    files: BackprojectFiles | None
    findings: tuple[verdict.Finding, ...]
    n_images: int
    resolution_angstrom: float
    resolution_half_angstrom: float


@dataclass(frozen=True)
class _Source:
    particles: Particles
    images: ImageStack | FourierStore
    config: PreprocessConfig


def backproject(request: BackprojectRequest) -> BackprojectResult:
    """Make the map, its half maps and FSC, and a verdict.

    Without poses nothing can be reconstructed: only the sign of the images is tested then.

    Raises
    ------
    InputError
        For input that does not fit together, or an output that would replace something else.
    """
    source = _open(request)
    reference = None if request.reference is None else read_volume(request.reference)
    pixel_size = _pixel_size(request, source)
    some = _some_images(source)
    sign, trials = verdict.try_on(some, request.seed)
    told = source.particles.data_sign
    inverted = source.config.invert
    if source.particles.poses is None:
        logger.warning("no poses given: no map can be made, only the sign of the images is tested")
        finding = verdict.sign_finding(sign, None, inverted, told)
        logger.info("%s", finding.line())
        return BackprojectResult(None, (finding,), some.n, float("nan"), float("nan"))
    files = output_files(request.output, request.half_maps)
    maps, n_excluded = _reconstruct(source, request)
    curves = half_map_curves(maps.half_a, maps.half_b, pixel_size)
    box = maps.full.shape[-1]
    findings = [verdict.sign_finding(sign, map_sign(maps.full), inverted, told)]
    findings += verdict.pose_findings(trials)
    resolutions = [resolution_angstrom(curves.corrected, limit, box, pixel_size) for limit in (0.143, 0.5)]
    if reference is not None:
        findings.append(
            _compare(maps, curves, reference.data, reference.pixel_size_angstrom or pixel_size, pixel_size)
        )
    lines = _summary(maps, n_excluded, pixel_size, resolutions, findings)
    write_results(files, maps, curves, pixel_size, lines)
    for line in lines:
        logger.info("%s", line)
    logger.info("map: %s", files.full)
    return BackprojectResult(files, tuple(findings), sum(maps.n_images), resolutions[0], resolutions[1])


def _open(request: BackprojectRequest) -> _Source:
    if request.first is not None and request.first < 1:
        raise InputError(f"--first {request.first}: expected at least 1")
    if is_store(request.particles):
        given = {"--poses": request.poses, "--ctf": request.ctf, "--ind": request.ind}
        extra = [flag for flag, value in given.items() if value is not None]
        if extra:
            raise InputError(
                f"{request.particles}: a store has its own poses, CTF and rows; give {extra[0]} to preprocess"
            )
        store = open_store(request.particles)
        if request.first is not None:
            store = store.select_original(store.particles.row[: request.first])
        return _Source(store.particles, store, store.config)
    particles = load_particles(
        request.particles, request.poses, request.ctf, request.ind, datadir=request.datadir
    )
    if request.first is not None:
        particles = particles.select(np.arange(min(request.first, len(particles))))
    if particles.ctf is None:
        logger.warning("no CTF given: images are taken as not modulated; give --ctf where they are")
    config = PreprocessConfig(invert=request.invert)
    return _Source(particles, ImageStack.from_particles(particles), config)


def _pixel_size(request: BackprojectRequest, source: _Source) -> float:
    known = source.images.pixel_size_angstrom
    if request.pixel_size_angstrom is not None:
        return request.pixel_size_angstrom
    if not known:
        logger.warning("the pixel size is not known: maps are written with 1 A a voxel; give --Apix")
    return known or 1.0


def _some_images(source: _Source) -> FourierStore:
    rows = verdict.chosen_rows(len(source.particles))
    if isinstance(source.images, FourierStore):
        return source.images.select_original(source.particles.row[rows])
    chosen = source.particles.select(rows)
    config = replace(source.config, max_radius=float(min(source.images.box_size // 2, 32)))
    return build_store(chosen, ImageStack.from_particles(chosen), config)


def _reconstruct(source: _Source, request: BackprojectRequest) -> tuple[Backprojection, int]:
    """Maps in the units of the images, and the number of images left out."""
    device = _device(request.device)
    box = source.images.box_size
    accumulator = HalfSetAccumulator(box // 2, device=device)
    n_excluded, scale, done = 0, 1.0, 0
    start = time.monotonic()
    with progress(len(source.particles), "back-projecting") as update:
        for positions, block in _blocks(source):
            rows = torch.arange(block.n)
            accumulator.add(
                block.batch(rows).to(device),
                block.ctf(rows).to(device),
                block.rotations.to(device),
                block.plane.k.to(device),
                torch.from_numpy(positions % 2).to(device),
            )
            scale, n_excluded = block.scale, n_excluded + len(block.excluded_rows)
            done += len(positions) + len(block.excluded_rows)
            update(done)
    if n_excluded:
        logger.warning("%d images are constant or not finite and are left out", n_excluded)
    maps = accumulator.reconstruct(box, request.regularisation)
    logger.info("%d images in %.1f s", sum(maps.n_images), time.monotonic() - start)
    return replace(
        maps,
        full=maps.full.cpu() * scale,
        half_a=maps.half_a.cpu() * scale,
        half_b=maps.half_b.cpu() * scale,
    ), n_excluded


def _blocks(source: _Source) -> Iterator[tuple[np.ndarray, FourierStore]]:
    if not isinstance(source.images, FourierStore):
        yield from stream_blocks(source.particles, source.images, source.config)
        return
    for start in range(0, source.images.n, _STORE_BLOCK):
        positions = np.arange(start, min(start + _STORE_BLOCK, source.images.n))
        yield positions, source.images.select_original(source.particles.row[positions])


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise InputError(f"--device {name}: expected auto, cpu, cuda or mps") from None


def _compare(
    maps: Backprojection,
    curves: FscCurves,
    reference: np.ndarray,
    reference_pixel_size: float,
    pixel_size: float,
) -> verdict.Finding:
    box = maps.full.shape[-1]
    resampled = resample_volume(torch.from_numpy(reference).float(), reference_pixel_size, box, pixel_size)
    last = resolution_shell(curves.tight, 0.5) or box / 2
    match = match_reference(maps.full, resampled, int(last))
    return verdict.reference_finding(match, box * pixel_size / match.last_shell)


def _summary(
    maps: Backprojection,
    n_excluded: int,
    pixel_size: float,
    resolutions: list[float],
    findings: list[verdict.Finding],
) -> list[str]:
    box = maps.full.shape[-1]
    left_out = f" ({n_excluded} left out)" if n_excluded else ""
    limit = " (the Nyquist limit)" if resolutions[0] <= 2 * pixel_size else ""
    return [
        f"{sum(maps.n_images)} particles{left_out}, {box} px, {pixel_size:.4g} A a pixel",
        f"Resolution: {resolutions[0]:.1f} A at FSC 0.143{limit}, {resolutions[1]:.1f} A at 0.5 "
        "(half maps, corrected for the mask)",
        *(finding.line() for finding in findings),
    ]
