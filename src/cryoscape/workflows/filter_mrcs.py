"""A stack of selected images, their values as they are."""

import logging
from pathlib import Path

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.mrc import StackWriter, open_mrc
from cryoscape.particles.export import keys_of_selected
from cryoscape.particles.keys import write_key_list
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import describe_stack_file
from cryoscape.workflows.disk import check_free_space
from cryoscape.workflows.export_request import check_targets
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

_BATCH_BYTES = 64 * 1024**2


def filter_mrcs(
    source: Path, ind: Path, output: Path | None = None, datadir: Path | None = None, force: bool = False
) -> Path:
    """Write the selected images, in the order of the selection, to one stack; answers its path.

    Half precision stays so, all other types become float32, which holds their values. An odd box stays odd.

    Parameters
    ----------
    source
        Stack, list of stacks, .star or .cs file.
    ind
        Pickled selection, rows of the original input.
    output
        .mrcs file [`source` with the name of the selection added, in its folder].

    Raises
    ------
    InputError
        As `load_particles`; for an output that is no .mrcs or exists; for too little room on the disk.
    """
    output = source.with_name(f"{source.stem}_{ind.stem}.mrcs") if output is None else output
    if output.suffix.lower() not in (".mrcs", ".mrc"):
        raise InputError(f"{output}: the output must end in .mrcs")
    particles = load_particles(source, ind=ind, datadir=datadir, images_only=True)
    images = particles.images
    if images is None:
        raise InputError(f"{source}: names no image files")
    files = [describe_stack_file(path) for path in images.files]
    check_targets([output], [source, *images.files], force, keyed=[output])
    half = all(file.dtype.newbyteorder("=") == np.float16 for file in files)
    box, n = files[0].box_size, len(particles)
    check_free_space(output, n * box**2 * (2 if half else 4))
    maps = [open_mrc(path) for path in images.files]
    batch = max(1, _BATCH_BYTES // (box * box * 4))
    pixel_size = files[0].pixel_size_angstrom
    with (
        StackWriter(output, n, box, pixel_size, "float16" if half else "float32") as writer,
        progress(n, "images") as update,
    ):
        for start in range(0, n, batch):
            rows = np.arange(start, min(start + batch, n))
            block = np.empty((len(rows), box, box), np.float16 if half else np.float32)
            for file in np.unique(images.file_index[rows]):
                own = images.file_index[rows] == file
                block[own] = maps[file][images.image_index[rows][own]]
            writer.append(block)
            update(int(rows[-1]) + 1)
    write_key_list(output, keys_of_selected(particles))
    logger.info("%d of %d images of %s written to %s", n, particles.n_original, source, output)
    return output
