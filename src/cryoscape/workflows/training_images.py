"""Images of a training or evaluation run: read, preprocessed, placed in memory, on disk or on a GPU."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.memory import plan_store
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import ImageStack
from cryoscape.particles.store import build_store
from cryoscape.physics.grids import half_plane
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

GPU_SHARE_FOR_IMAGES = 0.6
"""Share of a GPU's free memory that images may take; the rest is for network and activations."""


@dataclass(frozen=True)
class ImageSource:
    """The files that say which images there are and what is known of them."""

    particles: Path
    poses: Path | None = None
    ctf: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None


def load_images(source: ImageSource, config: PreprocessConfig, folder: Path, on_disk: bool) -> FourierStore:
    """Coefficients of all images, in memory where they fit and `on_disk` is not asked for, else in `folder`.

    Raises InputError for unusable files (see `load_particles`, `build_store`).
    """
    particles = load_particles(
        source.particles, poses=source.poses, ctf=source.ctf, ind=source.ind, datadir=source.datadir
    )
    for notice in particles.notices:
        logger.warning("%s", notice)
    if particles.ctf is None:
        logger.warning("no CTF given: images are taken as not modulated; give --ctf where they are")
    stack = ImageStack.from_particles(particles)
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


def fingerprint(path: Path) -> dict[str, Any]:
    """Path, size and a hash of the first and last MiB: enough to see that a file was replaced."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        digest.update(stream.read(1 << 20))
        stream.seek(max(size - (1 << 20), 0))
        digest.update(stream.read())
    return {"path": str(path.resolve()), "bytes": size, "sha256_ends": digest.hexdigest()}
