"""Shaded pictures of density maps at a contour level, without a graphics card or a viewer program.

Rays run parallel through the map; the first crossing of the level is refined, lit by a key, a fill and a
rim light, darkened where the surroundings block the sky (ambient occlusion) and faded with depth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from cryoscape.plotting.raymarch import march
from cryoscape.typing import Volume

Rgb = tuple[float, float, float]
DEFAULT_COLOR: Rgb = (0.55, 0.68, 0.83)


@dataclass(frozen=True)
class Camera:
    """A parallel view of a cubic map.

    Attributes
    ----------
    axes : array (3, 3)
        Rows: right, up and towards the viewer, as unit vectors (x, y, z) of the map.
    center : array (3,)
        Looked-at point (x, y, z) in voxels.
    half_width : float
        Half the width of the picture in voxels.
    """

    axes: Float[np.ndarray, "3 3"]
    center: Float[np.ndarray, " 3"]
    half_width: float

    def turned(self, degrees: float) -> "Camera":
        """The view after turning the map about the vertical axis of the picture."""
        angle = np.deg2rad(degrees)
        right, up, towards = self.axes
        axes = np.stack(
            [
                np.cos(angle) * right + np.sin(angle) * towards,
                up,
                -np.sin(angle) * right + np.cos(angle) * towards,
            ]
        )
        return Camera(axes, self.center, self.half_width)

    def scaled(self, factor: float) -> "Camera":
        """The same view of the map with `factor` times as many voxels to a length, voxel 0 where it was."""
        return Camera(self.axes, self.center * factor, self.half_width * factor)


def contour_level(maps: Sequence[Volume]) -> float:
    """One level that shows all the maps: 0.4 of the bright density, at least 3 sigma of the maps.

    A share of the 99.9th percentile follows the particle where it fills much of the box and the sigma bound
    keeps the solvent out where it is small; the median over the maps keeps a few odd maps from moving it.
    """
    levels = [max(0.4 * float(np.percentile(m, 99.9)), 3.0 * float(m.std())) for m in maps]
    return float(np.median(levels))


def principal_camera(
    volume: Volume,
    level: float,
    *,
    envelope: Volume | None = None,
    margin: float = 1.08,
    axes: Float[np.ndarray, "3 3"] | None = None,
) -> Camera:
    """The view on the broad side of a map: longest axis horizontal, shortest towards the viewer.

    The picture is centred on, and holds, all density above the level in `envelope` (by default the map
    itself; for a series its maximum), also after turning about the vertical axis. Falls back to the view
    along z where nothing lies above the level. `axes` (right, up, towards the viewer) asks for another view.
    """
    box = np.array(volume.shape[::-1], dtype=np.float64)
    points = _points_above(volume, level)
    if len(points) < 10:
        return Camera(np.eye(3) if axes is None else axes, (box - 1) / 2, float(box.max()) / 2)
    if axes is None:
        axes = _broad_side(points)
    shown = points if envelope is None else _points_above(without_dust(envelope, level), level)
    in_view = shown @ axes.T
    low, high = in_view.min(axis=0), in_view.max(axis=0)
    center = (low + high) / 2
    across = np.hypot(in_view[:, 0] - center[0], in_view[:, 2] - center[2]).max()
    half_width = margin * max(float(across), float(high[1] - center[1])) + 1.0
    return Camera(axes, center @ axes, min(half_width, 0.75 * float(box.max())))


def _broad_side(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3 3"]:
    """Principal axes of points: the longest to the right, the shortest towards the viewer."""
    _, vectors = np.linalg.eigh(np.cov(points.T))
    right, up = vectors[:, 2], vectors[:, 1]
    right = right * (1.0 if right[np.abs(right).argmax()] > 0 else -1.0)
    up = up * (1.0 if up[np.abs(up).argmax()] > 0 else -1.0)
    return np.stack([right, up, np.cross(right, up)])


def _points_above(volume: Volume, level: float) -> Float[np.ndarray, "n 3"]:
    """Coordinates (x, y, z) in voxels of the density above the level."""
    return np.argwhere(volume > level)[:, ::-1].astype(np.float64)


def without_dust(volume: Volume, level: float, min_share: float = 0.01) -> Volume:
    """The map with blobs above the level that are smaller than a share of the largest one lowered to it."""
    labels, n = ndimage.label(volume > level)
    if n < 2:
        return volume
    sizes = np.bincount(labels.ravel())[1:]
    small = np.concatenate([[False], sizes < min_share * sizes.max()])
    below = np.float32(level - 0.5 * abs(level))
    # a rim of two voxels too: between voxels the surface of a blob reaches beyond those above the level
    dust = ndimage.binary_dilation(small[labels], iterations=2) & ~(labels > 0) | small[labels]
    return np.where(dust, np.minimum(volume, below), volume).astype(np.float32)


def render_surface(
    volume: Volume,
    level: float,
    camera: Camera,
    *,
    size_px: int = 256,
    color: Rgb = DEFAULT_COLOR,
    supersample: int = 2,
    hide_dust: bool = True,
    refine: bool = True,
) -> Float[np.ndarray, "h w 4"]:
    """Picture of a map's surface on a transparent ground.

    Parameters
    ----------
    volume : array (z, y, x)
        Density; small boxes are `refined` first, unless `refine` says that it was done.
    level : float
        Contour level in units of the map.
    camera : Camera
        View, in voxels of `volume`.
    size_px : int
        Width and height of the picture.

    Returns
    -------
    array (size_px, size_px, 4)
        RGBA in 0..1, straight alpha, first row on top; fully transparent where no surface is hit.
    """
    volume, scale = refined(volume) if refine else (np.ascontiguousarray(volume, dtype=np.float32), 1.0)
    camera = camera.scaled(scale)
    if hide_dust:
        volume = without_dust(volume, level)
    n = size_px * supersample
    hit = march(
        volume,
        np.float32(level),
        np.ascontiguousarray(camera.axes),
        np.asarray(camera.center),
        camera.half_width,
        n,
    )
    return _downsample(_shade(hit, np.asarray(color), camera.half_width), supersample)


def refined(volume: Volume) -> tuple[Float[np.ndarray, "z2 y2 x2"], float]:
    """A map fine enough for smooth surfaces, and how many of its voxels make one of the map given.

    Boxes of up to 100 voxels are interpolated by cubic splines to twice as many; others stay as they are.
    """
    volume = np.ascontiguousarray(volume, dtype=np.float32)
    if max(volume.shape) > 100:
        return volume, 1.0
    shape = tuple(2 * n - 1 for n in volume.shape)
    factors = [m / n for m, n in zip(shape, volume.shape, strict=True)]
    fine = np.asarray(ndimage.zoom(volume, factors, order=3), dtype=np.float32)
    return fine, 2.0


def _shade(hit: Float[np.ndarray, "h w 5"], color: Float[np.ndarray, " 3"], reach: float) -> np.ndarray:
    """RGBA of hits (depth, normal in view axes, sky share) by a three-light set-up."""
    depth, normal, sky = hit[..., 0], hit[..., 1:4], hit[..., 4]
    solid = np.isfinite(depth)
    key = _lambert(normal, (-0.45, 0.65, 0.62))
    fill = _lambert(normal, (0.75, -0.1, 0.5))
    facing = np.clip(normal[..., 2], 0.0, 1.0)
    half = np.array([-0.45, 0.65, 1.62]) / np.linalg.norm([-0.45, 0.65, 1.62])
    shine = np.clip(normal @ half, 0.0, 1.0) ** 40
    light = (0.40 + 0.12 * normal[..., 1]) * sky**1.3 + (0.66 * key + 0.20 * fill) * (0.35 + 0.65 * sky)
    light *= 0.80 + 0.20 * facing
    with np.errstate(invalid="ignore"):
        far = np.clip((depth + 0.2 * reach) / (1.3 * reach), 0.0, 1.0)
    far = np.where(solid, far, 0.0)[..., None]
    rgb = np.clip(1.22 * light, 0.0, 1.35)[..., None] * color
    # light surfaces turn to a cooler tone in shadow rather than to black
    rgb = rgb + (1.0 - np.clip(light, 0, 1))[..., None] * np.array([0.02, 0.03, 0.06])
    rgb = rgb + 0.14 * (shine * sky)[..., None]
    fog = 0.55 * color + 0.45
    rgb = rgb * (1 - 0.38 * far) + fog * (0.38 * far)
    rgb = rgb * (1.0 - 0.55 * _outline(depth, reach))[..., None]
    return np.dstack([np.clip(rgb, 0.0, 1.0), solid.astype(np.float64)])


def _lambert(normal: np.ndarray, direction: tuple[float, float, float]) -> np.ndarray:
    unit = np.asarray(direction) / np.linalg.norm(direction)
    return np.asarray(np.clip(normal @ unit, 0.0, 1.0))


def _outline(depth: np.ndarray, reach: float) -> np.ndarray:
    """1 on the near side of a jump in depth, fading to 0 where the surface goes on."""
    padded = np.pad(np.where(np.isfinite(depth), depth, 4.0 * reach), 1, mode="edge")
    around = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
    jump = np.max([a - padded[1:-1, 1:-1] for a in around], axis=0)
    return np.asarray(np.clip((jump - 0.06 * reach) / (0.12 * reach), 0.0, 1.0))


def _downsample(rgba: np.ndarray, factor: int) -> np.ndarray:
    """Mean over blocks with premultiplied colours, so that edges keep the colour of the surface."""
    h, w, _ = rgba.shape
    alpha = rgba[..., 3:]
    blocks = np.concatenate([rgba[..., :3] * alpha, alpha], axis=2)
    blocks = blocks.reshape(h // factor, factor, w // factor, factor, 4).mean(axis=(1, 3))
    cover = np.maximum(blocks[..., 3:], 1e-6)
    return np.concatenate([np.clip(blocks[..., :3] / cover, 0, 1), blocks[..., 3:]], axis=2)


def on_background(rgba: Float[np.ndarray, "h w 4"], background: Rgb) -> Float[np.ndarray, "h w 3"]:
    """A transparent picture laid on a plain colour."""
    alpha = rgba[..., 3:]
    return np.asarray(rgba[..., :3] * alpha + np.asarray(background) * (1 - alpha))
