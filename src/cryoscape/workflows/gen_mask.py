"""A soft mask about the density of a map."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.mrc import VolumeFile, write_volume
from cryoscape.physics.fsc import low_pass
from cryoscape.physics.masks import soft_mask_from_map
from cryoscape.plotting.mask import plot_mask
from cryoscape.plotting.style import figure_png
from cryoscape.workflows.tool_files import check_output, read_map

logger = logging.getLogger("cryoscape")

DILATION_ANGSTROM = 25.0
EDGE_ANGSTROM = 15.0
_PERCENTILE = 99.99


@dataclass(frozen=True)
class MaskRequest:
    """Which mask to make.

    Attributes
    ----------
    threshold : density above which a voxel is inside; None for half of the 99.99th percentile.
    dilation, edge : how far the mask reaches beyond the density, and how wide its soft edge is; in angstrom,
        or in voxels; None for 25 and 15 A.
    in_voxels : whether those given are in voxels.
    low_pass_angstrom : resolution to smooth the map to before the threshold, so that noise makes no specks.
    pixel_size_angstrom : of the map; None for that of its header.
    plot : PNG to draw.
    """

    source: Path
    output: Path
    threshold: float | None = None
    dilation: float | None = None
    edge: float | None = None
    in_voxels: bool = False
    low_pass_angstrom: float | None = None
    pixel_size_angstrom: float | None = None
    plot: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class MaskResult:
    """The threshold used, and shares of the box: above it, and within the mask (its sum over the box)."""

    threshold: float
    density_share: float
    mask_share: float


def gen_mask(request: MaskRequest) -> MaskResult:
    """Write a mask, 1 about the density above a threshold, that falls to 0 along a raised cosine.

    Raises
    ------
    InputError
        Negative lengths, a threshold with nothing or everything above it, a mask that fills the box, or an
        output that is there already.
    """
    check_output(request.output, request.force, (request.source,), (".mrc", ".map"))
    if request.plot is not None:
        check_output(request.plot, request.force, (request.source, request.output), (".png",))
    for flag, value in (("--dilate", request.dilation), ("--dist", request.edge)):
        if value is not None and not 0 <= value < np.inf:
            raise InputError(f"{flag} {value:g}: expected a length of at least 0")
    volume = read_map(request.source, request.pixel_size_angstrom)
    size = volume.pixel_size_angstrom
    density = _smoothed(request, volume)
    threshold = _threshold(request, density)
    inside = float((density > threshold).mean())
    dilation, edge = _in_voxels(request, size)
    mask = soft_mask_from_map(torch.from_numpy(density), threshold, dilation, edge).numpy()
    _check_mask(mask, request, threshold)
    write_volume(request.output, mask, size, volume.origin_angstrom)
    result = MaskResult(threshold, inside, float(mask.mean()))
    logger.info(
        "threshold %.4g: %.2f %% of the box; with %.1f A more and an edge of %.1f A %.1f %%; written to %s",
        threshold,
        100 * inside,
        dilation * size,
        edge * size,
        100 * result.mask_share,
        request.output,
    )
    if request.plot is not None:
        caption = (
            f"{request.output.name}: {100 * result.mask_share:.1f} % of the box, threshold {threshold:.3g}"
        )
        with replace_when_done(request.plot) as partial:
            partial.write_bytes(figure_png(plot_mask(density, mask, size, caption), 150))
    return result


def _smoothed(request: MaskRequest, volume: VolumeFile) -> np.ndarray:
    """Density that the threshold is applied to."""
    resolution, shape = request.low_pass_angstrom, volume.data.shape
    if resolution is None:
        return volume.data
    if not 0 < resolution < np.inf:
        raise InputError(f"--low-pass {resolution:g}: expected a resolution in angstrom, above 0")
    if len(set(shape)) != 1:
        raise InputError(f"{request.source}: {' x '.join(map(str, shape))} voxels; --low-pass needs a cube")
    radius = shape[0] * volume.pixel_size_angstrom / resolution
    return np.asarray(low_pass(torch.from_numpy(volume.data), radius).numpy(), dtype=np.float32)


def _threshold(request: MaskRequest, data: np.ndarray) -> float:
    """The threshold given or found; InputError where it tells nothing apart."""
    low, high = float(data.min()), float(data.max())
    if request.threshold is None:
        found = float(np.percentile(data, _PERCENTILE)) / 2
        if found <= 0:
            raise InputError(
                f"{request.source}: no positive density found (values {low:.3g} to {high:.3g}); turn it over "
                "with invert_contrast, or give --threshold"
            )
        return found
    if not low <= request.threshold < high:
        raise InputError(
            f"--threshold {request.threshold:g}: {request.source} has values from {low:.4g} to {high:.4g}; "
            "give one between"
        )
    return request.threshold


def _in_voxels(request: MaskRequest, pixel_size_angstrom: float) -> tuple[float, float]:
    """Dilation and width of the edge, in voxels."""
    unit = 1.0 if request.in_voxels else pixel_size_angstrom
    dilation = (
        DILATION_ANGSTROM / pixel_size_angstrom if request.dilation is None else request.dilation / unit
    )
    edge = EDGE_ANGSTROM / pixel_size_angstrom if request.edge is None else request.edge / unit
    # far narrower than a voxel is sharp; single precision cannot divide by less
    return dilation, edge if edge > 1e-3 else 0.0


def _check_mask(mask: np.ndarray, request: MaskRequest, threshold: float) -> None:
    if mask.min() >= 1:
        raise InputError(
            f"{request.source}: the mask fills the whole box; give a --threshold above {threshold:.4g}, "
            "less --dilate, or --low-pass against specks of noise"
        )
    faces = [np.take(mask, place, axis) for axis in range(3) for place in (0, -1)]
    if max(float(face.max()) for face in faces) > 0:
        logger.warning(
            "the mask reaches the edge of the box: give less --dilate and --dist, or a higher --threshold"
        )
