"""Maps of a landscape: in the frame they are written in, those of the sketch in batches, and a mask."""

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from cryoscape.analysis.maps import MapOptions, finish_map
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.volume_source import ScalableVolumeSource, VolumeSource
from cryoscape.errors import InputError
from cryoscape.io.mrc import read_volume, write_volume
from cryoscape.physics.masks import soft_mask_from_map
from cryoscape.physics.resampling import resample_volume
from cryoscape.plotting.surface import contour_level
from cryoscape.typing import Latents, Volume
from cryoscape.workflows.disk import check_free_space
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

_BATCH_BYTES = 1 << 28
_IN_MEMORY_BYTES = 1 << 31
_LEVELS_FROM = 25
_MIN_SHARE = 0.01
"""Voxels belong to the mask where at least this share of the particles has density."""


@dataclass(frozen=True, eq=False)
class FinishedMaps:
    """Maps of an engine after mirroring, filtering and cropping; linear where the engine's maps are.

    Attributes
    ----------
    pixel_size_angstrom, origin_angstrom : of the finished maps.
    linear : the finished mean and bases, where maps are linear in z.
    """

    source: VolumeSource
    options: MapOptions
    box_size: int
    pixel_size_angstrom: float
    origin_angstrom: tuple[float, float, float]
    linear: LinearMaps | None

    def volumes(self, z: Latents) -> Float[np.ndarray, "n D D D"]:
        """Finished maps at latents z."""
        z = np.ascontiguousarray(z, dtype=np.float32)
        if self.linear is not None:
            return self.linear.volumes(z)
        raw = self.source.volumes(z)
        size = self.pixel_size_angstrom
        return np.stack([finish_map(one, size, self.options).volume for one in raw])

    def write(self, path: Path, volume: Volume) -> None:
        """Write a map of this frame."""
        write_volume(path, volume, self.pixel_size_angstrom, self.origin_angstrom)


def finished_maps(source: VolumeSource, pixel_size_angstrom: float, options: MapOptions) -> FinishedMaps:
    """The maps of a source as the options ask for; all of these are linear, so linear maps stay linear.

    Parameters
    ----------
    pixel_size_angstrom : of the source's own box.
    """
    if options.downsample is not None and isinstance(source, ScalableVolumeSource):
        pixel_size_angstrom *= source.box_size / options.downsample
        source, options = source.downsampled(options.downsample), replace(options, downsample=None)
    empty = np.zeros((source.box_size,) * 3, dtype=np.float32)
    frame = finish_map(empty, pixel_size_angstrom, options)
    linear = None
    if isinstance(source, LinearMaps):
        parts = [finish_map(one, pixel_size_angstrom, options).volume for one in (source.mean, *source.bases)]
        bases = np.stack(parts[1:]) if len(parts) > 1 else np.empty((0, *parts[0].shape), np.float32)
        linear = LinearMaps(parts[0], bases, frame.pixel_size_angstrom)
    return FinishedMaps(
        source=source,
        options=options,
        box_size=len(frame.volume),
        pixel_size_angstrom=frame.pixel_size_angstrom,
        origin_angstrom=frame.origin_angstrom,
        linear=linear,
    )


@dataclass(frozen=True, eq=False)
class SketchMaps:
    """Maps at the points of the sketch, made or read again whenever they are asked for.

    Attributes
    ----------
    z : (k, zdim) latents of the points.
    files : where the maps lie, or None where a product of matrices makes them as fast.
    """

    maps: FinishedMaps
    z: Latents
    files: tuple[Path, ...] | None = None

    def batches(
        self, rows: Int[np.ndarray, " m"] | None = None
    ) -> Iterator[tuple[Int[np.ndarray, " b"], Float[np.ndarray, "b D D D"]]]:
        """Rows and their maps, as many at once as fit a small share of memory."""
        wanted = np.arange(len(self.z)) if rows is None else rows
        size = max(1, _BATCH_BYTES // (4 * self.maps.box_size**3))
        for start in range(0, len(wanted), size):
            part = wanted[start : start + size]
            if self.files is None:
                yield part, self.maps.volumes(self.z[part])
            else:
                yield part, np.stack([read_volume(self.files[i]).data for i in part])


def sketch_files(folder: Path, n: int, first_number: int) -> tuple[Path, ...]:
    """Names of the maps of a sketch."""
    return tuple(folder / f"vol_{first_number + i:03d}.mrc" for i in range(n))


def write_sketch_maps(maps: FinishedMaps, z: Latents, files: tuple[Path, ...]) -> None:
    """Make and write the map of every point, in batches; InputError where the disk has no room."""
    folder = files[0].parent
    check_free_space(folder / "maps", len(z) * (4 * maps.box_size**3 + 1024))
    for stale in set(folder.glob("vol_[0-9]*.mrc")) - set(files):
        stale.unlink()
    with progress(len(z), "maps") as update:
        done = 0
        for rows, volumes in SketchMaps(maps, z).batches():
            for row, volume in zip(rows, volumes, strict=True):
                maps.write(files[row], volume)
            done += len(rows)
            update(done)


@dataclass(frozen=True)
class MaskOptions:
    """Where maps are compared."""

    path: Path | None = None
    """A mask, 0 to 1; None: around the density of the particles."""
    threshold: float | None = None
    """Density above which a voxel counts as particle; None: from the maps."""
    dilate_angstrom: float = 5.0
    """Distance by which the density is widened."""
    edge_angstrom: float = 10.0
    """Width of the raised cosine edge beyond."""


@dataclass(frozen=True, eq=False)
class SketchStatistics:
    """What one look at all maps says.

    Attributes
    ----------
    mean : map averaged over the particles.
    mask : (D, D, D) 0 to 1.
    level : contour level that suits the maps.
    """

    mean: Volume
    mask: Volume
    level: float


def sketch_statistics(
    sketch: SketchMaps, counts: Int[np.ndarray, " k"], options: MaskOptions, user_mask: Volume | None
) -> SketchStatistics:
    """Mean map, level and mask of a sketch whose points stand for `counts` particles each.

    The mask holds voxels above the threshold in the maps of 1 % of the particles or more, so that domains
    that only some particles have are inside and single odd maps do not fill the box.

    Raises
    ------
    InputError
        If no density lies above the threshold.
    """
    probes = np.unique(np.linspace(0, len(sketch.z) - 1, _LEVELS_FROM).round().astype(np.int64))
    level = contour_level([volume for _, volumes in sketch.batches(probes) for volume in volumes])
    threshold = level if options.threshold is None else options.threshold
    shape = (sketch.maps.box_size,) * 3
    mean, share = np.zeros(shape), np.zeros(shape, dtype=np.float32)
    with progress(len(sketch.z), "mean map and mask") as update:
        for rows, volumes in sketch.batches():
            weight = (counts[rows] / counts.sum()).astype(np.float32)
            mean += np.tensordot(weight, volumes, axes=1)
            if user_mask is None:
                share += np.tensordot(weight, (volumes > threshold).astype(np.float32), axes=1)
            update(int(rows[-1]) + 1)
    mask = user_mask
    if mask is None:
        voxel = sketch.maps.pixel_size_angstrom
        soft = soft_mask_from_map(
            torch.from_numpy(share),
            _MIN_SHARE,
            options.dilate_angstrom / voxel,
            options.edge_angstrom / voxel,
        )
        mask = soft.numpy().astype(np.float32)
        if not mask.any():
            raise InputError(
                f"--thresh: no density above {threshold:.4g} in the maps of 1 % of the particles; "
                "give a lower --thresh, or a mask with --mask"
            )
    return SketchStatistics(mean.astype(np.float32), mask, level)


def read_mask(path: Path, maps: FinishedMaps) -> Volume:
    """A mask of the user in the box of the maps, sampled anew where it was made in another box.

    Raises
    ------
    InputError
        If it does not cover the same cube, or is no mask from 0 to 1.
    """
    stored = read_volume(path)
    data = np.ascontiguousarray(stored.data, dtype=np.float32)
    if len(set(data.shape)) != 1:
        raise InputError(f"{path}: a mask must be a cube, found {' x '.join(map(str, data.shape))} voxels")
    low, high = float(data.min()), float(data.max())
    if not (np.isfinite(data).all() and low >= -0.01 and 0.1 <= high <= 1.01):
        raise InputError(f"{path}: a mask holds values from 0 to 1, found {low:.3g} to {high:.3g}")
    if len(data) != maps.box_size:
        extent, wanted = len(data) * stored.pixel_size_angstrom, maps.box_size * maps.pixel_size_angstrom
        if abs(extent - wanted) > 0.02 * wanted:
            raise InputError(
                f"{path}: covers {extent:.4g} A ({len(data)} voxels), the maps cover {wanted:.4g} A "
                f"({maps.box_size} voxels); make the mask in the box of the maps"
            )
        resampled = resample_volume(
            torch.from_numpy(data), extent / len(data), maps.box_size, extent / maps.box_size
        )
        data = resampled.numpy()
    return np.asarray(np.clip(data, 0.0, 1.0))


def masked_voxels(sketch: SketchMaps, mask: Volume, folder: Path) -> Float[np.ndarray, "k v"]:
    """Voxels of all maps where the mask is above 0, times the mask; on disk above 2 GB, gone when closed."""
    inside = mask > 0
    weight = mask[inside]
    shape = (len(sketch.z), int(inside.sum()))
    if 4 * shape[0] * shape[1] <= _IN_MEMORY_BYTES:
        voxels = np.empty(shape, dtype=np.float32)
    else:
        check_free_space(folder / "voxels", 4 * shape[0] * shape[1])
        with tempfile.TemporaryFile(dir=folder) as handle:
            voxels = np.memmap(handle, dtype=np.float32, mode="w+", shape=shape)
    with progress(len(sketch.z), "voxels within the mask") as update:
        for rows, volumes in sketch.batches():
            voxels[rows] = volumes[:, inside] * weight
            update(int(rows[-1]) + 1)
    return voxels
