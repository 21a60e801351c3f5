"""Maps at full resolution: of half sets, of all images, slab by slab."""

import torch

from cryoscape.engines.subspace.final import full_maps
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.start import support_at
from cryoscape.physics.masks import soft_sphere

from .conftest import BOX, Balls

RADIUS = BOX // 2 - 1


def made(balls: Balls, rows: torch.Tensor | None = None, **more) -> torch.Tensor:
    """Mean and one basis, for latents that tell state 0 from the others."""
    torch.set_num_threads(1)
    store = balls.store if rows is None else balls.store.select_original(rows.numpy())
    support = support_at(soft_sphere(BOX, 0.35 * BOX, 2.0), RADIUS)
    u = torch.from_numpy(balls.state == 0).float()[:, None]
    once = torch.cat([torch.ones_like(u), u - u.mean()], dim=1)
    once = once if rows is None else once[rows]
    base = 1e-3 * support.mask[None] ** 2
    power, noise = torch.ones(support.n_shells, 2), torch.ones(BOX // 2 + 1)
    twice = once[:, :, None] * once[:, None]
    return full_maps(Images(store, RADIUS), base, power, support, noise, once, twice, **more)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return float((a - b).norm() / b.norm()) < 1e-4


def test_maps_of_a_half_set_are_those_of_its_images_alone(balls: Balls) -> None:
    found = made(balls, sets="halves and all")
    assert found.shape[:2] == (3, 2)
    for which in range(2):
        rows = torch.nonzero(balls.store.halves() == which)[:, 0]
        assert close(found[which], made(balls, rows=rows)[0])
    assert close(found[2], made(balls)[0])
    assert close(found[:2], made(balls, sets="halves"))
    assert not close(found[0], found[1])


def test_slabs_change_nothing_and_progress_counts_each_pass(balls: Balls) -> None:
    told: list[tuple[int, int]] = []
    few = made(balls, sets="halves", memory_bytes=1, update=lambda *at: told.append(at))
    assert close(few, made(balls, sets="halves"))
    assert told[-1][0] == told[-1][1]
    assert told[-1][1] // balls.store.n > 1
    assert [done for done, _ in told] == sorted(done for done, _ in told)
