"""What two half sets have in common: coordinates that were mixed on purpose, and signal in one place."""

import numpy as np
import torch

from cryoscape.engines.subspace.halves import common_coordinates, local_agreement


def random_maps(n: int, box: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, box, box, box, generator=torch.Generator().manual_seed(seed))


def test_bases_that_one_half_holds_in_other_coordinates_are_brought_together() -> None:
    bases = random_maps(3) * torch.tensor([3.0, 2.0, 1.0])[:, None, None, None]
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))
    mean = random_maps(1, seed=2)
    maps = torch.stack(
        [torch.cat([mean, bases]), torch.cat([mean, torch.einsum("ij,jzyx->izyx", turn, bases)])]
    )
    changes = common_coordinates(maps)
    first, second = torch.einsum("hij,hjzyx->hizyx", changes, maps)
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(first[0], mean[0])
    gram = (first[1:].flatten(1) @ first[1:].flatten(1).T).numpy()
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-3 * gram[0, 0]
    assert (np.diff(np.diag(gram)) < 0).all()
    for change in changes:
        torch.testing.assert_close(change @ change.T, torch.eye(4), rtol=1e-4, atol=1e-5)


def test_bases_of_noise_come_last() -> None:
    shared = 0.5 * random_maps(1)
    halves = []
    for seed in (3, 4):
        noise = random_maps(2, seed=seed)
        halves.append(torch.cat([random_maps(1), noise[:1], shared, noise[1:]]))
    changes = common_coordinates(torch.stack(halves))
    # the shared basis is the third map of either half, weaker than the noise
    for change in changes:
        assert abs(float(change[1, 2])) > 0.95


def test_agreement_is_high_where_bases_agree_and_low_elsewhere() -> None:
    box = 24
    inside = torch.zeros(box, box, box)
    inside[4:12, 4:12, 4:12] = 1
    signal = random_maps(3, box) * inside
    maps = torch.stack([signal + 0.3 * random_maps(3, box, seed) for seed in (5, 6)])
    found = local_agreement(maps)
    expected = 1 / (1 + 0.3**2)
    np.testing.assert_allclose(float(found[6:10, 6:10, 6:10].mean()), expected, atol=0.05)
    assert float(found[17:22, 17:22, 17:22].mean()) < 0.25
    assert float(found.min()) > 0
    assert float(found.max()) <= 1


def test_identical_halves_agree_everywhere() -> None:
    one = random_maps(3, 8)
    torch.testing.assert_close(local_agreement(torch.stack([one, one])), torch.ones(8, 8, 8))
