"""Central slices of a padded Fourier grid and their exact adjoint, by trilinear interpolation.

A volume of side D is held as its transform on a grid ``oversampling`` times finer than 1/D, half of space
(x >= 0) and within a radius: the other half is its complex conjugate. Interpolation error of a grid that is
not oversampled acts like heterogeneity that depends on the pose, hence 2 by default. On a CPU compiled loops
do the work; elsewhere, or where gradients are asked for, the same is written in torch.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from cryoscape.physics import slice_kernels

_TORCH_CHUNK = 1 << 22


@dataclass(frozen=True)
class FourierGrid:
    """Shape of the grid.

    Voxel (z, y, x) holds frequency (x, y - half, z - half) / oversampling in cycles per box and lies at index
    (z * n_yz + y) * n_x + x of the flattened grid.

    Attributes
    ----------
    max_radius
        Largest |k| that is read or written, in cycles per box of the image.
    oversampling
        Grid points per 1/D.
    """

    max_radius: int
    oversampling: int = 2

    @property
    def half(self) -> int:
        """Largest index of an axis on either side of the origin; one voxel more than interpolation needs."""
        return self.max_radius * self.oversampling + 2

    @property
    def n_x(self) -> int:
        """Voxels along x (x >= 0)."""
        return self.half + 1

    @property
    def n_yz(self) -> int:
        """Voxels along y and along z."""
        return 2 * self.half + 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x)."""
        return (self.n_yz, self.n_yz, self.n_x)

    @property
    def n_voxels(self) -> int:
        """Length of the flattened grid."""
        return self.n_yz * self.n_yz * self.n_x

    def zeros(
        self, channels: int, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
    ) -> Float[Tensor, "v c 2"]:
        """Return an empty grid of complex channels (last axis: real, imaginary)."""
        return torch.zeros(self.n_voxels, channels, 2, dtype=dtype, device=device)

    def radius(self, device: torch.device | str | None = None) -> Float[Tensor, " v"]:
        """Return |k| of each voxel in cycles per box, shape (V,)."""
        axis = torch.arange(-self.half, self.half + 1, device=device, dtype=torch.float32) ** 2
        x = torch.arange(self.n_x, device=device, dtype=torch.float32) ** 2
        squared = axis[:, None, None] + axis[None, :, None] + x[None, None, :]
        return squared.sqrt().reshape(-1) / self.oversampling

    def inside(self, device: torch.device | str | None = None) -> Bool[Tensor, " v"]:
        """Return whether |k| of each voxel is at most ``max_radius``, shape (V,)."""
        axis = torch.arange(-self.half, self.half + 1, device=device) ** 2
        left = (self.max_radius * self.oversampling) ** 2 - axis[:, None] - axis[None, :]
        return (axis[self.half :] <= left[..., None]).reshape(-1)


@dataclass(frozen=True)
class Corners:
    """The 8 voxels around each pixel of each slice.

    Attributes
    ----------
    index : (B, P, 8) into the flattened grid.
    weight : (B, P, 8), trilinear, sum 1.
    conjugate : (B, P), whether the pixel lies at x < 0 and is read at -q.
    """

    index: Int[Tensor, "b p 8"]
    weight: Float[Tensor, "b p 8"]
    conjugate: Bool[Tensor, "b p"]


def corners(grid: FourierGrid, rotations: Float[Tensor, "b 3 3"], k: Tensor) -> Corners:
    """Find the voxels of q = k @ R, k = (kx, ky, 0), for B rotations and P frequencies."""
    q = torch.einsum("pi,bij->bpj", k.to(rotations), rotations[:, :2, :]) * grid.oversampling
    conjugate = q[..., 0] < 0
    q = torch.where(conjugate[..., None], -q, q)
    low = q.floor()
    fraction = q - low
    x, y, z = low.long().unbind(-1)
    base = ((z + grid.half) * grid.n_yz + y + grid.half) * grid.n_x + x
    steps = torch.tensor(
        [(dz * grid.n_yz + dy) * grid.n_x + dx for dz in (0, 1) for dy in (0, 1) for dx in (0, 1)],
        device=q.device,
    )
    fx, fy, fz = (torch.stack([1 - f, f], dim=-1) for f in fraction.unbind(-1))
    weight = fz[..., :, None, None] * fy[..., None, :, None] * fx[..., None, None, :]
    return Corners(base[..., None] + steps, weight.flatten(-3), conjugate)


def extract_slices(
    values: Float[Tensor, "v c 2"],
    grid: FourierGrid,
    rotations: Float[Tensor, "b 3 3"],
    k: Int[Tensor, "p 2"] | Float[Tensor, "p 2"],
) -> Complex[Tensor, "b p c"]:
    """Read central slices F(k @ R) of each channel.

    Parameters
    ----------
    values
        Channels on the grid, Hermitian on the plane x = 0.
    grid
        Shape of the grid; every |k| must be within ``grid.max_radius``.
    rotations
        Volume frequency = k @ R.
    k
        (kx, ky) in cycles per box.

    Raises
    ------
    ValueError
        If a frequency lies beyond the grid, or ``values`` is of another grid.
    """
    _check(grid, values, k)
    if _compiled_loops_serve(values, rotations):
        out = values.new_empty(len(rotations), len(k), values.shape[1], 2)
        slice_kernels.extract(values, out, rotations.to(values.dtype), k.to(values.dtype), grid)
        return torch.view_as_complex(out)
    parts = []
    for chunk in torch.split(rotations.to(values), _chunk(k, values.shape[1])):
        at = corners(grid, chunk, k)
        read = (values[at.index] * at.weight[..., None, None]).sum(2)
        parts.append(torch.view_as_complex(_conjugate_where(at.conjugate, read)))
    return torch.cat(parts)


def insert_slices(
    slices: Complex[Tensor, "b p c"],
    grid: FourierGrid,
    rotations: Float[Tensor, "b 3 3"],
    k: Int[Tensor, "p 2"] | Float[Tensor, "p 2"],
    out: Float[Tensor, "v c 2"],
) -> None:
    """Add slices into ``out`` in place: the adjoint of `extract_slices` in the real inner product.

    Only the half space x >= 0 is written. Where all of space is wanted, for example to divide by summed
    weights, call `symmetrise` once at the end.

    Raises
    ------
    ValueError
        If a frequency lies beyond the grid, ``out`` is of another grid, or counts differ.
    """
    _check(grid, out, k)
    if slices.shape != (len(rotations), len(k), out.shape[1]):
        raise ValueError(
            f"slices {tuple(slices.shape)} for {len(rotations)} rotations, {len(k)} frequencies and "
            f"{out.shape[1]} channels"
        )
    values = torch.view_as_real(slices.resolve_conj().contiguous()).to(out.dtype)
    if _compiled_loops_serve(out, values, rotations):
        slice_kernels.insert(values, out, rotations.to(out.dtype), k.to(out.dtype), grid)
        return
    size = _chunk(k, out.shape[1])
    for chunk, part in zip(torch.split(rotations.to(out), size), torch.split(values, size), strict=True):
        at = corners(grid, chunk, k)
        spread = _conjugate_where(at.conjugate, part)[:, :, None] * at.weight[..., None, None]
        out.index_add_(0, at.index.reshape(-1), spread.reshape(-1, *out.shape[1:]))


def symmetrise(values: Float[Tensor, "v c 2"], grid: FourierGrid) -> None:
    """Add to each voxel of the plane x = 0 the conjugate of its opposite, in place.

    A slice and its conjugate both lie in Fourier space, but insertion writes only one of the two.
    """
    plane = values.view(*grid.shape, *values.shape[1:])[:, :, 0]
    opposite = plane.flip(0, 1).clone()
    opposite[..., 1].neg_()
    plane += opposite


def _check(grid: FourierGrid, values: Tensor, k: Tensor) -> None:
    if len(values) != grid.n_voxels:
        raise ValueError(f"{len(values)} values for a grid of {grid.n_voxels} voxels")
    if len(k) and float((k.double() ** 2).sum(-1).max()) > grid.max_radius**2 + 1e-6:
        raise ValueError(f"frequencies reach beyond the radius {grid.max_radius} of the grid")


def _compiled_loops_serve(values: Tensor, *others: Tensor) -> bool:
    """Whether all is on the CPU and nobody asks for gradients."""
    gradients = torch.is_grad_enabled() and any(t.requires_grad for t in (values, *others))
    return values.device.type == "cpu" and not gradients


def _chunk(k: Tensor, channels: int) -> int:
    return max(1, _TORCH_CHUNK // max(1, len(k) * 8 * channels))


def _conjugate_where(conjugate: Bool[Tensor, "b p"], values: Float[Tensor, "b p c 2"]) -> Tensor:
    sign = 1 - 2 * conjugate.to(values.dtype)
    return torch.stack([values[..., 0], values[..., 1] * sign[..., None]], dim=-1)
