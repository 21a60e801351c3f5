"""What is done to a map of the model before it is written: hand, sign, resolution, box."""

from dataclasses import dataclass

import numpy as np
import scipy.fft

from cryoscape.errors import InputError
from cryoscape.typing import Volume


@dataclass(frozen=True)
class MapOptions:
    """Changes made to each map, in the order of the fields."""

    downsample: int | None = None
    """Box size in voxels to which maps are Fourier-cropped."""
    flip: bool = False
    """Mirror along z about the centre voxel D//2, which stays where it is."""
    flip_legacy: bool = False
    """Mirror along z by reversing the slices, as cryoDRGN does: even boxes move by one voxel."""
    invert: bool = False
    """Change the sign of the density."""
    low_pass_angstrom: float | None = None
    """Keep frequencies up to 1/this only."""
    crop: int | None = None
    """Side in voxels of the central cube that is kept."""


@dataclass(frozen=True)
class FinishedMap:
    """A map ready to be written, with its place in space."""

    volume: Volume
    pixel_size_angstrom: float
    origin_angstrom: tuple[float, float, float]


def check_map_options(options: MapOptions, box_size: int, pixel_size_angstrom: float) -> None:
    """Raise InputError where options do not fit maps of this box (pixel size: of the box before cropping)."""
    box = options.downsample or box_size
    if not 2 <= box <= box_size or box % 2:
        raise InputError(
            f"-d: maps are {box_size} voxels wide; give an even box size of at most {box_size}, found {box}."
        )
    if options.crop is not None and (options.crop % 2 or not 2 <= options.crop <= box):
        raise InputError(
            f"--crop {options.crop}: give an even number from 2 to {box}, the box of the maps written."
        )
    if options.flip and options.flip_legacy:
        raise InputError("--flip and --flip-legacy exclude each other: give one of them.")
    if options.low_pass_angstrom is not None and options.low_pass_angstrom <= 0:
        raise InputError(f"--low-pass: give a resolution above 0 A, found {options.low_pass_angstrom:g}.")


def finish_map(volume: Volume, pixel_size_angstrom: float, options: MapOptions) -> FinishedMap:
    """Apply the options to one map.

    Parameters
    ----------
    volume : array (D, D, D)
        Density, axes [z, y, x], centre at D//2.
    pixel_size_angstrom : float
        Of the map before downsampling; that of the result grows by D / downsample.
    """
    box = len(volume)
    if options.downsample is not None and options.downsample != box:
        volume = _fourier_crop(volume, options.downsample)
        pixel_size_angstrom = pixel_size_angstrom * box / options.downsample
        box = options.downsample
    if options.flip_legacy:
        volume = volume[::-1]
    elif options.flip:
        volume = mirror_z(volume)
    if options.invert:
        volume = -volume
    if options.low_pass_angstrom is not None:
        volume = _low_pass(volume, pixel_size_angstrom / options.low_pass_angstrom)
    start = 0
    if options.crop is not None:
        start = box // 2 - options.crop // 2
        kept = slice(start, start + options.crop)
        volume = volume[kept, kept, kept]
    origin = start * pixel_size_angstrom
    return FinishedMap(
        np.ascontiguousarray(volume, dtype=np.float32), pixel_size_angstrom, (origin, origin, origin)
    )


def mirror_z(volume: Volume) -> Volume:
    """The other hand of a map: z mirrored about voxel D//2, which keeps its place."""
    mirrored = volume[::-1]
    return np.roll(mirrored, 1, axis=0) if len(volume) % 2 == 0 else mirrored


def _centred_transform(volume: Volume) -> np.ndarray:
    return np.asarray(np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume))))


def _centred_inverse(transform: np.ndarray) -> np.ndarray:
    return np.asarray(np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(transform))).real)


def _fourier_crop(volume: Volume, box: int) -> np.ndarray:
    """Keep the low frequencies; the sum of the map is kept, as when the model is sampled less finely."""
    start = len(volume) // 2 - box // 2
    kept = slice(start, start + box)
    return _centred_inverse(_centred_transform(volume)[kept, kept, kept])


def _low_pass(volume: Volume, cycles_per_pixel: float) -> np.ndarray:
    """Keep frequencies up to a radius: a hard sphere."""
    n = len(volume)
    full, half = scipy.fft.fftfreq(n) ** 2, scipy.fft.rfftfreq(n) ** 2
    inside = full[:, None, None] + full[:, None] + half <= cycles_per_pixel**2
    return np.asarray(scipy.fft.irfftn(scipy.fft.rfftn(volume) * inside, s=volume.shape))
