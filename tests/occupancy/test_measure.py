"""Occupancies against loops, and what must not change them."""

import numpy as np
import pytest

from cryoscape.analysis.maps import MapOptions, finish_map
from cryoscape.errors import InputError
from cryoscape.occupancy.masks import MaskConfig, mask_of_patch
from cryoscape.occupancy.measure import ElementMasks, gather_masks, occupancies
from cryoscape.occupancy.model import MapGrid, element_map

SHAPE = (6, 7, 8)


@pytest.fixture
def masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: (rng.random(SHAPE) * (rng.random(SHAPE) > 0.8)).astype(np.float32) for name in "abc"}


def test_the_definition(masks: dict[str, np.ndarray]) -> None:
    maps = np.random.default_rng(1).normal(size=(5, *SHAPE)).astype(np.float32)
    references = [2.0, 3.0, 0.5]
    found = occupancies(maps, gather_masks(masks.items(), SHAPE, references))
    for v, volume in enumerate(maps):
        for e, (mask, reference) in enumerate(zip(masks.values(), references, strict=True)):
            total = sum(float(m) * float(x) for m, x in zip(mask.ravel(), volume.ravel(), strict=True))
            assert found[v, e] == pytest.approx(total / reference, rel=1e-9)


def test_without_references_and_binarised(masks: dict[str, np.ndarray]) -> None:
    maps = np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)
    whole = {name: (mask > 0).astype(np.float32) for name, mask in masks.items()}
    plain = gather_masks(whole.items(), SHAPE)
    sums = [[float(maps[v][m > 0].sum(dtype=float)) for m in masks.values()] for v in range(3)]
    np.testing.assert_allclose(occupancies(maps, plain), sums, rtol=1e-6, atol=1e-6)
    levels = np.array([0.0, 0.5, -1.0])
    counts = [[int((maps[v][m > 0] >= levels[v]).sum()) for m in masks.values()] for v in range(3)]
    np.testing.assert_array_equal(occupancies(maps, plain, levels), counts)
    divided = gather_masks(whole.items(), SHAPE, [5.0, 5.0, 5.0])
    np.testing.assert_array_equal(occupancies(maps, divided, 0.0)[0], counts[0])


def test_linear_in_the_maps(masks: dict[str, np.ndarray]) -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 1, *SHAPE)).astype(np.float32)
    m = gather_masks(masks.items(), SHAPE, [1.0, 2.0, 3.0])
    together = occupancies((2 * a - 3 * b).astype(np.float32), m)
    np.testing.assert_allclose(together, 2 * occupancies(a, m) - 3 * occupancies(b, m), atol=1e-5)


def test_an_empty_mask_and_an_empty_reference_are_told(masks: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError, match="mask of b is empty"):
        gather_masks({**masks, "b": np.zeros(SHAPE, np.float32)}.items(), SHAPE)
    with pytest.raises(InputError, match="reference map of c sums to 0"):
        gather_masks(masks.items(), SHAPE, [1.0, 1.0, 0.0])
    with pytest.raises(InputError, match="no masks"):
        gather_masks([], SHAPE)


# What must not change occupancies: how the box of the maps was cut and mirrored.

BOX, VOXEL, RESOLUTION = 32, 3.0, 9.0


def parts() -> list[tuple[np.ndarray, np.ndarray]]:
    """Three lumps of 200 carbons about the middle of the box."""
    rng = np.random.default_rng(5)
    middle = BOX // 2 * VOXEL
    return [
        (middle + np.array(at) + rng.normal(0, 5, (200, 3)), np.full(200, 6.0))
        for at in ((18.0, 0, 6), (-12, 9, -9), (0, -18, 15))
    ]


def measured(grid: MapGrid, lumps: list[tuple[np.ndarray, np.ndarray]], maps: np.ndarray) -> np.ndarray:
    patches = [element_map(*lump, RESOLUTION, grid) for lump in lumps]
    masks = [mask_of_patch(p, grid.shape, grid.voxel_angstrom, MaskConfig()) for p in patches]
    named = zip("abc", masks, strict=True)
    sums = [float(p.values.sum()) for p in patches]
    return occupancies(maps, gather_masks(named, grid.shape, sums))


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    """Two states: all parts, and the first with half of the third."""
    a, b, c = (
        element_map(*lump, RESOLUTION, MapGrid((BOX,) * 3, VOXEL)).place((BOX,) * 3) for lump in parts()
    )
    return np.stack([a + b + c, a + 0.5 * c])


def test_the_parts_that_are_there(maps: np.ndarray) -> None:
    found = measured(MapGrid((BOX,) * 3, VOXEL), parts(), maps)
    # masks hold all but the tails; the lumps touch
    np.testing.assert_allclose(found, [[1, 1, 1], [1, 0, 0.5]], atol=0.04)


def test_a_cropped_map_with_its_origin_gives_exactly_the_same(maps: np.ndarray) -> None:
    whole = measured(MapGrid((BOX,) * 3, VOXEL), parts(), maps)
    cut = [finish_map(m, VOXEL, MapOptions(crop=28)) for m in maps]
    grid = MapGrid((28,) * 3, VOXEL, cut[0].origin_angstrom)
    np.testing.assert_allclose(measured(grid, parts(), np.stack([m.volume for m in cut])), whole, atol=1e-6)


def test_a_map_and_model_of_the_other_hand_give_the_same(maps: np.ndarray) -> None:
    """z mirrored about the centre, in voxels and in angstrom; interpolation leaves 1 %."""
    whole = measured(MapGrid((BOX,) * 3, VOXEL), parts(), maps)
    centre = BOX // 2 * VOXEL
    mirrored = [(at * [1, 1, -1] + [0, 0, 2 * centre], z) for at, z in parts()]
    turned = np.stack([finish_map(m, VOXEL, MapOptions(flip=True)).volume for m in maps])
    found = measured(MapGrid((BOX,) * 3, VOXEL), mirrored, turned)
    np.testing.assert_allclose(found, whole, atol=0.015)


def test_a_resampled_map_gives_nearly_the_same(maps: np.ndarray) -> None:
    """Sums are kept on shrinking here, so values grow by the ratio of voxels; references do not: divide."""
    whole = measured(MapGrid((BOX,) * 3, VOXEL), parts(), maps)
    small = [finish_map(m, VOXEL, MapOptions(downsample=24)) for m in maps]
    grid = MapGrid((24,) * 3, small[0].pixel_size_angstrom)
    found = measured(grid, parts(), np.stack([m.volume for m in small])) / (BOX / 24) ** 3
    np.testing.assert_allclose(found, whole, atol=0.06)


def test_masks_know_how_many_they_are(masks: dict[str, np.ndarray]) -> None:
    gathered: ElementMasks = gather_masks(masks.items(), SHAPE)
    assert len(gathered) == 3
    assert gathered.names == ("a", "b", "c")
