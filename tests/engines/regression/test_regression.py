"""Maps from neighbours: against the truth of images without noise, and distances against their definition."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.regression.correction import Corrector
from cryoscape.engines.regression.fit import RegressedMap, Regression
from cryoscape.engines.regression.neighbours import RINGS, rings, squared_distances
from cryoscape.engines.regression.voxels import Voxels
from cryoscape.engines.subspace.start import support_at
from cryoscape.engines.subspace.support import change_box
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.metadata import Particles, Poses
from cryoscape.physics.fsc import fourier_shell_correlation, low_pass
from cryoscape.physics.grids import half_plane
from cryoscape.physics.masks import soft_sphere
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.volume_grid import volume_to_grid
from particle_files import random_rotations

BOX, N = 16, 800
MASK = soft_sphere(BOX, 5.0, 2.0)


def blob(x: float, y: float, box: int = BOX, width: float = 2.0) -> torch.Tensor:
    axis = torch.arange(box) - box // 2
    square = axis[:, None, None] ** 2 + (axis[:, None] - y) ** 2 + (axis - x) ** 2
    return torch.exp(-square / width**2).float()


COMMON, BENT = 3 * blob(0, 0), blob(-3, 2)


def store_of(
    place: torch.Tensor, noise: float, common: torch.Tensor = COMMON, bent: torch.Tensor = BENT
) -> FourierStore:
    """Views of common + (place > 0) bent: a jump that maps linear in the place cannot follow."""
    rng = np.random.default_rng(3)
    rotations = random_rotations(N)
    box = len(common)
    plane = half_plane(box)
    grid = FourierGrid(box // 2, 2)
    values = torch.cat([volume_to_grid(one, grid) for one in (common, bent)], dim=1)
    slices = extract_slices(values, grid, torch.tensor(rotations).float(), plane.k)
    images = slices[..., 0] + slices[..., 1] * (place > 0)[:, None]
    images = torch.view_as_real(images) + noise * torch.from_numpy(rng.normal(size=(*images.shape, 2)))
    poses = Poses(rotations, np.zeros((N, 2)))
    particles = Particles(None, np.arange(N), None, poses, None, None, Path("simulated"), box, N)
    return FourierStore(plane, images.float().numpy(), 1.0, particles, PreprocessConfig(window=False))


def latents_at(z: torch.Tensor) -> LatentTable:
    return LatentTable(
        mean=z[:, None].numpy(),
        covariance=np.full((N, 1, 1), 0.01, np.float32),
        log_likelihood=np.zeros(N, np.float32),
        contrast=np.ones(N, np.float32),
        junk_score=np.zeros(N, np.float32),
    )


def test_a_selection_of_one_state_gets_the_map_of_that_state() -> None:
    place = torch.linspace(-1, 1, N)[torch.randperm(N, generator=torch.Generator().manual_seed(0))]
    store = store_of(place, noise=2.0)
    latents = latents_at(0 * place)
    average = (COMMON + BENT / 2).numpy()
    maps = LinearMaps(average, 0.01 * BENT.numpy()[None], 1.0)
    found = Regression(store, latents, maps, MASK).of_selection(torch.nonzero(place > 0)[:, 0])
    truth = (COMMON + BENT) * MASK
    difference = low_pass(BENT * MASK, 6.0)
    share = float(((found.full - COMMON * MASK) * difference).sum() / (BENT * MASK * difference).sum())
    assert found.n_near == N // 2
    assert share == pytest.approx(1, abs=0.15)  # the prediction alone has 0.5
    real, halves = (fourier_shell_correlation(*pair) for pair in ((found.full, truth), _halves(found)))
    # C of a full map with the truth for halves that correlate as h: sqrt(2 h / (1 + h))
    expected = (2 * halves.clamp(min=0) / (1 + halves.clamp(min=0))).sqrt()
    assert float((expected - real)[1:6].abs().mean()) < 0.1


def test_images_of_a_larger_box_give_detail_that_the_run_lacks() -> None:
    box = 2 * BOX
    common, bent = (
        blob(0, 0, box, 1.5) + blob(4, 3, box, 1.5) + blob(0, -6, box, 1.5),
        blob(-6, 4, box, 1.5),
    )
    z = torch.where(torch.arange(N) % 4 < 2, 0.5, -0.5)
    store = store_of(z, 1.0, common, bent)
    small = [change_box(one[None], BOX)[0].numpy() for one in (common + bent / 2, bent)]
    maps = LinearMaps(small[0], small[1][None], 2.0)
    regression = Regression(store, latents_at(z), maps, soft_sphere(box, 10.0, 4.0))
    (found,) = regression.at_points(torch.tensor([[0.5]]))
    assert found.full.shape == (box,) * 3
    correlation = fourier_shell_correlation(found.full, common + bent)
    assert float(correlation[1:13].min()) > 0.95  # the run ends at 8
    near, far = (float((found.full * bent).sum()), float(((common + bent) * bent).sum()))
    assert near == pytest.approx(far, rel=0.1)


def _halves(found: RegressedMap) -> tuple[torch.Tensor, torch.Tensor]:
    return found.half_a, found.half_b


def test_a_particle_at_the_point_lies_at_distance_one_on_average() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3))
    covariance = root @ root.T
    z = rng.multivariate_normal(np.zeros(3), covariance, size=20_000)
    found = squared_distances(
        torch.tensor(z).float(), torch.tensor(covariance).float().expand(len(z), 3, 3), torch.zeros(1, 3)
    )
    assert float(found.mean()) == pytest.approx(1, abs=0.03)
    by_hand = z[0] @ np.linalg.inv(covariance) @ z[0] / 3
    assert float(found[0, 0]) == pytest.approx(by_hand, rel=1e-3)


def test_rings_are_numbered_from_the_point_outwards() -> None:
    distances = torch.tensor([[0.2], [1.5], [3.0], [2 * RINGS[-1]]])
    assert rings(distances)[:, 0].tolist() == [0, 1, 2, -1]


def _sums(signal: float, seed: int, n_images: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of two half sets as images would leave them: weight a voxel, and a smooth map in its noise."""
    support = support_at(MASK, BOX // 2 - 1)
    voxels = Voxels.of(support)
    truth = support.to_grid((signal * BENT * MASK)[None])[:, 0][voxels.position]
    weight = n_images / 100
    sums = torch.zeros(2, len(voxels), 1, 3)
    generator = torch.Generator().manual_seed(seed)
    for half in range(2):
        noise = torch.randn(len(voxels), 2, generator=generator) * (weight / 2) ** 0.5
        sums[half, :, 0, :2] = weight * truth + noise
        sums[half, :, 0, 2] = weight
    return sums, torch.full((2, 1), float(n_images))


def test_sums_are_kept_of_each_voxel_within_the_radius_once() -> None:
    support = support_at(MASK, BOX // 2 - 1)
    voxels, grid = Voxels.of(support), support.grid
    assert sorted(voxels.position) == torch.nonzero(support.shell >= 0)[:, 0].tolist()
    np.testing.assert_array_equal(voxels.shell, support.shell[voxels.position])
    # voxel (x, y, z) = (3, -5, -7) is on plane half + 1 + 7 of sums, those of z >= 0 come first
    index = ((grid.half + 1 + 7) * grid.n_yz - 5 + grid.half) * grid.n_x + 3
    position = ((-7 + grid.half) * grid.n_yz - 5 + grid.half) * grid.n_x + 3
    assert voxels.position[voxels.number[index]] == position


def test_what_both_half_sets_see_is_found_and_noise_is_not() -> None:
    support = support_at(MASK, BOX // 2 - 1)
    found = Corrector(support, Voxels.of(support)).correct(*_sums(1.0, 0, 1000))
    expected = BENT * MASK
    error = (found.maps - expected).norm() / (3**0.5 * expected.norm())
    assert float(error) < 0.25
    empty = Corrector(support, Voxels.of(support)).correct(*_sums(0.0, 1, 1000))
    assert float(empty.maps.norm()) < 0.1 * float(found.maps.norm())


def test_half_maps_of_noise_share_nothing() -> None:
    support = support_at(MASK, BOX // 2 - 1)
    products = []
    for seed in range(12):
        maps = Corrector(support, Voxels.of(support)).correct(*_sums(0.0, seed, 1000)).maps
        size = float(maps[1].norm() * maps[2].norm())
        products.append(float((maps[1] * maps[2]).sum()) / size if size else 0.0)
    assert abs(np.mean(products)) < 0.25


def test_few_images_leave_the_prediction_alone() -> None:
    support = support_at(MASK, BOX // 2 - 1)
    sums, counts = _sums(1.0, 0, 20)
    found = Corrector(support, Voxels.of(support)).correct(sums, counts)
    assert float(found.maps.abs().max()) == 0
    assert int(found.choice.max()) == 0
