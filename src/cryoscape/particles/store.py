"""Build a Fourier store from images, in memory or on disk, and open it again."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.memory import working_batch
from cryoscape.particles.metadata import CtfTable, ImageAddresses, Particles, Poses
from cryoscape.particles.preprocessing import Preprocessor, measure
from cryoscape.particles.stack import ImageStack, find_bad_images
from cryoscape.particles.threads import usable_cores
from cryoscape.physics.grids import half_plane

__all__ = ["FourierStore", "PreprocessConfig", "build_store", "is_store", "open_store"]

logger = logging.getLogger("cryoscape")

FORMAT = "cryoscape Fourier store"
FORMAT_VERSION = 1
HEADER_NAME = "store.json"
COEFFICIENTS_NAME = "coefficients.npy"
TABLE_NAME = "particles.npz"
_HALF_SAMPLE = 500


def build_store(
    particles: Particles,
    stack: ImageStack,
    config: PreprocessConfig | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FourierStore:
    """Read every image once and keep its coefficients, in memory or in the folder ``cache``.

    Parameters
    ----------
    particles, stack
        N particles and their images, in the same order. Without poses images are not moved.
    config
        Sign, window, radius and storage type.
    cache
        Folder for a memory-mapped store. One already there that was made from the same input with the same
        settings is opened instead; another one is replaced.
    progress
        Called with (images done, images in all).

    Returns
    -------
    FourierStore
        Images that are constant or not finite are left out and listed in ``excluded_rows``.

    Raises
    ------
    InputError
        If ``cache`` is something else than a store, or no image holds a signal.
    """
    config = PreprocessConfig() if config is None else config
    if len(particles) != len(stack):
        raise InputError(f"{particles.source}: {len(particles)} particles but {len(stack)} images")
    fingerprint = store_fingerprint(particles, stack, config)
    if cache is not None and cache.exists():
        if is_store_of(cache, particles, stack, config):
            return open_store(cache)
        logger.info("%s: made from other input or settings, building it again", cache)
    if cache is None:
        return _fill(particles, stack, config, None, progress)
    partial = cache.with_name(f".{cache.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        built = _fill(particles, stack, config, partial / COEFFICIENTS_NAME, progress)
        _write_tables(partial, built, fingerprint)
        del built
        if cache.exists():
            shutil.rmtree(cache)
        partial.rename(cache)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return open_store(cache)


def _fill(
    particles: Particles,
    stack: ImageStack,
    config: PreprocessConfig,
    path: Path | None,
    progress: Callable[[int, int], None] | None,
) -> FourierStore:
    plane = half_plane(stack.box_size, config.max_radius)
    statistics = measure(stack, config)
    if statistics.subtract_background and config.background == "auto":
        logger.warning(
            "images are not normalised (background mean %.1f standard deviations): each one's is subtracted",
            statistics.background_in_std,
        )
    shape = (len(stack), plane.n_pixels, 2)
    values: np.ndarray
    if path is None:
        values = np.empty(shape, dtype=config.dtype)
    else:
        values = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(config.dtype), shape=shape)
    with ThreadPoolExecutor(usable_cores()) as executor:
        transform = Preprocessor(plane, config, statistics, executor)
        pixel_scale = _pixel_scale(stack, transform) if config.dtype == "float16" else None
        bad = _transform_all(particles, stack, transform, values, pixel_scale, progress)
    excluded = particles.row[bad]
    if len(bad):
        values, particles = values[: len(stack) - len(bad)], _leave_out(particles, bad)
    return FourierStore(
        plane, values, statistics.scale, particles, config, pixel_scale, excluded_rows=excluded
    )


def _transform_all(
    particles: Particles,
    stack: ImageStack,
    transform: Preprocessor,
    values: np.ndarray,
    pixel_scale: torch.Tensor | None,
    progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    """Fill ``values`` from its start with the coefficients of good images; answer positions of the others."""
    bad_positions = [np.zeros(0, np.int64)]
    n_kept = n_done = 0
    for positions, images in stack.iterate(working_batch(stack.box_size)):
        n_done += len(positions)
        bad = find_bad_images(images)
        if bad.any():
            bad_positions.append(positions[bad])
            positions, images = positions[~bad], images[~bad]
        shift = None if particles.poses is None else particles.poses.shift_fraction[positions]
        transform.fill(values[n_kept : n_kept + len(positions)], images, shift, pixel_scale)
        n_kept += len(positions)
        if progress is not None:
            progress(n_done, len(stack))
    return np.concatenate(bad_positions)


def _leave_out(particles: Particles, positions: np.ndarray) -> Particles:
    rows = particles.row[positions]
    names = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
    logger.warning("%d images are constant or not finite and are left out: rows %s", len(rows), names)
    keep = np.ones(len(particles), dtype=bool)
    keep[positions] = False
    if not keep.any():
        raise InputError(f"{particles.source}: all {len(particles)} images are constant or not finite")
    return particles.select(keep)


def _pixel_scale(stack: ImageStack, transform: Preprocessor) -> torch.Tensor:
    """Root mean square of each coefficient (P,) over a sample, smoothed over its shell.

    Divided by it, values are of order one: half precision neither overflows at low frequency nor loses
    digits at high frequency.
    """
    rows = np.arange(0, len(stack), max(1, len(stack) // _HALF_SAMPLE))
    images = stack.read(rows)
    good = ~find_bad_images(images)
    power = torch.from_numpy(transform(images[good], None)).abs().square().mean(dim=0)
    shell = transform.plane.radius.round().long()
    count = torch.bincount(shell).clamp(min=1)
    mean = torch.bincount(shell, weights=power) / count
    scale = mean.sqrt()[shell].float()
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def store_fingerprint(particles: Particles, stack: ImageStack, config: PreprocessConfig) -> str:
    """Digest of the input and the settings: image files (path, size, time), addresses, poses, CTF, config."""
    digest = hashlib.sha256(json.dumps([FORMAT_VERSION, asdict(config)]).encode())
    for file in stack.files:
        status = file.path.stat()
        digest.update(f"{file.path.resolve()} {status.st_size} {status.st_mtime_ns}\n".encode())
    for array in _arrays(particles).values():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _arrays(particles: Particles) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {"row": particles.row}
    if particles.images is not None:
        arrays["file_index"] = particles.images.file_index
        arrays["image_index"] = particles.images.image_index
    if particles.uid is not None:
        arrays["uid"] = particles.uid
    if particles.poses is not None:
        arrays["rotation"] = particles.poses.rotation
        arrays["shift_fraction"] = particles.poses.shift_fraction
    if particles.pixel_size_angstrom is not None:
        arrays["pixel_size_angstrom"] = particles.pixel_size_angstrom
    if particles.ctf is not None:
        arrays["ctf"] = np.stack([getattr(particles.ctf, name) for name in CtfTable.column_names()])
    return arrays


def _write_tables(folder: Path, store: FourierStore, fingerprint: str) -> None:
    particles = store.particles
    arrays = _arrays(particles) | {"excluded_rows": store.excluded_rows}
    if store.pixel_scale is not None:
        arrays["pixel_scale"] = store.pixel_scale.numpy()
    np.savez(folder / TABLE_NAME, allow_pickle=False, **arrays)
    header = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "fingerprint": fingerprint,
        "n_images": store.n,
        "box_size": store.box_size,
        "n_pixels": store.plane.n_pixels,
        "pixel_size_angstrom": store.pixel_size_angstrom,
        "scale": store.scale,
        "config": asdict(store.config),
        "source": str(particles.source.resolve()),
        "box_size_px": particles.box_size_px,
        "n_original": particles.n_original,
        "data_sign": particles.data_sign,
        "notices": list(particles.notices),
        "files": [] if particles.images is None else [str(file.resolve()) for file in particles.images.files],
    }
    # Written last: a folder with a header is whole.
    (folder / HEADER_NAME).write_text(json.dumps(header, indent=1))


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER_NAME
    try:
        header = json.loads(path.read_text())
    except (OSError, ValueError):
        raise InputError(
            f"{folder}: not a Fourier store (no readable {HEADER_NAME}); make one with preprocess"
        ) from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"{path}: not the header of a Fourier store; make one with preprocess")
    if header["version"] != FORMAT_VERSION:
        raise InputError(
            f"{path}: version {header['version']}, expected {FORMAT_VERSION}: run preprocess again"
        )
    return header


def is_store(path: Path) -> bool:
    """Whether a path is a folder made by `build_store` (or the preprocess command)."""
    return (path / HEADER_NAME).is_file()


def is_store_of(path: Path, particles: Particles, stack: ImageStack, config: PreprocessConfig) -> bool:
    """Whether a store was made from this input with these settings; InputError where it is not a store."""
    return bool(_read_header(path).get("fingerprint") == store_fingerprint(particles, stack, config))


def open_store(path: Path) -> FourierStore:
    """Open a store made by `build_store` in a folder; coefficients stay on disk, memory-mapped.

    Raises
    ------
    InputError
        If the folder is not a store, is damaged, or of another version.
    """
    header = _read_header(path)
    config = PreprocessConfig(**header["config"])
    plane = half_plane(header["box_size"], config.max_radius)
    with np.load(path / TABLE_NAME, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    try:
        # Copy-on-write: torch wants a writable buffer, and nothing here may change the file.
        values = np.load(path / COEFFICIENTS_NAME, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path / COEFFICIENTS_NAME}: damaged ({error}): run preprocess again") from None
    scale = arrays.get("pixel_scale")
    return FourierStore(
        plane,
        values[: header["n_images"]],
        header["scale"],
        _particles_from(header, arrays),
        config,
        None if scale is None else torch.from_numpy(scale),
        arrays["excluded_rows"],
    )


def _particles_from(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Particles:
    images = None
    if "file_index" in arrays:
        files = tuple(Path(file) for file in header["files"])
        images = ImageAddresses(files, arrays["file_index"], arrays["image_index"])
    return Particles(
        images=images,
        row=arrays["row"],
        uid=arrays.get("uid"),
        poses=Poses(arrays["rotation"], arrays["shift_fraction"]) if "rotation" in arrays else None,
        ctf=CtfTable(*arrays["ctf"]) if "ctf" in arrays else None,
        data_sign=header["data_sign"],
        source=Path(header["source"]),
        box_size_px=header["box_size_px"],
        n_original=header["n_original"],
        pixel_size_angstrom=arrays.get("pixel_size_angstrom"),
        notices=tuple(header["notices"]),
    )
