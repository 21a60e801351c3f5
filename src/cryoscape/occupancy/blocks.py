"""Regions of voxels that come and go together over maps, found without a model.

Whether a voxel is there in a map is given. Two voxels go together where they are there in the same maps more
often than chance would have it, by Fisher's exact test (the upper tail of the hypergeometric distribution,
given in how many maps each is there), and where their correlation is high: with some hundred maps a test
alone finds differences of no interest. Linking voxels by co-occupancy is the idea of SIREn (Kinman and
others); exact tails in place of resampling, and grouping by correlation, are not from there.

The tests hold for maps that are independent of each other. Maps of one model at the centres of clusters are
not: their chances say that voxels go together over the landscape, not in which share of the particles.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.special import gammaln

_LEAST_LINKED = 0.5
"""Share of its region's voxels that a voxel is significantly linked to, at least."""
_ROUNDS = 3
_MOST_IN_CHUNK = 4096


@dataclass(frozen=True)
class RegionOptions:
    """When voxels make a region.

    Attributes
    ----------
    min_correlation : mean correlation (phi) of the voxels of a region, and of each voxel with its region.
    significance : chance that any two voxels are linked that have nothing to do with each other.
    min_voxels : smaller regions are left out.
    min_share : voxels there in fewer maps than this share, or missing in fewer, say nothing and are left out.
    seeds : regions start from so many voxels, drawn at random; the cost grows with their square.
    """

    min_correlation: float = 0.8
    significance: float = 0.01
    min_voxels: int = 20
    min_share: float = 0.01
    seeds: int = 3000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Regions:
    """Voxels that come and go together.

    Attributes
    ----------
    labels : (v,) region of each voxel, from 0 for that there in most maps; -1 for none.
    present : (n, r) in which maps each region is there: most of its voxels are.
    correlation : (r,) mean correlation of the voxels of each with `present`.
    """

    labels: Int[np.ndarray, " v"]
    present: Bool[np.ndarray, "n r"]
    correlation: Float[np.ndarray, " r"]

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return self.present.shape[1]


def varying(counts: Int[np.ndarray, " v"], n: int, options: RegionOptions) -> Bool[np.ndarray, " v"]:
    """Voxels that are there in some of n maps and missing in others, by the number of maps each is in."""
    least = max(1, math.ceil(options.min_share * n))
    return np.asarray((counts >= least) & (counts <= n - least))


def find_regions(there: Bool[np.ndarray, "n v"], options: RegionOptions | None = None) -> Regions:
    """Regions of voxels that vary.

    Regions start as groups of randomly drawn voxels (average linkage on 1 - correlation) that are linked to
    one another; then every voxel joins the region it goes best with, if it does so well enough.

    Parameters
    ----------
    there
        n maps, v voxels of which none is in all maps or in none.
    """
    options = options or RegionOptions()
    n, v = there.shape
    if v < 2:
        return _no_regions(n, v)
    chosen = np.random.default_rng(options.seed).permutation(v)[: options.seeds]
    present = _seed_patterns(there[:, np.sort(chosen)], options)
    labels, fit = np.full(v, -1), np.zeros(v)
    for _ in range(_ROUNDS):
        if not present.shape[1]:
            return _no_regions(n, v)
        labels, fit = _join(there, present, options)
        kept = [r for r in range(present.shape[1]) if (labels == r).sum() >= options.min_voxels]
        patterns = [there[:, labels == r].mean(axis=1) >= 0.5 for r in kept]
        present = np.stack(patterns, axis=1) if patterns else np.zeros((n, 0), dtype=bool)
        labels = _renumbered(labels, kept)
    order = np.argsort(-present.sum(axis=0), kind="stable")
    labels = _renumbered(labels, order.tolist())
    means = [float(fit[labels == r].mean()) for r in range(len(order))]
    return Regions(labels, present[:, order], np.array(means))


def correlation(
    together: Float[np.ndarray, "p q"], in_p: Float[np.ndarray, " p"], in_q: Float[np.ndarray, " q"], n: int
) -> Float[np.ndarray, "p q"]:
    """Correlation (phi) of binary items, from the number of maps both are in and that each is in."""
    spread = np.sqrt(np.outer(in_p * (n - in_p), in_q * (n - in_q)))
    away = n * together - np.outer(in_p, in_q)
    return np.divide(away, spread, out=np.zeros_like(away), where=spread > 0)


def critical_counts(
    in_p: Int[np.ndarray, " p"], in_q: Int[np.ndarray, " q"], n: int, alpha: float
) -> Int[np.ndarray, "p q"]:
    """Fewest maps with both by which independence is rejected at level alpha, exactly, one-sided.

    With a maps of one and b of the other, P(k) = C(a, k) C(n - a, b - k) / C(n, b); the answer is the least c
    with P(k >= c) <= alpha, and min(a, b) + 1 where there is none.
    """
    rows, row_of = np.unique(in_p, return_inverse=True)
    columns, column_of = np.unique(in_q, return_inverse=True)
    table = np.empty((len(rows), len(columns)), dtype=np.int64)
    log_factorial = gammaln(np.arange(n + 1) + 1.0)
    k = np.arange(n + 1)
    for i, a in enumerate(rows):
        table[i] = _critical_of(int(a), columns, n, alpha, k, log_factorial)
    return table[row_of][:, column_of]


def _critical_of(
    a: int,
    b: Int[np.ndarray, " q"],
    n: int,
    alpha: float,
    k: Int[np.ndarray, " k"],
    log_factorial: Float[np.ndarray, " k"],
) -> Int[np.ndarray, " q"]:
    terms = k[None, : a + 1]
    others = b[:, None] - terms
    possible = (others >= 0) & (others <= n - a)
    others = np.where(possible, others, 0)
    whole = log_factorial[n] - log_factorial[b] - log_factorial[n - b]
    logs = (
        log_factorial[a] - log_factorial[terms] - log_factorial[a - terms]
        + log_factorial[n - a] - log_factorial[others] - log_factorial[np.maximum(n - a - others, 0)]
        - whole[:, None]
    )  # fmt: skip
    chance = np.where(possible, np.exp(logs), 0.0)
    tail = np.cumsum(chance[:, ::-1], axis=1)[:, ::-1]  # summed from the far end: small tails stay exact
    first = np.where((tail <= alpha).any(axis=1), (tail <= alpha).argmax(axis=1), a + 1)
    return np.asarray(np.minimum(first, np.minimum(a, b) + 1))


def _seed_patterns(there: Bool[np.ndarray, "n s"], options: RegionOptions) -> Bool[np.ndarray, "n r"]:
    """In which maps the groups among some voxels are there."""
    n, s = there.shape
    values = there.astype(np.float32)
    together = (values.T @ values).astype(np.float64)
    counts = there.sum(axis=0)
    phi = correlation(together, counts.astype(np.float64), counts.astype(np.float64), n)
    pairs = max(s * (s - 1) // 2, 1)
    linked = together >= critical_counts(counts, counts, n, options.significance / pairs)
    distance = squareform(np.clip(1 - phi, 0, 2), checks=False)
    groups = fcluster(linkage(distance, "average"), 1 - options.min_correlation, criterion="distance")
    patterns = []
    for group in range(1, int(groups.max()) + 1):
        members = np.flatnonzero(groups == group)
        if len(members) < 2:
            continue
        others = linked[np.ix_(members, members)].sum(axis=1) - 1
        members = members[others >= _LEAST_LINKED * (len(members) - 1)]
        if len(members) >= 2:
            patterns.append(there[:, members].mean(axis=1) >= 0.5)
    return np.stack(patterns, axis=1) if patterns else np.zeros((n, 0), dtype=bool)


def _join(
    there: Bool[np.ndarray, "n v"], present: Bool[np.ndarray, "n r"], options: RegionOptions
) -> tuple[Int[np.ndarray, " v"], Float[np.ndarray, " v"]]:
    """Region that each voxel goes best with, -1 where with none well enough, and its correlation with it."""
    n, v = there.shape
    of_region = present.sum(axis=0)
    alpha = options.significance / (v * present.shape[1])
    labels, fit = np.full(v, -1), np.zeros(v)
    for first in range(0, v, _MOST_IN_CHUNK):
        part = slice(first, min(first + _MOST_IN_CHUNK, v))
        values = there[:, part].astype(np.float32)
        counts = there[:, part].sum(axis=0)
        together = (values.T @ present.astype(np.float32)).astype(np.float64)
        phi = correlation(together, counts.astype(np.float64), of_region.astype(np.float64), n)
        best = phi.argmax(axis=1)
        at = (np.arange(len(best)), best)
        well = together[at] >= critical_counts(counts, of_region, n, alpha)[at]
        well &= phi[at] >= options.min_correlation
        labels[part], fit[part] = np.where(well, best, -1), phi[at]
    return labels, fit


def _renumbered(labels: Int[np.ndarray, " v"], kept: list[int]) -> Int[np.ndarray, " v"]:
    """Labels counted in the order of `kept`; others become -1."""
    found = np.full(len(labels), -1)
    for number, old in enumerate(kept):
        found[labels == old] = number
    return found


def _no_regions(n: int, v: int) -> Regions:
    return Regions(np.full(v, -1), np.zeros((n, 0), dtype=bool), np.zeros(0))
