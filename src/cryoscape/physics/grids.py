"""Frequency and coordinate grids; the centre of an axis of length n is index n // 2."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class HalfPlane:
    """Half of the Fourier plane of a real image, without the origin, sorted by radius.

    A real image has F(-k) = conj F(k), so kx > 0, or kx = 0 and ky > 0, is all there is to know. Pixels are
    sorted by radius (ties keep their order), so a lower resolution is a prefix of every array.

    Attributes
    ----------
    box_size
        Side of the image in pixels.
    k
        Frequencies (kx, ky) in index units (cycles per box), shape (P, 2).
    radius
        |k| in index units, ascending, shape (P,).
    """

    box_size: int
    k: Int[Tensor, "p 2"]
    radius: Float[Tensor, " p"]

    @property
    def n_pixels(self) -> int:
        """Number of frequencies P."""
        return int(self.k.shape[0])

    def count_within(self, radius: float) -> int:
        """Length of the prefix with |k| <= radius."""
        limit = torch.tensor(radius, dtype=self.radius.dtype, device=self.radius.device)
        return int(torch.searchsorted(self.radius, limit, right=True))

    def prefix(self, radius: float) -> "HalfPlane":
        """Return the frequencies with |k| <= radius."""
        n = self.count_within(radius)
        return HalfPlane(self.box_size, self.k[:n], self.radius[:n])

    def to(self, device: torch.device | str) -> "HalfPlane":
        """Move the arrays to a device."""
        return HalfPlane(self.box_size, self.k.to(device), self.radius.to(device))


def half_plane(box_size: int, max_radius: float | None = None) -> HalfPlane:
    """Make the half plane of frequencies up to a radius.

    Parameters
    ----------
    box_size
        Side of the image in pixels, D.
    max_radius
        Largest |k| in cycles per box; D / 2 if not given. The two Nyquist frequencies (D/2, 0) and (0, D/2)
        are included then, which the transform holds at index -D/2.
    """
    limit = box_size / 2 if max_radius is None else float(max_radius)
    reach = min(int((limit**2 + 1e-6) ** 0.5), box_size // 2)
    ky, kx = torch.meshgrid(torch.arange(-reach, reach + 1), torch.arange(0, reach + 1), indexing="ij")
    squared = kx**2 + ky**2
    keep = ((kx > 0) | (ky > 0)) & (squared <= limit**2 + 1e-6)
    k = torch.stack([kx[keep], ky[keep]], dim=-1)
    squared = squared[keep]
    order = torch.argsort(squared, stable=True)
    return HalfPlane(box_size, k[order], squared[order].to(torch.float32).sqrt())


def centred_indices(n: int, device: torch.device | str | None = None) -> Int[Tensor, " n"]:
    """Return the integer coordinates of a centred axis: -(n // 2) ... , 0 at index n // 2."""
    return torch.arange(n, device=device) - n // 2


def frequency_grid_2d(
    n: int, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
) -> Float[Tensor, "y x 2"]:
    """Return centred frequencies (kx, ky) in index units for an n x n transform."""
    axis = centred_indices(n, device).to(dtype)
    ky, kx = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([kx, ky], dim=-1)


def frequency_grid_3d(
    n: int, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
) -> Float[Tensor, "z y x 3"]:
    """Return centred frequencies (kx, ky, kz) in index units for an n x n x n transform."""
    axis = centred_indices(n, device).to(dtype)
    kz, ky, kx = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([kx, ky, kz], dim=-1)


def radius_grid_2d(
    n: int, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
) -> Float[Tensor, "y x"]:
    """Return the distance from the centre n // 2 of each pixel, in pixels."""
    return frequency_grid_2d(n, dtype, device).norm(dim=-1)


def radius_grid_3d(
    n: int, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
) -> Float[Tensor, "z y x"]:
    """Return the distance from the centre n // 2 of each voxel, in voxels."""
    axis = centred_indices(n, device).to(dtype)
    return (axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2).sqrt()


def shell_index_3d(n: int, device: torch.device | str | None = None) -> Int[Tensor, "z y x"]:
    """Return the shell of each voxel of a centred transform: its radius rounded to the nearest integer."""
    return radius_grid_3d(n, torch.float64, device).round().long()


def flip_hand(volume: Float[Tensor, "*batch z y x"], legacy: bool = False) -> Float[Tensor, "*batch z y x"]:
    """Mirror z about voxel D // 2, so that the centre stays where it is.

    Parameters
    ----------
    volume
        Density maps; for an even box, plane 0 has no partner and stays (periodic).
    legacy
        Reverse the z axis instead, as cryoDRGN does, which moves the centre of an even box by one voxel.
    """
    flipped = volume.flip(-3)
    if legacy or volume.shape[-3] % 2 == 1:
        return flipped
    return flipped.roll(1, dims=-3)
