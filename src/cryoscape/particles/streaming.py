"""Pass once over images too many for memory: blocks of coefficients, each a small Fourier store."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.memory import working_batch
from cryoscape.particles.metadata import Particles
from cryoscape.particles.preprocessing import Preprocessor, measure
from cryoscape.particles.stack import ImageStack, find_bad_images
from cryoscape.particles.threads import usable_cores
from cryoscape.physics.grids import half_plane


def stream_blocks(
    particles: Particles, stack: ImageStack, config: PreprocessConfig
) -> Iterator[tuple[np.ndarray, FourierStore]]:
    """Yield (positions, store) of a block of images after the other; a thread reads ahead.

    The same coefficients as `build_store` makes. Constant and non-finite images are in ``excluded_rows`` of
    their block and not among its positions; a block may be empty.
    """
    plane = half_plane(stack.box_size, config.max_radius)
    statistics = measure(stack, config)
    with ThreadPoolExecutor(usable_cores()) as executor:
        transform = Preprocessor(plane, config, statistics, executor)
        for positions, images in stack.iterate(working_batch(stack.box_size)):
            bad = find_bad_images(images)
            good = positions[~bad]
            shift = None if particles.poses is None else particles.poses.shift_fraction[good]
            values = np.empty((len(good), plane.n_pixels, 2), dtype=np.float32)
            transform.fill(values, images[~bad] if bad.any() else images, shift)
            block = particles.select(good)
            yield (
                good,
                FourierStore(
                    plane,
                    values,
                    statistics.scale,
                    block,
                    config,
                    excluded_rows=particles.row[positions[bad]],
                ),
            )
