"""Soft real-space masks: image window, sphere, and the surroundings of a map."""

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from cryoscape.physics.grids import radius_grid_2d, radius_grid_3d


def soft_window_2d(box_size: int, inner: float = 0.85, outer: float = 0.99) -> Float[Tensor, "y x"]:
    """Return the image window: 1 up to ``inner``, falling linearly to 0 at ``outer`` (fractions of D / 2).

    The same as cryoDRGN's, so that images enter training alike. ``outer`` <= ``inner`` is a sharp edge.
    """
    radius = radius_grid_2d(box_size, torch.float64) / (box_size / 2)
    if outer <= inner:
        return (radius <= inner).to(torch.float32)
    return ((outer - radius) / (outer - inner)).clamp(0, 1).to(torch.float32)


def cosine_edge(distance: Float[Tensor, "*shape"], edge: float) -> Float[Tensor, "*shape"]:
    """Return 1 at distance <= 0, a raised cosine to 0 at ``edge``; distance and edge in the same unit."""
    if edge <= 0:
        return (distance <= 0).to(distance.dtype)
    return 0.5 + 0.5 * torch.cos(torch.pi * (distance / edge).clamp(0, 1))


def soft_sphere(
    box_size: int, radius_px: float, edge_px: float, device: torch.device | str | None = None
) -> Float[Tensor, "z y x"]:
    """Return a sphere about voxel D // 2: 1 within ``radius_px``, raised cosine over ``edge_px`` beyond."""
    return cosine_edge(radius_grid_3d(box_size, torch.float32, device) - radius_px, edge_px)


def soft_mask_from_map(
    volume: Float[Tensor, "z y x"], threshold: float, dilation_px: float, edge_px: float
) -> Float[Tensor, "z y x"]:
    """Return a mask around the density above ``threshold``.

    1 within ``dilation_px`` voxels (Euclidean distance) of the density, raised cosine to 0 over ``edge_px``
    beyond. All zeros if nothing is above the threshold.
    """
    return cosine_edge(distance_from_density(volume, threshold) - dilation_px, edge_px)


def distance_from_density(volume: Float[Tensor, "z y x"], threshold: float) -> Float[Tensor, "z y x"]:
    """Return how far, in voxels, the nearest density above ``threshold`` is; infinite where there is none."""
    inside = (volume > threshold).cpu().numpy()
    if not inside.any():
        return torch.full_like(volume, torch.inf)
    return torch.from_numpy(ndimage.distance_transform_edt(~inside).astype(np.float32)).to(volume)
