"""Classes of maps and blocks of elements that go together, from a table of occupancies."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import cophenet, fcluster, leaves_list, linkage
from scipy.spatial.distance import pdist

from cryoscape.errors import InputError

Scaling = Literal["global", "column", "minmax", "zscore", "none"]
LinkageMethod = Literal["ward", "average", "complete", "single"]

_MAX_ORDERED = 1500
"""Above this many leaves neighbours are not sorted: it costs the cube of the number."""
_MAX_SUGGESTED = 30
_MARKED_DROP, _OF_LARGEST = 1.2, 1 / 3


@dataclass(frozen=True, eq=False)
class Scale:
    """The common scale that occupancies of maps are put on, for other occupancies as well.

    Attributes
    ----------
    low, high : (e,) values of each element between which occupancies lie, before.
    offset, width : (e,) what is taken away, and what is divided by then; 0 where an element does not vary.
    """

    low: Float[np.ndarray, " e"]
    high: Float[np.ndarray, " e"]
    offset: Float[np.ndarray, " e"]
    width: Float[np.ndarray, " e"]

    def apply(self, occupancy: Float[np.ndarray, "n e"]) -> Float[np.ndarray, "n e"]:
        """Occupancies on the scale, clipped to its ends; what does not vary becomes 0."""
        away = np.clip(occupancy, self.low, self.high) - self.offset
        return np.divide(away, self.width, out=np.zeros_like(away), where=self.width > 0)


def rescale(
    occupancy: Float[np.ndarray, "n e"],
    how: Scaling = "global",
    percentiles: tuple[float, float] = (10.0, 90.0),
) -> Float[np.ndarray, "n e"]:
    """Occupancies on a common scale, for clustering and display, see `find_scale`."""
    return find_scale(occupancy, how, percentiles).apply(occupancy)


def find_scale(
    occupancy: Float[np.ndarray, "n e"],
    how: Scaling = "global",
    percentiles: tuple[float, float] = (10.0, 90.0),
) -> Scale:
    """A common scale for the occupancies of maps.

    Parameters
    ----------
    occupancy
        Maps by elements.
    how
        "global": clip to the percentiles of all values together and stretch them to 0 to 1, as published;
        "column": the same with the percentiles of each element; "minmax": each element from its lowest to its
        highest value; "zscore": each element less its mean, over its standard deviation; "none".
    percentiles
        Low and high, of "global" and "column".

    Raises
    ------
    InputError
        For percentiles that do not rise.
    """
    low_at, high_at = percentiles
    if not 0 <= low_at < high_at <= 100:
        raise InputError(f"--percentiles {low_at:g} {high_at:g}: expected two that rise, from 0 to 100")
    e = occupancy.shape[1]
    if how in ("none", "zscore"):
        offset, width = np.zeros(e), np.ones(e)
        if how == "zscore":
            offset, width = occupancy.mean(axis=0), occupancy.std(axis=0)
        return Scale(np.full(e, -np.inf), np.full(e, np.inf), offset, width)
    if how == "minmax":
        low, high = occupancy.min(axis=0), occupancy.max(axis=0)
    elif how == "column":
        low, high = np.percentile(occupancy, [low_at, high_at], axis=0)
    else:
        low, high = (np.full(e, value) for value in np.percentile(occupancy, [low_at, high_at]))
    return Scale(low, high, low, high - low)


@dataclass(frozen=True, eq=False)
class Tree:
    """A hierarchical clustering.

    Attributes
    ----------
    links : (n - 1, 4) as scipy's `linkage` returns.
    order : (n,) items in the order of the leaves.
    """

    links: Float[np.ndarray, "m 4"]
    order: Int[np.ndarray, " n"]

    def cut(self, threshold: float) -> Int[np.ndarray, " n"]:
        """Class of each item, from 0 in the order of the leaves; joined where links are at or below it."""
        return self._numbered(fcluster(self.links, threshold, criterion="distance"))

    def cut_to(self, n: int) -> Int[np.ndarray, " n"]:
        """At most n classes, numbered from 0 in the order of the leaves."""
        return self._numbered(fcluster(self.links, n, criterion="maxclust"))

    def threshold_for(self, n: int) -> float:
        """Distance halfway between the links that leave n classes and n - 1."""
        heights = np.sort(self.links[:, 2])
        n = min(max(n, 1), len(self.order))
        below = heights[-n] if n <= len(heights) else 0.0
        above = heights[1 - n] if n > 1 else 1.1 * heights[-1]
        return float((below + above) / 2)

    def _numbered(self, labels: np.ndarray) -> Int[np.ndarray, " n"]:
        _, first = np.unique(labels[self.order], return_index=True)
        by_place = labels[self.order][np.sort(first)]
        rank = np.empty(int(labels.max()) + 1, dtype=np.int64)
        rank[by_place] = np.arange(len(by_place))
        return rank[labels]


def grow_tree(items: Float[np.ndarray, "n d"], method: LinkageMethod = "ward") -> Tree:
    """Cluster the rows of a table by Euclidean distance; similar items lie together, fuller ones first.

    Raises
    ------
    InputError
        For fewer than two items.
    """
    if len(items) < 2:
        raise InputError(f"clustering needs 2 items at least, found {len(items)}")
    distances = pdist(items)
    links = linkage(distances, method=method, optimal_ordering=2 < len(items) <= _MAX_ORDERED)
    order = leaves_list(links)
    rank = np.arange(len(order)) - (len(order) - 1) / 2
    if float(rank @ items[order].mean(axis=1)) > 0:
        links = links[:, [1, 0, 2, 3]]  # each pair the other way round: the order reversed
        order = order[::-1]
    return Tree(np.ascontiguousarray(links), np.asarray(order, dtype=np.int64))


def cophenetic_correlation(tree: Tree, items: Float[np.ndarray, "n d"]) -> float:
    """How faithfully the tree keeps the distances between the items, up to 1."""
    distances = pdist(items)
    joined = cophenet(tree.links)
    if np.ptp(distances) == 0 or np.ptp(joined) == 0:
        return 1.0
    return float(np.corrcoef(joined, distances)[0, 1])


def suggested_number(tree: Tree, most: int = _MAX_SUGGESTED) -> int:
    """How many classes the tree itself suggests: those above its last marked drop.

    Links within classes, which join what noise tells apart, fall slowly with their rank; those between
    classes stand above them. The last marked drop from one link to the next, seen from the top, is taken to
    lie between the two kinds: one by a fifth at least, and by a third of the largest drop (of logarithms).
    Where none is marked, the largest drop decides.
    """
    heights = np.sort(tree.links[:, 2])[::-1]
    most = min(most, len(tree.order) // 2)
    if most < 2:
        return min(len(tree.order), 2)
    upper, lower = heights[: most - 1], heights[1:most]
    drops = np.divide(upper, lower, out=np.full(len(upper), np.inf), where=lower > 0)
    drops[upper <= 0] = 1.0
    marked = np.flatnonzero(drops >= max(_MARKED_DROP, float(drops.max()) ** _OF_LARGEST))
    return 2 + int(marked[-1] if len(marked) else drops.argmax())
