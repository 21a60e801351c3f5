"""Groups of maps and of elements in a table of occupancies: settings, trees and their cuts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from cryoscape.errors import InputError
from cryoscape.occupancy.cluster import (
    LinkageMethod,
    Scale,
    Scaling,
    Tree,
    find_scale,
    grow_tree,
    suggested_number,
)
from cryoscape.workflows.occupancy_files import OccupancyTable


@dataclass(frozen=True)
class ClusterOptions:
    """How occupancies are scaled and trees are grown and cut.

    Attributes
    ----------
    scale, percentiles : see `occupancy.cluster.rescale`.
    linkage : how distances between groups are counted.
    n_classes, class_threshold : cut of the tree of maps; what the tree suggests where neither is given.
    n_blocks, block_threshold : the same for elements.
    """

    scale: Scaling = "global"
    percentiles: tuple[float, float] = (10.0, 90.0)
    linkage: LinkageMethod = "ward"
    n_classes: int | None = None
    class_threshold: float | None = None
    n_blocks: int | None = None
    block_threshold: float | None = None


@dataclass(frozen=True, eq=False)
class Grouping:
    """A tree and its cut.

    Attributes
    ----------
    labels : (n,) group of each item, from 0 in the order of the leaves.
    threshold : distance at which the tree is cut.
    suggested : number of groups that the tree itself suggests.
    """

    tree: Tree
    labels: Int[np.ndarray, " n"]
    threshold: float
    suggested: int

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.labels.max()) + 1


@dataclass(frozen=True, eq=False)
class ClusterResult:
    """Classes of maps and blocks of elements, and the rescaled occupancies they were made of."""

    table: OccupancyTable
    scale: Scale
    scaled: Float[np.ndarray, "n e"]
    classes: Grouping
    blocks: Grouping

    def members(self) -> dict[int, Int[np.ndarray, " m"]]:
        """Numbers of the maps of each class."""
        return {k: self.table.numbers[self.classes.labels == k] for k in range(self.classes.n_groups)}


def cluster_table(
    table: OccupancyTable, options: ClusterOptions, chosen: Bool[np.ndarray, " n"] | None = None
) -> ClusterResult:
    """Rescale, grow both trees and cut them; InputError for cuts that cannot be.

    With `chosen` only these maps are clustered, on the scale of all.
    """
    scale = find_scale(table.values, options.scale, options.percentiles)
    if chosen is not None:
        table = OccupancyTable(table.numbers[chosen], table.names, table.values[chosen])
    if len(table.numbers) < 2 or len(table.names) < 2:
        raise InputError(
            f"{len(table.numbers)} maps and {len(table.names)} elements: clustering needs 2 of each at least"
        )
    scaled = scale.apply(table.values)
    classes = _group(scaled, options.linkage, options.n_classes, options.class_threshold, "class", "classes")
    blocks = _group(scaled.T, options.linkage, options.n_blocks, options.block_threshold, "block", "blocks")
    return ClusterResult(table, scale, scaled, classes, blocks)


def _group(
    items: np.ndarray, method: LinkageMethod, n: int | None, threshold: float | None, one: str, many: str
) -> Grouping:
    if n is not None and threshold is not None:
        raise InputError(f"--{many} and --{one}-threshold exclude each other; give one of them")
    if n is not None and not 1 <= n <= len(items):
        raise InputError(f"--{many} {n}: expected 1 to {len(items)}")
    if threshold is not None and not threshold >= 0:
        raise InputError(f"--{one}-threshold {threshold:g}: expected a distance of at least 0")
    tree = grow_tree(items, method)
    suggested = suggested_number(tree)
    if threshold is not None:
        return Grouping(tree, tree.cut(threshold), threshold, suggested)
    number = suggested if n is None else n
    return Grouping(tree, tree.cut_to(number), tree.threshold_for(number), suggested)
