"""Make a Fourier store on disk, so that training and reconstruction start at once and need little memory."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from cryoscape.errors import InputError
from cryoscape.particles.memory import MemoryPlan, plan_store
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import ImageStack
from cryoscape.particles.store import PreprocessConfig, build_store, is_store_of
from cryoscape.physics.grids import half_plane
from cryoscape.workflows.disk import check_free_space
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class PreprocessResult:
    """The folder of the store and what it holds."""

    folder: Path
    n_images: int
    n_excluded: int
    box_size: int
    n_pixels: int
    plan: MemoryPlan


def preprocess(
    particles: Path,
    output: Path,
    poses: Path | None = None,
    ctf: Path | None = None,
    ind: Path | None = None,
    datadir: Path | None = None,
    config: PreprocessConfig | None = None,
    force: bool = False,
) -> PreprocessResult:
    """Read all images once and write their Fourier coefficients to the folder ``output``.

    A store there that was made from the same input with the same settings is kept as it is; another one is
    replaced only with ``force``.

    Raises
    ------
    InputError
        For input that does not fit together, or an output that would replace something else.
    """
    config = PreprocessConfig() if config is None else config
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; the output of preprocess is a folder")
    table = load_particles(particles, poses, ctf, ind, datadir)
    stack = ImageStack.from_particles(table)
    if not force and output.exists() and not is_store_of(output, table, stack, config):
        raise InputError(f"{output}: holds a store of other input or settings; give --force or another -o")
    n_pixels = half_plane(stack.box_size, config.max_radius).n_pixels
    itemsize = 2 if config.dtype == "float16" else 4
    plan = plan_store(len(stack), stack.box_size, n_pixels, itemsize, stack.source_itemsize)
    logger.info("%s", plan.describe())
    start = time.monotonic()
    check_free_space(output, plan.store_bytes)
    output.parent.mkdir(parents=True, exist_ok=True)
    with progress(len(stack), "preprocess") as update:
        store = build_store(table, stack, config, output, lambda done, _total: update(done))
    rate = len(stack) / max(time.monotonic() - start, 1e-9)
    logger.info("%d images of %d px in %s (%.0f a second)", store.n, store.box_size, output, rate)
    return PreprocessResult(output, store.n, len(store.excluded_rows), store.box_size, n_pixels, plan)
