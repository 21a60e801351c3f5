from itertools import pairwise

import pytest

from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.errors import InputError


@pytest.mark.parametrize(
    ("box", "most", "last"),
    [(16, None, 6), (24, None, 11), (64, None, 31), (128, None, 63), (64, 12, 12), (64, 99, 31)],
)
def test_radii_rise_to_the_last_and_stay_below_nyquist(box: int, most: int | None, last: int) -> None:
    config = SubspaceConfig(max_radius=most)
    radii = config.radii(box)
    assert radii == sorted(set(radii))
    assert radii[0] == min(8, radii[-1])
    assert radii[-1] == last
    # three quarters of the Nyquist frequency are always a stop on the way there
    assert config.reach(box) in radii or last < config.reach(box)
    assert all(b / a < 1.9 for a, b in pairwise(radii))


def test_settings_that_cannot_be_are_refused() -> None:
    for settings, words in (
        ({"zdim": 0}, "--zdim 0: expected at least 1"),
        ({"start_radius": 3}, "first radius of at least 4"),
        ({"radius_step": 1.0}, "factor above 1"),
    ):
        with pytest.raises(InputError, match=words):
            SubspaceConfig(**settings)


def test_components_carried() -> None:
    assert SubspaceConfig(zdim=3).n_components == 3
    assert SubspaceConfig(max_zdim=7).n_components == 7
