"""Images of a training or evaluation run: read, preprocessed, placed in memory, on disk or on a GPU."""

import hashlib
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.memory import plan_store
from cryoscape.particles.metadata import Particles
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import ImageStack
from cryoscape.particles.store import HEADER_NAME, build_store, is_store, open_store
from cryoscape.physics.grids import half_plane
from cryoscape.typing import Rows
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

GPU_SHARE_FOR_IMAGES = 0.6
"""Share of a GPU's free memory that images may take; the rest is for network and activations."""


@dataclass(frozen=True)
class ImageSource:
    """The files that say which images there are and what is known of them.

    ``particles`` may be a store made by preprocess, which holds all the rest.
    """

    particles: Path
    poses: Path | None = None
    ctf: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None


@dataclass(frozen=True)
class FoundImages:
    """Particles with poses, and where their images are: in files not read yet, or in a store."""

    particles: Particles
    images: ImageStack | FourierStore

    @property
    def box_size(self) -> int:
        """Side of the images in pixels, even."""
        return self.images.box_size

    def of_rows(self, rows: Rows) -> "FoundImages":
        """Those with these rows of the original input, in that order; InputError where one is not there."""
        if isinstance(self.images, FourierStore):
            store = self.images.select_original(rows)
            return FoundImages(store.particles, store)
        particles = self.particles.select_original(rows)
        if particles.images is None:
            raise InputError(f"{particles.source}: names no image files")
        return FoundImages(particles, ImageStack(self.images.files, particles.images))


def find_images(source: ImageSource) -> FoundImages:
    """Check tables and headers of all files; reads no images and writes nothing.

    Raises InputError for unusable files (see `load_particles`, `ImageStack`) and where poses are missing.
    """
    if is_store(source.particles):
        return _find_store(source)
    particles = load_particles(
        source.particles,
        poses=source.poses,
        ctf=source.ctf,
        ind=source.ind,
        datadir=source.datadir,
        require_poses=True,
    )
    stack = ImageStack.from_particles(particles)
    if particles.ctf is None:
        logger.warning("no CTF given: images are taken as not modulated; give --ctf where they are")
    return FoundImages(particles, stack)


def _find_store(source: ImageSource) -> FoundImages:
    beside = {"--poses": source.poses, "--ctf": source.ctf, "--ind": source.ind, "--datadir": source.datadir}
    given = [flag for flag, value in beside.items() if value is not None]
    if given:
        raise InputError(
            f"{source.particles}: a store has its own poses, CTF and rows; give {given[0]} to preprocess"
        )
    store = open_store(source.particles)
    if store.particles.poses is None:
        raise InputError(f"{source.particles}: made without poses; run preprocess again with --poses")
    if store.config.max_radius is not None and store.config.max_radius < store.box_size // 2:
        raise InputError(
            f"{source.particles}: holds frequencies up to {store.config.max_radius:g} of "
            f"{store.box_size // 2} only; run preprocess again without --max-radius"
        )
    logger.info(
        "images as preprocessed: %s, %s",
        "inverted" if store.config.invert else "not inverted",
        f"window from {store.config.window_radius:g}" if store.config.window else "no window",
    )
    return FoundImages(store.particles, store)


def dataset_args(source: ImageSource, store: FourierStore, norm_std: float) -> dict[str, Any]:
    """What config.yaml keeps of the images, in upstream's layout: files, sign, window and normalisation."""

    def absolute(path: Path | None) -> str | None:
        return None if path is None else str(path.resolve())

    return {
        "particles": absolute(source.particles),
        "norm": [0.0, norm_std],
        "invert_data": store.config.invert,
        "ind": absolute(source.ind),
        "keepreal": False,
        "window": store.config.window,
        "window_r": store.config.window_radius,
        "datadir": absolute(source.datadir),
        "ctf": absolute(source.ctf),
        "poses": absolute(source.poses),
        "do_pose_sgd": False,
        "background": store.config.background,
    }


def load_images(found: FoundImages, config: PreprocessConfig, folder: Path, on_disk: bool) -> FourierStore:
    """Coefficients of all images, in memory where they fit and `on_disk` is not asked for, else in `folder`.

    Raises InputError where no image holds a signal (see `build_store`).
    """
    particles, stack = found.particles, found.images
    if isinstance(stack, FourierStore):
        return stack
    plan = plan_store(len(particles), stack.box_size, half_plane(stack.box_size).n_pixels)
    logger.info("%s", plan.describe())
    on_disk = on_disk or not plan.in_memory
    if on_disk:
        config = replace(config, dtype="float16")
    cache = folder / "image_store" if on_disk else None
    with progress(len(particles), "reading images") as update:
        store = build_store(particles, stack, config, cache, lambda done, _: update(done))
    if len(store.excluded_rows):
        logger.warning("left out, constant or not finite: rows %s", store.excluded_rows[:40].tolist())
    if plan.cache_ctf:
        store.cache_ctf()
    return store


def to_device(store: FourierStore, device: torch.device) -> FourierStore:
    """The store on the GPU where it fits beside the network, else where it is."""
    if device.type != "cuda":
        return store
    free, _ = torch.cuda.mem_get_info(device)
    needed = store.coefficients.nbytes
    if needed > GPU_SHARE_FOR_IMAGES * free:
        logger.info(
            "images (%.1f GiB) stay in host memory, %.1f GiB free on GPU", needed / 2**30, free / 2**30
        )
        return store
    return store.to(device)


def training_record(
    command: Sequence[str], seed: int, store: FourierStore, inputs: Iterable[Path | None]
) -> dict[str, Any]:
    """What run.json tells of every training: how it was called, on which images, and from which files."""
    return {
        "command": list(command) or sys.argv,
        "seed": seed,
        "pixel_size_angstrom": store.pixel_size_angstrom or None,
        "n_images": store.n,
        "excluded_rows": store.excluded_rows.tolist(),
        "inputs": [fingerprint(path) for path in inputs if path is not None],
    }


def fingerprint(path: Path) -> dict[str, Any]:
    """Path, size and a hash of the first and last MiB: enough to see that a file was replaced."""
    if path.is_dir():
        path = path / HEADER_NAME
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        digest.update(stream.read(1 << 20))
        stream.seek(max(size - (1 << 20), 0))
        digest.update(stream.read())
    return {"path": str(path.resolve()), "bytes": size, "sha256_ends": digest.hexdigest()}
