"""From maps to padded Fourier grids and back, one axis at a time, so that no padded volume is ever held.

Each axis is a product with the matrix of its waves. A grid holds about as many frequencies as a padded map
has points and a map half as many, so that products, which run near the peak of a processor, take a third of
the time of transforms of the padded length that are then cut: and where a map is known to be zero, no time.
"""

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryoscape.physics.grids import centred_indices
from cryoscape.physics.slices import FourierGrid

Region = tuple[slice, slice, slice]
"""Voxels [z, y, x] of a box."""
WHOLE: Region = (slice(None), slice(None), slice(None))


def volume_to_grid(
    volume: Float[Tensor, "z y x"],
    grid: FourierGrid,
    correct_gridding: bool = True,
    region: Region = WHOLE,
) -> Float[Tensor, "v 1 2"]:
    """Transform a map to the grid, for `slices.extract_slices`.

    Parameters
    ----------
    volume
        (D, D, D), origin at voxel D // 2.
    grid
        Voxels beyond the Nyquist frequency of the map repeat its transform, which is periodic.
    correct_gridding
        Divide the map by the window with which trilinear reading will multiply it.
    region
        Voxels beyond which the map is taken as zero.
    """
    n = volume.shape[-1] * grid.oversampling
    work = volume / gridding_window(volume.shape[-1], grid).to(volume) if correct_gridding else volume
    positions = _positions(volume.shape[-1], region)
    both = torch.arange(-grid.half, grid.half + 1)
    z, y, x = (
        _waves(frequencies, own, -n).to(volume.device, volume.dtype.to_complex())
        for frequencies, own in zip((both, both, both[grid.half :]), positions, strict=True)
    )
    rows = work[region] @ torch.view_as_real(x).transpose(0, 1).flatten(1)  # real parts and imaginary ones
    planes = y @ torch.view_as_complex(rows.view(*rows.shape[:-1], grid.n_x, 2))
    spectrum = z @ planes.flatten(1)
    return torch.view_as_real(spectrum).reshape(grid.n_voxels, 1, 2)


def grid_to_volume(
    values: Float[Tensor, "v 1 2"],
    grid: FourierGrid,
    box_size: int,
    correct_gridding: bool = True,
    region: Region = WHOLE,
    limited: bool = False,
) -> Float[Tensor, "z y x"]:
    """Invert `volume_to_grid`: the central (D, D, D) of the inverse transform of the grid.

    Parameters
    ----------
    values
        Transform on the grid; frequencies beyond ``grid.max_radius`` are not used.
    box_size
        D of the map; its Nyquist frequency D / 2 should not be below ``grid.max_radius``.
    correct_gridding
        Divide by the window with which trilinear insertion multiplied the map.
    region
        Voxels that are wanted; the others are 0.
    limited
        Whether values beyond the radius are known to be 0, which saves taking them out.
    """
    n = box_size * grid.oversampling
    spectrum = torch.view_as_complex(values.contiguous()).view(grid.n_yz, -1)
    if not limited:
        spectrum = spectrum * grid.inside(values.device).view(grid.n_yz, -1)
    volume = values.new_zeros(box_size, box_size, box_size)
    both = torch.arange(-grid.half, grid.half + 1)
    positions = _positions(box_size, region)
    z, y, x = (
        # a frequency of n / 2 or beyond has no place of its own in a transform of length n
        (_waves(own, f, n) * (2 * f.abs() < n)).to(spectrum) / n
        for own, f in zip(positions, (both, both, both[grid.half :]), strict=True)
    )
    x[:, 1:] *= 2  # each stands for its opposite too
    planes = (z @ spectrum).view(len(z), grid.n_yz, grid.n_x)
    rows = torch.view_as_real(y @ planes).flatten(-2)
    volume[region] = rows @ torch.view_as_real(x.conj().resolve_conj()).flatten(1).T
    return volume / gridding_window(box_size, grid).to(volume) if correct_gridding else volume


def _positions(box_size: int, region: Region) -> list[Int[Tensor, " n"]]:
    """Coordinates of the voxels of a region along each axis."""
    return [centred_indices(box_size)[own] for own in region]


def _waves(a: Int[Tensor, " a"], b: Int[Tensor, " b"], n: int) -> Complex[Tensor, "a b"]:
    """exp(2 pi i a b / n) in double precision."""
    angle = (2 * torch.pi / n) * torch.remainder(a[:, None] * b, abs(n)).double()
    return torch.polar(torch.ones_like(angle), angle)


def gridding_window(box_size: int, grid: FourierGrid) -> Float[Tensor, "z y x"]:
    """Real-space window of trilinear interpolation: sinc^2 along each axis."""
    axis = torch.sinc(centred_indices(box_size).double() / (box_size * grid.oversampling)) ** 2
    return axis[:, None, None] * axis[:, None] * axis
