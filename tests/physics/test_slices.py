"""Slices of a Fourier grid: adjoint, two implementations, closed forms, torch-fourier-slice, real data."""

import inspect
import math
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch_fourier_slice
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoscape.io.legacy_pickle import read_poses
from cryoscape.io.mrc import open_mrc, read_volume
from cryoscape.physics import slices
from cryoscape.physics.fourier import half_plane_coefficients
from cryoscape.physics.grids import half_plane
from cryoscape.physics.rotations import matrix_from_quaternion, random_rotations
from cryoscape.physics.slices import FourierGrid, corners, extract_slices, insert_slices, symmetrise
from cryoscape.physics.volume_grid import volume_to_grid

PATHS = pytest.mark.parametrize("compiled", [True, False])
quaternions = st.lists(
    st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1), min_size=1, max_size=3
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def path(compiled: bool) -> AbstractContextManager[object]:
    """Have the compiled loops, or torch, do the work."""
    return patch.object(slices, "_compiled_loops_serve", lambda *tensors: compiled)


def noise_grid(grid: FourierGrid, channels: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(grid.n_voxels, channels, 2, generator=generator(), dtype=dtype)


def noise_slices(b: int, p: int, c: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.view_as_complex(torch.randn(b, p, c, 2, generator=generator(1), dtype=dtype))


def gaussian_grid(grid: FourierGrid, box: int, sigma: float, centre: torch.Tensor) -> torch.Tensor:
    """Transform of a Gaussian blob of integral 1 at ``centre`` (x, y, z) pixels, in closed form."""
    axis = torch.arange(-grid.half, grid.half + 1, dtype=torch.float64) / grid.oversampling / box
    z, y, x = torch.meshgrid(axis, axis, axis[grid.half :], indexing="ij")
    f = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    return torch.view_as_real(gaussian_transform(f, sigma, centre))[:, None]


def gaussian_transform(f: torch.Tensor, sigma: float, centre: torch.Tensor) -> torch.Tensor:
    """exp(-2 pi^2 sigma^2 f^2 - 2 pi i f.centre), f in cycles per pixel."""
    return torch.exp(-2 * math.pi**2 * sigma**2 * (f**2).sum(-1) - 2j * math.pi * (f @ centre))


@PATHS
@settings(deadline=None, max_examples=25)
@given(quaternion=quaternions, oversampling=st.integers(1, 3), channels=st.integers(1, 4))
def test_insertion_is_the_adjoint_of_extraction(
    compiled: bool, quaternion: list[tuple[float, ...]], oversampling: int, channels: int
) -> None:
    grid, k = FourierGrid(5, oversampling), half_plane(10).k
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        rotations = matrix_from_quaternion(torch.tensor(quaternion, dtype=dtype))
        x, y = noise_grid(grid, channels, dtype), noise_slices(len(rotations), len(k), channels, dtype)
        back = grid.zeros(channels, dtype)
        with path(compiled):
            forward = extract_slices(x, grid, rotations, k)
            insert_slices(y, grid, rotations, k, back)
        left = (forward.conj() * y).real.sum().double()
        right = (x * back).sum().double()
        assert abs(left - right) <= tolerance * float(forward.norm() * y.norm())


@settings(deadline=None, max_examples=25)
@given(quaternion=quaternions, oversampling=st.integers(1, 3), channels=st.integers(1, 4))
def test_compiled_loops_do_the_same_as_torch(
    quaternion: list[tuple[float, ...]], oversampling: int, channels: int
) -> None:
    grid, k = FourierGrid(5, oversampling), half_plane(10).k
    rotations = matrix_from_quaternion(torch.tensor(quaternion, dtype=torch.float64))
    x, y = (
        noise_grid(grid, channels, torch.float64),
        noise_slices(len(rotations), len(k), channels, torch.float64),
    )
    read, written = [], []
    for compiled in (True, False):
        out = noise_grid(grid, channels, torch.float64)
        with path(compiled):
            read.append(extract_slices(x, grid, rotations, k))
            insert_slices(y, grid, rotations, k, out)
        written.append(out)
    torch.testing.assert_close(*read, atol=1e-12, rtol=0)
    torch.testing.assert_close(*written, atol=1e-12, rtol=0)


@PATHS
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_chunks_do_not_matter(
    compiled: bool, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, k, rotations = FourierGrid(5), half_plane(10).k, random_rotations(7, generator(), torch.float64)
    x, y = noise_grid(grid, 2, torch.float64), noise_slices(7, len(k), 2, torch.float64)
    whole, parts = grid.zeros(2, torch.float64), grid.zeros(2, torch.float64)
    with path(compiled):
        expected = extract_slices(x, grid, rotations, k)
        insert_slices(y, grid, rotations, k, whole)
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        monkeypatch.setattr(slices, "_TORCH_CHUNK", 16 * len(k) * 2)
        found = extract_slices(x, grid, rotations, k)
        insert_slices(y, grid, rotations, k, parts)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(parts, whole, atol=1e-12, rtol=0)


@PATHS
def test_on_grid_points_the_voxel_itself_is_read(compiled: bool) -> None:
    """Quarter turns about z take pixels to voxels; those at x < 0 are read as conjugates."""
    grid = FourierGrid(3, 2)
    x = noise_grid(grid, 1, torch.float64)
    cube = torch.view_as_complex(x).reshape(grid.shape)
    quarter = torch.from_numpy(Rotation.from_euler("z", 90, degrees=True).as_matrix().T.copy()).round()
    k = torch.tensor([[2, 1], [1, -2]])
    with path(compiled):
        plain, turned = extract_slices(x, grid, torch.stack([torch.eye(3).double(), quarter]), k)[..., 0]
    assert plain[0] == cube[grid.half, grid.half + 2, 4]  # (z, y, x) = 2 * (0, 1, 2)
    assert plain[1] == cube[grid.half, grid.half - 4, 2]
    # k @ R: (kx, ky) -> (-ky, kx), here (-1, 2) and (2, 1)
    assert turned[0] == cube[grid.half, grid.half - 4, 2].conj()
    assert turned[1] == cube[grid.half, grid.half + 2, 4]


@pytest.mark.parametrize("oversampling", [1, 2, 4])
def test_slices_of_a_gaussian_blob(oversampling: int) -> None:
    """Linear interpolation is off by at most h^2 / 8 times the second derivative along each axis.

    That is at most (2 pi / D)^2 times the second moment of the density along the axis.
    """
    box, sigma, centre = 32, 1.5, torch.tensor([1.5, -2.0, 2.5], dtype=torch.float64)
    grid, k = FourierGrid(16, oversampling), half_plane(box).k
    rotations = random_rotations(20, generator(), torch.float64)
    f = torch.einsum("pi,bij->bpj", k.double(), rotations[:, :2]) / box
    expected = gaussian_transform(f, sigma, centre)
    found = extract_slices(gaussian_grid(grid, box, sigma, centre), grid, rotations, k)[..., 0]
    bound = (2 * math.pi / box) ** 2 * float(centre @ centre + 3 * sigma**2) / (8 * oversampling**2)
    error = float((found - expected).abs().max())
    assert bound / 3 < error < bound


def test_insertion_then_division_by_the_weights_gives_the_grid_back() -> None:
    """Slices of a constant are the constant: spread with their weights, on the plane x = 0 as well."""
    grid, k, rotations = FourierGrid(4), half_plane(8).k, random_rotations(200, generator())
    ones = torch.full((200, len(k), 1), 2.0, dtype=torch.complex64)
    total, weight = grid.zeros(1), grid.zeros(1)
    insert_slices(ones, grid, rotations, k, total)
    insert_slices(torch.ones_like(ones), grid, rotations, k, weight)
    symmetrise(total, grid)
    symmetrise(weight, grid)
    seen = weight[:, 0, 0] > 1e-3
    torch.testing.assert_close(total[seen, 0, 0] / weight[seen, 0, 0], torch.full((int(seen.sum()),), 2.0))
    shell = (grid.radius() > 1) & (grid.radius() < 3.5)
    assert seen[shell].float().mean() > 0.99


def test_symmetrise_makes_the_plane_hermitian_and_leaves_the_rest() -> None:
    grid = FourierGrid(2)
    before = noise_grid(grid, 2, torch.float64)
    after = before.clone()
    symmetrise(after, grid)
    cube = [torch.view_as_complex(v).reshape(*grid.shape, 2) for v in (before, after)]
    assert torch.equal(cube[0][:, :, 1:], cube[1][:, :, 1:])
    plane = cube[0][:, :, 0]
    torch.testing.assert_close(cube[1][:, :, 0], plane + plane.flip(0, 1).conj())


def test_symmetrised_insertion_is_insertion_of_both_halves_of_the_plane() -> None:
    grid, k, rotations = FourierGrid(4), half_plane(8).k, random_rotations(5, generator(), torch.float64)
    y = noise_slices(5, len(k), 1, torch.float64)
    half, both = grid.zeros(1, torch.float64), grid.zeros(1, torch.float64)
    insert_slices(y, grid, rotations, k, half)
    insert_slices(torch.cat([y, y.conj()], 1), grid, rotations, torch.cat([k, -k]), both)
    symmetrise(half, grid)
    inner = half.view(*grid.shape, 2)[:, :, 1:]
    whole = both.view(*grid.shape, 2)
    torch.testing.assert_close(2 * inner, whole[:, :, 1:])  # -k is read at +k: each pixel came twice
    plane = whole[:, :, 0] + whole[:, :, 0].flip(0, 1) * torch.tensor([1, -1])
    torch.testing.assert_close(2 * half.view(*grid.shape, 2)[:, :, 0], plane)


def test_gradients_with_respect_to_values_slices_and_rotations() -> None:
    grid, k = FourierGrid(2, 2), half_plane(4).k
    rotations = random_rotations(2, generator(), torch.float64).requires_grad_()
    x = noise_grid(grid, 1, torch.float64).requires_grad_()
    y = noise_slices(2, len(k), 1, torch.float64).requires_grad_()

    def read(x: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
        return torch.view_as_real(extract_slices(x, grid, rotations, k))

    def write(y: torch.Tensor) -> torch.Tensor:
        out = grid.zeros(1, torch.float64)
        insert_slices(y, grid, rotations.detach(), k, out)
        return out

    assert torch.autograd.gradcheck(read, (x, rotations), fast_mode=True)
    assert torch.autograd.gradcheck(write, (y,), fast_mode=True)


def test_gradient_of_extraction_is_insertion() -> None:
    grid, k, rotations = FourierGrid(3), half_plane(6).k, random_rotations(3, generator())
    x, y = noise_grid(grid, 2, torch.float32).requires_grad_(), noise_slices(3, len(k), 2, torch.float32)
    (extract_slices(x, grid, rotations, k).conj() * y).real.sum().backward()
    expected = grid.zeros(2)
    insert_slices(y, grid, rotations, k, expected)
    torch.testing.assert_close(x.grad, expected)


def test_without_gradients_parameters_take_the_compiled_loops() -> None:
    grid, k = FourierGrid(2), half_plane(4).k
    x = noise_grid(grid, 1, torch.float32).requires_grad_()
    with torch.no_grad(), patch.object(slices, "corners", side_effect=AssertionError):
        assert not extract_slices(x, grid, torch.eye(3)[None], k).requires_grad


@pytest.mark.parametrize("max_radius", [3, 4])
def test_frequencies_beyond_the_grid_are_refused(max_radius: int) -> None:
    grid, k = FourierGrid(max_radius), torch.tensor([[3, 3]])  # 4.24
    with pytest.raises(ValueError, match=f"beyond the radius {max_radius}"):
        extract_slices(grid.zeros(1), grid, torch.eye(3)[None], k)
    with pytest.raises(ValueError, match=f"beyond the radius {max_radius}"):
        insert_slices(torch.zeros(1, 1, 1, dtype=torch.complex64), grid, torch.eye(3)[None], k, grid.zeros(1))


def test_values_of_another_grid_and_other_counts_are_refused() -> None:
    grid, k, one = FourierGrid(4), half_plane(8).k, torch.eye(3)[None]
    unchecked = inspect.unwrap(insert_slices)  # as users have it, without the type checks of the tests
    with pytest.raises(ValueError, match="voxels"):
        extract_slices(FourierGrid(5).zeros(1), grid, one, k)
    for b, p, c in ((2, len(k), 1), (1, 5, 1), (1, len(k), 2)):
        with pytest.raises(ValueError, match="for 1 rotations, 24 frequencies and 1 channels"):
            unchecked(noise_slices(b, p, c, torch.float32), grid, one, k, grid.zeros(1))


@PATHS
def test_nothing_in_nothing_out(compiled: bool) -> None:
    grid, k = FourierGrid(4), half_plane(8).k
    out = grid.zeros(2)
    with path(compiled):
        assert extract_slices(out, grid, torch.zeros(0, 3, 3), k).shape == (0, len(k), 2)
        insert_slices(torch.zeros(0, len(k), 2, dtype=torch.complex64), grid, torch.zeros(0, 3, 3), k, out)
    assert not out.any()


def test_rotations_that_are_not_finite_write_nowhere_outside() -> None:
    grid, k = FourierGrid(4), half_plane(8).k
    rotations = torch.eye(3).repeat(3, 1, 1)
    rotations[0, 0, 0], rotations[1, :, 1], rotations[2] = math.nan, math.inf, 1e30
    out = grid.zeros(1)
    insert_slices(noise_slices(3, len(k), 1, torch.float32), grid, rotations, k, out)
    assert out.isfinite().all()
    assert extract_slices(out, grid, rotations, k).isfinite().all()


def test_corners_have_weights_that_sum_to_one_and_lie_on_the_grid() -> None:
    grid, k = FourierGrid(8, 2), half_plane(16).k
    at = corners(grid, random_rotations(50, generator()), k)
    torch.testing.assert_close(at.weight.sum(-1), torch.ones(50, len(k)))
    assert at.weight.min() >= 0
    assert at.index.min() >= 0
    assert at.index.max() < grid.n_voxels


def test_shape_of_a_grid() -> None:
    grid = FourierGrid(3, 2)
    assert (grid.half, grid.shape, grid.n_voxels) == (8, (17, 17, 9), 17 * 17 * 9)
    radius = grid.radius().view(grid.shape)
    assert radius[8, 8, 0] == 0
    assert radius[8, 8, 6] == radius[2, 8, 0] == radius[8, 14, 0] == 3
    assert grid.zeros(2, torch.float64).shape == (grid.n_voxels, 2, 2)


def test_against_torch_fourier_slice() -> None:
    """It rotates points of the slice, not row vectors of frequencies, so it is given the transpose."""
    box = 32
    axis = torch.arange(box) - box // 2
    blob = torch.exp(-((axis - torch.tensor([[3.0], [-4.0], [1.0]])) ** 2) / 18)
    volume = torch.einsum("z,y,x->zyx", *blob) + 0.5 * torch.einsum("z,y,x->zyx", blob[2], blob[0], blob[1])
    rotations = random_rotations(10, generator())
    plane = half_plane(box, 12.0)
    theirs = torch_fourier_slice.project_3d_to_2d(volume, rotations.transpose(1, 2), pad_factor=2.0)
    expected = half_plane_coefficients(theirs, plane)
    grid = FourierGrid(12, 2)
    found = extract_slices(volume_to_grid(volume, grid), grid, rotations, plane.k)[..., 0]
    assert (found - expected).norm() / expected.norm() < 0.015


def test_toy_projections(shared_data: Path) -> None:
    """Real-space images against slices of the map at the poses given: R as it is, nothing mirrored."""
    folder = shared_data / "particles"
    volume = torch.from_numpy(read_volume(folder / "toymodel_small_nocenter.mrc").data)
    images = torch.from_numpy(np.array(open_mrc(folder / "toy_projections.mrcs", "stack"), dtype=np.float32))
    rotations = torch.from_numpy(read_poses(folder / "toy_angles.pkl")[0]).float()
    plane, grid = half_plane(images.shape[-1]), FourierGrid(images.shape[-1] // 2)
    measured = half_plane_coefficients(images, plane)

    def mean_correlation(volume: torch.Tensor, rotations: torch.Tensor) -> float:
        read = extract_slices(volume_to_grid(volume, grid), grid, rotations, plane.k)[..., 0]
        product = (read.conj() * measured).real.sum(1)
        return float((product / (read.norm(dim=1) * measured.norm(dim=1))).mean())

    assert mean_correlation(volume, rotations) > 0.99
    assert mean_correlation(volume, rotations.transpose(1, 2)) < 0.8
    assert mean_correlation(volume.flip(0), rotations) < 0.9
