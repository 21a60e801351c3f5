"""Normal equations against an accumulation pixel by pixel, and their solution against numpy's."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from cryoscape.engines.subspace import sorted_pixels
from cryoscape.engines.subspace.equations import Block, NormalEquations, precision_of, solve_maps
from cryoscape.physics.smooth_reading import extract_smooth_slices, volume_to_smooth_grid

from .conftest import RandomImages, random_images


def random_block(images: RandomImages, n: int = 3) -> Block:
    generator = torch.Generator().manual_seed(8)
    t = torch.randn(len(images.rotations), n, generator=generator)
    spread = torch.randn(len(images.rotations), n, n, generator=generator)
    return Block(
        images.coefficients,
        images.ctf,
        images.rotations,
        t,
        t[:, :, None] * t[:, None] + spread @ spread.transpose(1, 2),
    )


def base_of(images: RandomImages):
    return volume_to_smooth_grid(images.maps[0], images.grid)


def known_of(images: RandomImages):
    return images.support.to_grid(images.maps[:1], correct_gridding=False)


def filled(images: RandomImages, *planes: int, n: int = 3, plain: bool = False) -> NormalEquations:
    found = NormalEquations(images.grid, n, base_of(images), *planes)
    block = random_block(images, n)
    if plain:
        tt = block.tt[:, found.pairs[0], found.pairs[1]]
        base = extract_smooth_slices(found.base, images.grid, images.rotations, images.k)
        found._add_plain(block, tt, images.k, images.noise_variance, base)
    else:
        found.add(block, images.k, images.noise_variance)
    return found


def by_voxel(equations: NormalEquations) -> np.ndarray:
    """Sums (z, y, x, columns) in the order of the grid."""
    position = equations.positions()
    out = np.zeros((equations.grid.n_voxels, equations.sums.shape[1]))
    real = (position >= 0).numpy()
    out[position.numpy()[real]] = equations.sums.numpy()[real]
    return out.reshape(*equations.grid.shape, -1)


def accumulated(images: RandomImages, n: int = 3) -> np.ndarray:
    """The definition, one pixel after the other in double precision."""
    grid, block = images.grid, random_block(images, n)
    base = extract_smooth_slices(base_of(images).double(), grid, images.rotations.double(), images.k).numpy()
    pairs = np.triu_indices(n)
    out = np.zeros((*grid.shape, 2 * n + len(pairs[0])))
    data, ctf, variance = (x.numpy() for x in (images.coefficients, images.ctf, images.noise_variance))
    t, tt = block.t.double().numpy(), block.tt.double().numpy()
    for b, rotation in enumerate(images.rotations.numpy()):
        for p, (u, v) in enumerate(images.k.numpy()):
            q = grid.oversampling * (u * rotation[0] + v * rotation[1])
            image, mean = ctf[b, p] * data[b, p], ctf[b, p] ** 2 * base[b, p]
            right = (image * t[b] - mean * tt[b, 0]) / variance[p]
            if q[0] < 0:
                q, right = -q, right.conj()
            x, y, z = np.floor(q + np.float32(0.5)).astype(int)
            left = (ctf[b, p] ** 2 / variance[p]) * tt[b][pairs]
            out[z + grid.half, y + grid.half, x] += np.concatenate([right.real, right.imag, left])
            if x == 0:
                right = right.conj()
                opposite = np.concatenate([right.real, right.imag, left])
                out[grid.half - z, grid.half - y, 0] += opposite
    return out


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("bucket_bytes", [1 << 19, 1 << 12])
def test_compiled_loops_accumulate_the_definition(monkeypatch, n_threads: int, bucket_bytes: int) -> None:
    monkeypatch.setattr(sorted_pixels, "_CACHE_BYTES", bucket_bytes)
    images = random_images()
    torch.set_num_threads(n_threads)
    np.testing.assert_allclose(by_voxel(filled(images)), accumulated(images), rtol=1e-4, atol=2e-3)


def test_tensor_operations_do_the_same() -> None:
    images = random_images()
    np.testing.assert_allclose(
        by_voxel(filled(images, plain=True)), accumulated(images), rtol=1e-4, atol=2e-3
    )


def test_a_second_block_adds_to_the_first() -> None:
    images = random_images()
    twice = filled(images)
    twice.add(random_block(images), images.k, images.noise_variance)
    np.testing.assert_allclose(by_voxel(twice), 2 * by_voxel(filled(images)), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("cuts", [(0, 1), (0, 4), (0, 1, 2, 7)])
def test_slabs_together_are_the_whole(cuts: tuple[int, ...], plain: bool) -> None:
    images = random_images()
    whole = by_voxel(filled(images))
    edges = [*cuts, images.grid.half + 1]
    parts, seen = np.zeros_like(whole), []
    for first, last in pairwise(edges):
        slab = filled(images, first, last, plain=plain)
        parts += by_voxel(slab)
        seen.append(slab.positions())
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-3)
    positions = torch.cat(seen)
    torch.testing.assert_close(positions[positions >= 0].sort().values, torch.arange(images.grid.n_voxels))


def test_the_solution_is_that_of_numpy() -> None:
    images = random_images()
    equations, support, n = filled(images), images.support, 3
    precision = torch.rand(support.n_shells, n, generator=torch.Generator().manual_seed(2)) + 0.1
    before = equations.sums.clone()
    solved = equations.solve(precision, support, known_of(images))
    torch.testing.assert_close(equations.sums, before, rtol=1e-5, atol=1e-4)

    sums = by_voxel(equations).reshape(images.grid.n_voxels, -1)
    base = known_of(images)[:, 0].double().numpy()
    inverses = np.zeros((support.n_shells, n, n))
    assert sorted(solved.position.tolist()) == torch.nonzero(support.shell >= 0)[:, 0].tolist()
    for position, shell, value in zip(solved.position, solved.shell, solved.values, strict=True):
        row, prior = sums[position], np.diag(precision[shell].double().numpy())
        assert shell == support.shell[position]
        left = np.zeros((n, n))
        left[np.triu_indices(n)] = row[2 * n :]
        left = left + np.triu(left, 1).T + prior
        right = np.stack([row[:n], row[n : 2 * n]], axis=1)
        # the whole mean map, base included, has the prior
        right[0] -= prior[0, 0] * base[position]
        np.testing.assert_allclose(value, np.linalg.solve(left, right), rtol=2e-3, atol=1e-3)
        inverses[shell] += np.linalg.inv(left)
    np.testing.assert_allclose(solved.inverses, inverses, rtol=1e-4, atol=1e-5)


def test_where_no_image_tells_anything_the_mean_map_is_its_prior_zero() -> None:
    images = random_images()
    equations = NormalEquations(images.grid, 2, base_of(images))
    power = torch.ones(images.support.n_shells, 2)
    known = known_of(images)
    solved = equations.solve(precision_of(power, images.support), images.support, known)
    torch.testing.assert_close(solved.values[:, 0], -known[solved.position, 0], rtol=1e-4, atol=1e-4)
    assert float(solved.values[:, 1].abs().max()) == 0
    found = solve_maps(equations, images.maps[0], images.support, power)
    torch.testing.assert_close(
        found.covariance[1:], torch.eye(2).expand(images.support.n_shells - 1, 2, 2), rtol=1e-4, atol=1e-4
    )


def test_the_precision_of_empty_shells_is_bounded() -> None:
    support = random_images().support
    power = torch.ones(support.n_shells, 2)
    power[3] = 0
    precision = precision_of(power, support)
    assert bool(torch.isfinite(precision).all())
    torch.testing.assert_close(precision[2], torch.full((2,), support.calibration))
    assert float(precision[3].min()) > 1e6 * float(precision[2].max())
