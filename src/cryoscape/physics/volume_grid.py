"""From maps to padded Fourier grids and back, one axis at a time, so that no padded volume is ever held."""

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryoscape.physics.grids import centred_indices
from cryoscape.physics.slices import FourierGrid


def volume_to_grid(
    volume: Float[Tensor, "z y x"], grid: FourierGrid, correct_gridding: bool = True
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
    """
    n = volume.shape[-1] * grid.oversampling
    work = volume / gridding_window(volume.shape[-1], grid).to(volume) if correct_gridding else volume
    both = torch.arange(-grid.half, grid.half + 1, device=volume.device)
    spectrum = _forward_axis(work, 2, n, both[grid.half :])
    for dim in (1, 0):
        spectrum = _forward_axis(spectrum, dim, n, both)
    return torch.view_as_real(spectrum.contiguous()).reshape(grid.n_voxels, 1, 2)


def grid_to_volume(
    values: Float[Tensor, "v 1 2"], grid: FourierGrid, box_size: int, correct_gridding: bool = True
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
    """
    n = box_size * grid.oversampling
    inside = (grid.radius(values.device) <= grid.max_radius)[:, None]
    spectrum = (torch.view_as_complex(values.contiguous()) * inside).view(grid.shape)
    # a frequency of n / 2 or beyond has no place of its own in a transform of length n
    reach = min(grid.half, (n - 1) // 2)
    low = grid.half - reach
    spectrum = spectrum[low : low + 2 * reach + 1, low : low + 2 * reach + 1, : reach + 1]
    frequencies = torch.arange(-reach, reach + 1, device=values.device)
    for dim in (0, 1):
        spectrum = _inverse_axis(spectrum, dim, n, frequencies, box_size)
    rows = spectrum.new_zeros(box_size, box_size, n // 2 + 1)
    rows[..., : reach + 1] = spectrum
    positions = centred_indices(box_size, values.device) % n
    volume = torch.fft.irfft(rows, n=n, dim=-1).index_select(-1, positions)
    return volume / gridding_window(box_size, grid).to(volume) if correct_gridding else volume


def _forward_axis(
    x: Complex[Tensor, "_ _ _"] | Float[Tensor, "_ _ _"], dim: int, n: int, frequencies: Int[Tensor, " f"]
) -> Complex[Tensor, "_ _ _"]:
    """Transform one centred axis, padded to length n, and keep some frequencies."""
    shape = list(x.shape)
    positions = centred_indices(shape[dim], x.device) % n
    shape[dim] = n
    padded = x.new_zeros(shape).index_copy_(dim, positions, x)
    if not padded.is_complex() and int(frequencies.min()) >= 0 and int(frequencies.max()) <= n // 2:
        return torch.fft.rfft(padded, dim=dim).index_select(dim, frequencies)
    return torch.fft.fft(padded, dim=dim).index_select(dim, frequencies % n)


def _inverse_axis(
    x: Complex[Tensor, "_ _ _"], dim: int, n: int, frequencies: Int[Tensor, " f"], box_size: int
) -> Complex[Tensor, "_ _ _"]:
    """Invert `_forward_axis` and keep the central ``box_size`` points."""
    shape = list(x.shape)
    shape[dim] = n
    spread = x.new_zeros(shape).index_copy_(dim, frequencies % n, x)
    positions = centred_indices(box_size, x.device) % n
    return torch.fft.ifft(spread, dim=dim).index_select(dim, positions)


def gridding_window(box_size: int, grid: FourierGrid) -> Float[Tensor, "z y x"]:
    """Real-space window of trilinear interpolation: sinc^2 along each axis."""
    axis = torch.sinc(centred_indices(box_size).double() / (box_size * grid.oversampling)) ** 2
    return axis[:, None, None] * axis[:, None] * axis
