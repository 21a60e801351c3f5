"""Sorting of pixels by voxel: nothing is lost, opposites are conjugated, threads share no voxel."""

import numpy as np
import pytest
import torch

from cryoscape.engines.subspace import sorted_pixels
from cryoscape.engines.subspace.sorted_pixels import sort_by_voxel
from cryoscape.physics.slices import FourierGrid

GRID = FourierGrid(4, 2)


def random_pixels(seed: int = 0, n: int = 9, pixels: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    n_voxels = 2 * (GRID.half + 1) * GRID.n_yz * GRID.n_x
    values = generator.standard_normal((n, pixels, 3)).astype(np.float32)
    voxels = generator.integers(-1, n_voxels, (n, pixels)).astype(np.int32)
    voxels[:, :5] = voxels[:, :5] // GRID.n_x * GRID.n_x  # some at x = 0
    return values, voxels


def summed(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    out = np.zeros((2 * (GRID.half + 1) * GRID.n_yz * GRID.n_x, values.shape[1]))
    np.add.at(out, places, values)
    return out


def opposite(voxel: int) -> int:
    """Of a voxel at x = 0, from its coordinates."""
    plane, y = voxel // (GRID.n_yz * GRID.n_x), voxel // GRID.n_x % GRID.n_yz
    depth = GRID.half + 1
    z = plane if plane < depth else depth - plane
    plane = -z if -z >= 0 else depth + z
    return (plane * GRID.n_yz + 2 * GRID.half - y) * GRID.n_x


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("cache_bytes", [1 << 11, 1 << 19])
def test_every_pixel_arrives_and_those_at_x_0_also_at_their_opposite(
    n_threads: int, cache_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorted_pixels, "_CACHE_BYTES", cache_bytes)
    torch.set_num_threads(n_threads)
    values, voxels = random_pixels()
    found = sort_by_voxel(values, voxels, GRID, (0, GRID.half + 1), 12)
    used = voxels >= 0
    expected = summed(values[used], voxels[used])
    for row, voxel in zip(values[used], voxels[used], strict=True):
        # the plane z = 0 is listed twice in a slab; only its first copy is in use
        if voxel % GRID.n_x == 0 and voxel // (GRID.n_yz * GRID.n_x) != GRID.half + 1:
            expected[opposite(int(voxel))] += row * [1, -1, 1]
    plane = GRID.n_yz * GRID.n_x
    unused = slice((GRID.half + 1) * plane, (GRID.half + 2) * plane)
    sums = summed(found.values, found.places)
    expected[unused] = sums[unused] = 0
    np.testing.assert_allclose(sums, expected, atol=1e-5)
    ends = [found.shares[0][0], *(last for _, last in found.shares)]
    assert (ends[0], ends[-1]) == (0, len(found.values))
    threads = [set(found.places[a:b].tolist()) for a, b in found.shares]
    assert sum(map(len, threads)) == len(set().union(*threads))


def test_the_order_does_not_depend_on_threads() -> None:
    values, voxels = random_pixels(3)
    results = []
    for n_threads in (1, 4):
        torch.set_num_threads(n_threads)
        results.append(sort_by_voxel(values, voxels, GRID, (0, GRID.half + 1), 12))
    for name in ("values", "images", "places"):
        np.testing.assert_array_equal(getattr(results[0], name), getattr(results[1], name))
