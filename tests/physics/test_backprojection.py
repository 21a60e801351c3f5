import pytest
import torch

from cryoscape.physics.backprojection import HalfSetAccumulator, solve
from cryoscape.physics.fsc import fourier_shell_correlation
from cryoscape.physics.grids import centred_indices, half_plane
from cryoscape.physics.rotations import random_rotations
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.volume_grid import volume_to_grid

BOX = 24
PLANE = half_plane(BOX)


def molecule() -> torch.Tensor:
    """A few Gaussian blobs well inside the box, off centre."""
    axis = centred_indices(BOX).float()
    volume = torch.zeros(BOX, BOX, BOX)
    for z, y, x, height in ((3, -2, 4, 1.0), (-4, 3, -1, 2.0), (0, -5, -3, 1.5), (2, 5, 2, 0.7)):
        gaussians = [torch.exp(-((axis - c) ** 2) / 4) for c in (z, y, x)]
        volume += height * torch.einsum("z,y,x->zyx", *gaussians)
    return volume


def images(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rotations, CTFs that change sign, and noiseless images of the molecule."""
    generator = torch.Generator().manual_seed(n)
    rotations = random_rotations(n, generator)
    grid = FourierGrid(BOX // 2, 4)
    slices = extract_slices(volume_to_grid(molecule(), grid), grid, rotations, PLANE.k)[..., 0]
    ctf = torch.sin(PLANE.radius * (0.4 + torch.rand(n, 1, generator=generator)) - 0.1)
    return rotations, ctf, slices * ctf


def backproject(n: int) -> HalfSetAccumulator:
    rotations, ctf, slices = images(n)
    accumulator = HalfSetAccumulator(BOX // 2)
    for rows in torch.arange(n).split(300):
        accumulator.add(slices[rows], ctf[rows], rotations[rows], PLANE.k, rows % 2)
    return accumulator


def test_noiseless_images_give_the_map_its_scale_and_its_mean() -> None:
    found = backproject(1500).reconstruct(BOX, regularisation=0.01)
    truth = molecule()
    assert found.n_images == (750, 750)
    assert float(fourier_shell_correlation(found.full, truth)[1:8].min()) > 0.995
    assert float((found.full * truth).sum() / (truth * truth).sum()) == pytest.approx(1.0, abs=0.03)
    # frequency 0 was in no image: it follows from the emptiness around the molecule
    assert float(found.full.sum() / truth.sum()) == pytest.approx(1.0, abs=0.1)
    assert float(fourier_shell_correlation(found.half_a, found.half_b)[1:8].min()) > 0.98


def test_halves_hold_their_own_images_only() -> None:
    rotations, ctf, slices = images(40)
    both, even = HalfSetAccumulator(BOX // 2), HalfSetAccumulator(BOX // 2)
    rows = torch.arange(40)
    both.add(slices, ctf, rotations, PLANE.k, rows % 2)
    even.add(slices[::2], ctf[::2], rotations[::2], PLANE.k, torch.zeros(20, dtype=torch.int64))
    torch.testing.assert_close(both.sums[0], even.sums[0])
    found = even.reconstruct(BOX)
    torch.testing.assert_close(found.full, found.half_a)
    assert not found.half_b.any()
    torch.testing.assert_close(both.reconstruct(BOX).half_a, found.half_a)


def test_sums_are_the_weighted_adjoint_of_projection() -> None:
    """Channel 0 is A* (ctf image) and channel 1 A* ctf^2, with A the slices of a grid."""
    rotations, ctf, slices = images(7)
    accumulator = HalfSetAccumulator(BOX // 2)
    accumulator.add(slices, ctf, rotations, PLANE.k, torch.zeros(7, dtype=torch.int64))
    probe = torch.randn(accumulator.grid.n_voxels, 1, 2, generator=torch.Generator().manual_seed(0))
    read = extract_slices(probe, accumulator.grid, rotations, PLANE.k)[..., 0]
    left = float((read.conj() * slices * ctf).real.double().sum())
    assert left == pytest.approx(float((probe[:, 0] * accumulator.sums[0][:, 0]).double().sum()), rel=1e-4)
    assert float(accumulator.sums[0][:, 1, 0].sum()) == pytest.approx(float((ctf**2).sum()), rel=1e-5)


def test_solving_is_linear_in_the_images_and_changes_nothing() -> None:
    accumulator = backproject(60)
    before = accumulator.sums[0].clone()
    once = solve(accumulator.sums[0], accumulator.grid, BOX)
    torch.testing.assert_close(accumulator.sums[0], before)
    accumulator.sums[0][:, 0] *= 2
    torch.testing.assert_close(solve(accumulator.sums[0], accumulator.grid, BOX), 2 * once)


def test_regularisation_damps_what_few_images_saw_and_nothing_else() -> None:
    grid = FourierGrid(BOX // 2)
    values = volume_to_grid(molecule(), grid, correct_gridding=False)
    weights = torch.full((*grid.shape, 1, 1), 2.0)
    weights[:, :, 0] /= 2  # each of this plane's frequencies is inserted at its opposite too

    def solved(weights: torch.Tensor, regularisation: float) -> torch.Tensor:
        flat = weights.reshape(-1, 1, 1)
        sums = torch.cat([values * flat, torch.cat([flat, torch.zeros_like(flat)], dim=-1)], dim=1)
        return solve(sums, grid, BOX, regularisation)

    evenly_seen = solved(weights, 0.0)
    torch.testing.assert_close(solved(weights, 1.0), evenly_seen, atol=1e-4, rtol=0)
    x = torch.arange(grid.n_x)
    fewer = weights * torch.where(x > 8, 0.02, 1.0)[:, None, None]
    torch.testing.assert_close(solved(fewer, 0.0), evenly_seen, atol=1e-4, rtol=0)
    before, after = (torch.fft.rfftn(v).abs() for v in (evenly_seen, solved(fewer, 0.5)))
    assert float(after[..., 5:9].norm() / before[..., 5:9].norm()) < 0.3
    assert float(after[..., :3].norm() / before[..., :3].norm()) > 0.9
