"""Write images anew, each changed alone: streamed, so that a stack of any size passes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cryoscape.analysis.image_display import grey_levels
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import load_pickles
from cryoscape.io.mrc import StackWriter
from cryoscape.particles.checks import check_shifts
from cryoscape.particles.export import keys_of_selected
from cryoscape.particles.keys import check_key_list_is_free, write_key_list
from cryoscape.particles.memory import working_batch
from cryoscape.particles.metadata import Particles
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import ImageStack
from cryoscape.physics.ctf import contrast_transfer
from cryoscape.physics.shifts import shift_images
from cryoscape.plotting.image_montage import plot_images
from cryoscape.plotting.style import figure_png
from cryoscape.workflows.disk import check_free_space
from cryoscape.workflows.progress import progress
from cryoscape.workflows.tool_files import check_output

logger = logging.getLogger("cryoscape")

Transform = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From positions (n,) in the particle set and their images (n, D, D) to the new images."""


@dataclass(frozen=True)
class TransformRequest:
    """Images to change and the stack to write; ``label`` says in the log what is done."""

    source: Path
    output: Path
    datadir: Path | None = None
    force: bool = False
    label: str = "images"


def transform_stack(
    request: TransformRequest, transform: Transform, particles: Particles | None = None
) -> Particles:
    """Write every image through ``transform`` to one stack, with a list of rows beside it.

    Parameters
    ----------
    transform
        What is done to a block of images.
    particles
        The set, where it was loaded with poses or CTF; by default images alone are read.

    Returns
    -------
    The set that was written.

    Raises
    ------
    InputError
        An output that is an input or there already, images that cannot be read, or too little room.
    """
    check_output(request.output, request.force, (request.source,), (".mrcs", ".mrc"))
    check_key_list_is_free(request.output)
    if particles is None:
        particles = load_particles(request.source, datadir=request.datadir, images_only=True)
    stack = ImageStack.from_particles(particles)
    files = () if particles.images is None else particles.images.files
    check_output(request.output, request.force, files)
    check_free_space(request.output, len(stack) * stack.box_size**2 * 4)
    n, box = len(stack), stack.box_size
    with (
        progress(n, request.label) as update,
        StackWriter(request.output, n, box, stack.pixel_size_angstrom) as writer,
    ):
        for positions, images in stack.iterate(working_batch(box)):
            writer.append(transform(positions, images))
            update(int(positions[-1]) + 1)
    keys = keys_of_selected(particles)
    if stack.source_box_size % 2:
        keys = replace(keys, cropped_from_box=stack.source_box_size)
    write_key_list(request.output, keys)
    logger.info(
        "%s: %d images of %d px, %.4g A a pixel, written to %s",
        request.label,
        n,
        box,
        stack.pixel_size_angstrom,
        request.output,
    )
    return particles


def phase_flip(
    source: Path, output: Path, ctf: Path | None = None, datadir: Path | None = None, force: bool = False
) -> None:
    """Multiply the transform of each image by the sign of its CTF.

    The CTF is negative at low frequency, as everywhere here: the contrast of the images turns over.

    Parameters
    ----------
    ctf
        ctf.pkl, .star or .cs; that of the images' own table by default.

    Raises
    ------
    InputError
        Images without CTF, and as `transform_stack`.
    """
    check_output(output, force, (source,), (".mrcs", ".mrc"))
    particles = load_particles(source, ctf=ctf, datadir=datadir)
    table = particles.ctf
    if table is None:
        raise InputError(f"{source}: has no CTF; give ctf.pkl, or the .star or .cs file of the particles")

    def flip(positions: np.ndarray, images: np.ndarray) -> np.ndarray:
        box = images.shape[-1]
        fy, fx = torch.meshgrid(torch.fft.fftfreq(box), torch.fft.rfftfreq(box), indexing="ij")
        cycles = torch.stack([fx, fy], dim=-1).reshape(-1, 2)
        size = torch.as_tensor(table.pixel_size_at(box)[positions], dtype=torch.float32)
        transfer = contrast_transfer(cycles / size[:, None, None], table.parameters(positions))
        sign = torch.where(transfer < 0, -1.0, 1.0).reshape(-1, box, box // 2 + 1)
        # at kx = D/2 both of a pair of opposite frequencies are stored: they must agree for a real image
        sign[:, box // 2 + 1 :, -1] = sign[:, 1 : box // 2, -1].flip(1)
        return torch.fft.irfft2(torch.fft.rfft2(torch.from_numpy(images)) * sign, s=(box, box)).numpy()

    transform_stack(TransformRequest(source, output, datadir, force, "phase_flip"), flip, particles)


def translate_mrcs(
    source: Path,
    shifts: Path,
    output: Path,
    scale: float = 1.0,
    datadir: Path | None = None,
    picture: Path | None = None,
    force: bool = False,
) -> None:
    """Move the content of each image by + shift x scale x box (px), periodically.

    Parameters
    ----------
    shifts
        Pickle of shifts (N, 2; x, y; fractions of the box) or of (rotations, shifts), a .star or .cs file.
    scale
        Factor on the shifts; 1 over the box where they are in pixels.
    picture
        PNG of the first images after the shift.

    Raises
    ------
    InputError
        Shifts that are not of these images or look like pixels, and as `transform_stack`.
    """
    check_output(output, force, (source, shifts), (".mrcs", ".mrc"))
    if picture is not None:
        check_output(picture, force, (source, shifts, output), (".png",))
    particles, fraction = _shifted_particles(source, shifts, scale, datadir)
    shown: list[np.ndarray] = []

    def move(positions: np.ndarray, images: np.ndarray) -> np.ndarray:
        pixels = torch.as_tensor(fraction[positions] * images.shape[-1], dtype=torch.float32)
        moved = shift_images(torch.from_numpy(images), pixels).numpy()
        if not shown:
            shown.append(moved[:25].copy())
        return moved

    request = TransformRequest(source, output, datadir, force, "translate")
    transform_stack(request, move, particles)
    logger.info("the images are moved already: use them with rotations only, or shifts of 0")
    if picture is not None:
        captions = [str(row) for row in particles.row[: len(shown[0])]]
        figure = plot_images(
            grey_levels(shown[0]), captions, title=output.name, subtitle="moved; numbers are rows"
        )
        with replace_when_done(picture) as partial:
            partial.write_bytes(figure_png(figure, 150))


def _shifted_particles(
    source: Path, shifts: Path, scale: float, datadir: Path | None
) -> tuple[Particles, np.ndarray]:
    """The set, and the shift (N, 2) of each image as a fraction of the box."""
    bare = load_pickles(shifts)[0] if shifts.suffix.lower() == ".pkl" else None
    if not isinstance(bare, np.ndarray) or bare.ndim != 2 or bare.shape[1] != 2:
        particles = load_particles(source, poses=shifts, datadir=datadir)
        if particles.poses is None:
            raise InputError(
                f"{shifts}: holds no shifts; give a pickle of shifts or poses, a .star or .cs file"
            )
        return particles, particles.poses.shift_fraction * scale
    particles = load_particles(source, datadir=datadir, images_only=True)
    if len(bare) not in (len(particles), particles.n_original):
        raise InputError(f"{shifts}: {len(bare)} shifts, but {source} has {len(particles)} particles")
    fraction = bare.astype(np.float64) * scale
    fraction = fraction if len(bare) == len(particles) else fraction[particles.row]
    check_shifts(fraction, shifts, particles.row)
    return particles, fraction
