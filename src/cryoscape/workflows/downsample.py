"""Shrink images (or a volume) by cropping their Fourier transforms, streaming so that any stack fits."""

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.io.mrc import StackWriter, read_volume, write_volume
from cryoscape.io.stack_list import write_stack_list
from cryoscape.particles.export import keys_of_selected
from cryoscape.particles.keys import check_key_list_is_free, write_key_list
from cryoscape.particles.memory import working_batch
from cryoscape.particles.metadata import Particles
from cryoscape.particles.readers import load_particles
from cryoscape.particles.resampling import shrink_images
from cryoscape.particles.stack import ImageStack, find_bad_images, prefetch
from cryoscape.particles.threads import usable_cores
from cryoscape.physics.fourier import crop_volume
from cryoscape.workflows.disk import check_free_space
from cryoscape.workflows.downsample_star import write_downsampled_star
from cryoscape.workflows.progress import format_seconds, progress

logger = logging.getLogger("cryoscape")

STACK_SUFFIXES = (".mrcs", ".mrc")


@dataclass(frozen=True)
class DownsampleResult:
    """What was written: the file named by the user, the stacks behind it, and how they are scaled."""

    output: Path
    stacks: tuple[Path, ...]
    n_images: int
    box_size: int
    pixel_size_angstrom: float
    bad_rows: tuple[int, ...]
    images_per_second: float


@dataclass(frozen=True)
class _Part:
    """One stack to write: which positions of the input it holds."""

    path: Path
    start: int
    stop: int


def downsample(
    source: Path,
    box_size: int,
    output: Path,
    chunk: int | None = None,
    datadir: Path | None = None,
    ind: Path | None = None,
    batch_size: int | None = None,
    outdir: Path | None = None,
    max_threads: int = 16,
) -> DownsampleResult:
    """Write images of side ``box_size``, their sum preserved, with the right pixel size in every header.

    Parameters
    ----------
    source, output
        Images (.mrc, .mrcs, .txt, .star, .cs); .mrcs or .mrc for stacks, .txt for stacks and their list,
        .star for stacks and the star file (from a star file) that names them.
    chunk
        Images a stack: ``stem.0.mrcs``, ``stem.1.mrcs`` ... and ``stem.txt``.
    datadir, ind
        See `load_particles`.
    batch_size
        Most images in memory at once.
    outdir
        Folder of the stacks where ``output`` is a list or star file; default its own.
    max_threads
        Most threads to use.

    Raises
    ------
    InputError
        For an odd box, one not smaller than that of the images, an output that would replace an input, or
        too little room on the disk.
    """
    _check_request(source, box_size, output, chunk)
    particles = load_particles(source, ind=ind, datadir=datadir, images_only=True)
    stack = ImageStack.from_particles(particles)
    if box_size > stack.box_size:
        raise InputError(
            f"-D {box_size}: larger than the images of {source} ({stack.box_size} px): give a smaller box"
        )
    parts = _parts(particles, output, chunk, outdir)
    keyed = output.with_suffix(".txt") if _has_list(output, chunk) else output
    _check_outputs(particles, output, parts)
    check_key_list_is_free(keyed)
    check_free_space(output, len(stack) * box_size**2 * 4)
    pixel_size = stack.pixel_size_angstrom * stack.box_size / box_size
    for path in {output.parent, *(part.path.parent for part in parts)}:
        path.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with ThreadPoolExecutor(usable_cores(max_threads)) as executor:
        bad = _write_stacks(stack, parts, box_size, pixel_size, batch_size, executor)
    seconds = max(time.monotonic() - start, 1e-9)
    _write_lists(particles, stack, output, parts, box_size, keyed)
    _report_bad(particles.row[bad])
    logger.info(
        "%d images %d -> %d px, %.4g A/px, written to %s in %s (%.0f a second)",
        len(stack),
        stack.box_size,
        box_size,
        pixel_size,
        output,
        format_seconds(seconds),
        len(stack) / seconds,
    )
    return DownsampleResult(
        output=output,
        stacks=tuple(part.path for part in parts),
        n_images=len(stack),
        box_size=box_size,
        pixel_size_angstrom=pixel_size,
        bad_rows=tuple(particles.row[bad].tolist()),
        images_per_second=len(stack) / seconds,
    )


def downsample_volume(source: Path, box_size: int, output: Path) -> DownsampleResult:
    """Write a volume cropped in Fourier space to ``box_size``, its density, extent and origin preserved.

    Raises
    ------
    InputError
        For a box that is odd or too large, a map that is not a cube, or an output that is the input.
    """
    _check_even(box_size)
    if output.suffix.lower() != ".mrc":
        raise InputError(f"{output}: the output for --is-vol must end in .mrc")
    if output.exists() and output.samefile(source):
        raise InputError(f"{output}: is the input; give another -o")
    volume = read_volume(source)
    size = volume.data.shape[0]
    if volume.data.shape != (size, size, size):
        raise InputError(f"{source}: volume is {' x '.join(map(str, volume.data.shape))}, expected a cube")
    if box_size > size:
        raise InputError(f"-D {box_size}: larger than {source} ({size} px): give a smaller box")
    pixel_size = volume.pixel_size_angstrom * size / box_size
    small = crop_volume(torch.from_numpy(volume.data), box_size).numpy()
    output.parent.mkdir(parents=True, exist_ok=True)
    write_volume(output, small, pixel_size, volume.origin_angstrom)
    logger.info("volume %d -> %d px, %.4g A/px, written to %s", size, box_size, pixel_size, output)
    return DownsampleResult(output, (output,), 1, box_size, pixel_size, (), 0.0)


def _check_even(box_size: int) -> None:
    if box_size < 2 or box_size % 2:
        raise InputError(
            f"-D {box_size}: the new box must be an even number of pixels, for example {box_size + 1}"
        )


def _check_request(source: Path, box_size: int, output: Path, chunk: int | None) -> None:
    _check_even(box_size)
    suffix = output.suffix.lower()
    if suffix not in (*STACK_SUFFIXES, ".txt", ".star"):
        raise InputError(f"{output}: expected an output that ends in .mrcs, .mrc, .txt or .star")
    if suffix == ".star" and source.suffix.lower() != ".star":
        raise InputError(f"{output}: a .star output needs a .star input, not {source}")
    if chunk is not None and chunk < 1:
        raise InputError(f"--chunk {chunk}: expected a positive number of images")


def _has_list(output: Path, chunk: int | None) -> bool:
    suffix = output.suffix.lower()
    return suffix == ".txt" or (chunk is not None and suffix != ".star")


def _parts(particles: Particles, output: Path, chunk: int | None, outdir: Path | None) -> list[_Part]:
    """The stacks to write: one, one every ``chunk`` images, or (for a list of stacks) one each."""
    n = len(particles)
    folder = output.parent if outdir is None or output.suffix.lower() in STACK_SUFFIXES else outdir
    if chunk is None and output.suffix.lower() in STACK_SUFFIXES:
        return [_Part(output, 0, n)]
    if chunk is not None:
        edges = [*range(0, n, chunk), n]
    elif output.suffix.lower() == ".txt" and particles.images is not None:
        edges = [0, *(np.flatnonzero(np.diff(particles.images.file_index)) + 1).tolist(), n]
    else:
        return [_Part(folder / f"{output.stem}.mrcs", 0, n)]
    return [
        _Part(folder / f"{output.stem}.{number}.mrcs", start, stop)
        for number, (start, stop) in enumerate(pairwise(edges))
    ]


def _check_outputs(particles: Particles, output: Path, parts: list[_Part]) -> None:
    inputs = {particles.source.resolve()}
    if particles.images is not None:
        inputs |= {file.resolve() for file in particles.images.files}
    for path in (output, *(part.path for part in parts)):
        if path.resolve() in inputs:
            raise InputError(f"{path}: is an input; give another -o, so that the original images stay")


def _write_stacks(
    stack: ImageStack,
    parts: list[_Part],
    box_size: int,
    pixel_size: float,
    batch_size: int | None,
    executor: Executor,
) -> np.ndarray:
    """Write every part; positions of images that are constant or not finite are answered.

    Three things go on at once: a thread reads ahead, those of the executor transform, and this one writes.
    """
    batch = working_batch(stack.source_box_size)
    batch = batch if batch_size is None else min(batch, batch_size)
    bad_positions: list[np.ndarray] = []
    done = 0
    with progress(len(stack), "downsample") as update, ExitStack() as whole:
        for part in parts:
            writer = whole.enter_context(StackWriter(part.path, part.stop - part.start, box_size, pixel_size))
            rows = np.arange(part.start, part.stop)
            for positions, small, bad in prefetch(_shrunk(stack, rows, batch, box_size, executor), 2):
                writer.append(small)
                bad_positions.append(positions[bad])
                done += len(positions)
                update(done)
    return np.concatenate(bad_positions) if bad_positions else np.zeros(0, np.int64)


def _shrunk(
    stack: ImageStack, rows: np.ndarray, batch: int, box_size: int, executor: Executor
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for positions, images in stack.iterate(batch, rows):
        small = shrink_images(images, box_size, executor)
        # A NaN spreads over all of its image and a constant stays one: the small image shows both.
        yield positions, small, find_bad_images(small)


def _write_lists(
    particles: Particles,
    stack: ImageStack,
    output: Path,
    parts: list[_Part],
    box_size: int,
    keyed: Path,
) -> None:
    """List file or star file of the stacks, and the key list of `keyed` that keeps the original rows."""
    keys = keys_of_selected(particles)
    if stack.source_box_size % 2:
        keys = replace(keys, cropped_from_box=stack.source_box_size)
    if output.suffix.lower() == ".star":
        places = [(part.path, part.stop - part.start) for part in parts]
        write_downsampled_star(particles, places, output, stack.source_box_size, box_size)
        keys = replace(keys, cropped_from_box=None)
    elif keyed.suffix.lower() == ".txt":
        names = [Path(os.path.relpath(part.path, keyed.parent)).as_posix() for part in parts]
        write_stack_list(keyed, names)
    write_key_list(keyed, keys)


def _report_bad(rows: np.ndarray) -> None:
    if len(rows):
        first = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
        logger.warning(
            "%d images are constant or not finite (rows %s): training leaves them out", len(rows), first
        )
