"""How far selections of the same particles agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from cryoscape.errors import InputError


@dataclass(frozen=True)
class Agreement:
    """Selections compared.

    Attributes
    ----------
    names : one a selection.
    sizes : (k,) particles in each.
    regions : particles that are in just these selections, by the tuple of their places (0, 2: in the first
        and the third and in no other); all combinations that are not empty of selections, 0 included.
    common : (k, k) particles that two selections share.
    jaccard : (k, k) shared particles over those in either, 1 where both are empty.
    """

    names: tuple[str, ...]
    sizes: Int[np.ndarray, " k"]
    regions: Mapping[tuple[int, ...], int]
    common: Int[np.ndarray, "k k"]
    jaccard: Float[np.ndarray, "k k"]

    @property
    def in_any(self) -> int:
        """Particles in at least one selection."""
        return sum(self.regions.values())


def compare_selections(names: Sequence[str], rows: Sequence[np.ndarray]) -> Agreement:
    """Count what selections share.

    Parameters
    ----------
    rows : for each selection its distinct rows (n_i,), of one original input.

    Raises
    ------
    InputError
        For fewer than 2 selections, or more than 8.
    """
    k = len(rows)
    if not 2 <= k <= 8:
        raise InputError(f"give 2 to 8 selections to compare, found {k}.")
    every = np.unique(np.concatenate(list(rows)))
    member = np.stack([np.isin(every, one) for one in rows])
    code = (member * (1 << np.arange(k))[:, None]).sum(axis=0)
    counts = np.bincount(code, minlength=1 << k)
    regions = {
        tuple(i for i in range(k) if number >> i & 1): int(counts[number]) for number in range(1, 1 << k)
    }
    common = member.astype(np.int64) @ member.astype(np.int64).T
    sizes = np.diag(common).copy()
    union = sizes[:, None] + sizes[None, :] - common
    jaccard = np.where(union > 0, common / np.maximum(union, 1), 1.0)
    return Agreement(tuple(names), sizes, regions, common, jaccard)
