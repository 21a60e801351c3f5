"""Load a particle set from whatever the user has: stacks, lists, star, .cs, and pickles of poses and CTF."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_rows
from cryoscape.io.stack_list import read_stack_list
from cryoscape.particles.checks import check_ctf, check_poses, check_rows
from cryoscape.particles.from_cryosparc import particles_from_cryosparc
from cryoscape.particles.from_star import Need, Overrides, particles_from_star
from cryoscape.particles.joining import TABLE_SUFFIXES, Joining, read_table, with_ctf, with_poses
from cryoscape.particles.keys import KeyList, read_key_list
from cryoscape.particles.metadata import ImageAddresses, Particles
from cryoscape.particles.stack import ImageStack, describe_stack_file

__all__ = ["Overrides", "load_particles", "particles_from_cryosparc", "particles_from_star", "read_table"]

logger = logging.getLogger("cryoscape")

_PIXEL_TOLERANCE = 0.01
_UNSET_PIXEL_SIZES = (0.0, 1.0)
"""What programs write in a header when they do not know the pixel size."""


def load_particles(
    particles: str | Path,
    poses: str | Path | None = None,
    ctf: str | Path | None = None,
    ind: str | Path | np.ndarray | None = None,
    datadir: str | Path | None = None,
    require_poses: bool = False,
    require_images: bool = True,
    images_only: bool = False,
) -> Particles:
    """One particle set from its files, checked, each row tied to its image by key and not by position.

    Parameters
    ----------
    particles
        .mrc/.mrcs stack, .txt list of stacks, .star, .cs or .csg.
    poses, ctf
        Pickles made by the parse commands, or a .star or .cs file. Without them, a star or .cs given as
        ``particles`` supplies its own.
    ind
        Rows to keep (a pickle, text file or array; a boolean mask too): rows of the ORIGINAL input, also
        where the stack has been cut already. The order given is kept.
    datadir
        Folder in which to look for image files.
    require_poses
        Whether a set without poses is an error.
    require_images
        Whether the image files must be there.
    images_only
        Leave the poses and CTF of a star or .cs file unread, complete or not.

    Raises
    ------
    InputError
        For anything in the files that does not fit together.
    """
    source = Path(particles)
    folder = None if datadir is None else Path(datadir)
    own = _read_source(
        source, folder, not images_only and poses is None, not images_only and ctf is None, require_images
    )
    keys, loaded = _identify(own)
    header_pixel_size = 0.0
    if require_images and loaded.images is not None:
        loaded, header_pixel_size = _check_images(loaded)
    wanted_rows = None if ind is None else _read_ind(ind)
    already_cut = _is_cut_to(wanted_rows, loaded, keys)
    context = Joining(loaded, keys, wanted_rows if already_cut else None)
    if poses is not None:
        loaded = with_poses(context, Path(poses))
    if ctf is not None:
        loaded = with_ctf(replace(context, particles=loaded), Path(ctf))
    if already_cut and wanted_rows is not None:
        n_original = max(loaded.n_original, int(wanted_rows.max()) + 1)
        rows = check_rows(wanted_rows, n_original, str(ind), source)
        loaded = replace(loaded, row=rows, n_original=n_original)
    elif wanted_rows is not None:
        label = "--ind" if isinstance(ind, np.ndarray) else str(ind)
        rows = check_rows(wanted_rows, loaded.n_original, label, source)
        loaded = loaded.select_original(rows)
        if len(loaded) == loaded.n_original:
            loaded = _noting(loaded, f"{label}: the selection keeps all {len(loaded)} particles")
    if require_poses and loaded.poses is None:
        raise InputError(f"{source}: no poses: give --poses poses.pkl, or use the Refine3D run_data.star")
    loaded = _finish(
        loaded, keys, source if poses is None else Path(poses), source if ctf is None else Path(ctf)
    )
    loaded = _compare_pixel_sizes(loaded, header_pixel_size)
    for notice in loaded.notices:
        logger.warning("%s", notice)
    return loaded


def _read_source(
    source: Path, datadir: Path | None, own_poses: bool, own_ctf: bool, locate: bool
) -> Particles:
    if not source.exists():
        raise InputError(f"{source}: no such file")
    suffix = source.suffix.lower()
    if suffix in TABLE_SUFFIXES or source.is_dir():
        poses: Need = "if_present" if own_poses else "skip"
        ctf: Need = "if_present" if own_ctf else "skip"
        return read_table(source, poses, ctf, datadir=datadir, locate=locate)
    if suffix == ".txt":
        files = [_in_datadir(path, datadir) for path in read_stack_list(source)]
        missing = [str(path) for path in files if not path.is_file()]
        if missing:
            first = ", ".join(missing[:3])
            raise InputError(
                f"{source}: {len(missing)} of {len(files)} stacks are missing (first: {first}): use --datadir"
            )
    elif suffix in (".mrc", ".mrcs"):
        files = [source]
    else:
        raise InputError(
            f"{source}: expected .mrc, .mrcs, .txt, .star, .cs or .csg, found {suffix or 'no suffix'}"
        )
    counts = [describe_stack_file(path).n_images for path in files]
    n = sum(counts)
    return Particles(
        images=ImageAddresses.whole_files(files, counts),
        row=np.arange(n, dtype=np.int64),
        uid=None,
        poses=None,
        ctf=None,
        data_sign=None,
        source=source,
        box_size_px=None,
        n_original=n,
    )


def _in_datadir(path: Path, datadir: Path | None) -> Path:
    if datadir is None or path.is_file():
        return path
    return datadir / path.name


def _identify(own: Particles) -> tuple[KeyList, Particles]:
    """Keys of a source, and the source with the original rows that its key list (if any) gives."""
    keys = read_key_list(own.source) if own.source.is_file() else None
    if keys is None:
        return KeyList.of(own), own
    if len(keys) != len(own):
        return KeyList.of(own), _noting(
            own, f"{own.source}: its list of rows has another length and is not used"
        )
    return keys, replace(
        own, row=keys.row, n_original=keys.n_original, uid=own.uid if own.uid is not None else keys.uid
    )


def _check_images(particles: Particles) -> tuple[Particles, float]:
    """Open every file named: one square box, all images there. Answers the header's pixel size too."""
    stack = ImageStack.from_particles(
        replace(particles, box_size_px=None, pixel_size_angstrom=None, ctf=None)
    )
    box, header = stack.source_box_size, stack.pixel_size_angstrom
    told_box, pixel_size = particles.box_size_px, particles.pixel_size_angstrom
    if box % 2:
        particles = _noting(particles, f"images of odd side {box} px are cropped to {stack.box_size} px")
    if told_box is not None and told_box != box:
        particles = _noting(
            particles,
            f"images are {box} px, {particles.source} says {told_box} px: taken as resampled",
        )
        pixel_size = None if pixel_size is None else pixel_size * (told_box / box)
    if pixel_size is None and header not in _UNSET_PIXEL_SIZES:
        pixel_size = np.full(len(particles), header)
    return replace(particles, box_size_px=box, pixel_size_angstrom=pixel_size), header


def _read_ind(ind: str | Path | np.ndarray) -> np.ndarray:
    return np.asarray(ind) if isinstance(ind, np.ndarray) else read_rows(Path(ind))


def _is_cut_to(rows: np.ndarray | None, particles: Particles, keys: KeyList) -> bool:
    """Whether the stack, which has no key list, was already cut with these very rows."""
    if rows is None or rows.dtype == bool or keys.n_original != len(keys):
        return False
    beyond = rows.size == len(particles) and rows.size > 0 and rows.max() >= len(particles)
    return bool(beyond)


def _finish(particles: Particles, keys: KeyList, poses_from: Path, ctf_from: Path) -> Particles:
    """Last checks on what is left after selection; an odd box becomes even in all columns alike."""
    if particles.poses is not None:
        check_poses(particles.poses, poses_from, particles.row)
    if particles.ctf is not None:
        for notice in check_ctf(particles.ctf, ctf_from, particles.row):
            particles = _noting(particles, f"{ctf_from}: {notice}")
    box = particles.box_size_px
    odd = keys.cropped_from_box if box is None or box % 2 == 0 else box
    if odd is not None:
        particles = _crop_odd_box(particles, odd)
    return particles


def _crop_odd_box(particles: Particles, odd_box: int) -> Particles:
    """Metadata for images cropped from an odd box by one pixel: same pixels, a box smaller by one."""
    poses, ctf, box = particles.poses, particles.ctf, particles.box_size_px
    if poses is not None:
        poses = replace(poses, shift_fraction=poses.shift_fraction * (odd_box / (odd_box - 1)))
    if ctf is not None:
        size = np.where(ctf.box_size_px == odd_box, odd_box - 1.0, ctf.box_size_px)
        ctf = replace(ctf, box_size_px=size)
    return replace(particles, poses=poses, ctf=ctf, box_size_px=None if box is None else box - box % 2)


def _compare_pixel_sizes(particles: Particles, header: float) -> Particles:
    """Note where the CTF table, the metadata and the header of the images tell different pixel sizes."""
    box = particles.box_size_px
    pixel_size = None if box is None else particles.pixel_size_at(box)
    if pixel_size is None or box is None:
        return particles
    used = float(np.median(pixel_size))
    told = {} if header == 0 else {"the header of the images": header}
    if particles.ctf is not None and particles.pixel_size_angstrom is not None:
        told["the metadata"] = float(np.median(particles.pixel_size_angstrom))
    for who, other in told.items():
        if abs(other / used - 1) > _PIXEL_TOLERANCE:
            particles = _noting(
                particles, f"pixel size {used:.4g} A is used at {box} px; {who} says {other:.4g} A"
            )
    return particles


def _noting(particles: Particles, notice: str) -> Particles:
    return replace(particles, notices=(*particles.notices, notice))
