"""Shortest paths from particle to particle through the graph of nearest neighbours in latent space.

Particles are joined to their nearest neighbours in either direction; the length of an edge is the Euclidean
distance. A path through the graph stays where particles are, unlike a straight line.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Int
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra

from cryoscape.analysis.neighbours import Neighbours, nearest_neighbours
from cryoscape.errors import InputError
from cryoscape.typing import Latents

MAX_EDGES_SEARCHED = 10_000_000
"""Edges that are looked at, at most, to find how many neighbours would join two particles."""
_SHORTEST_EDGE = 1e-12  # of particles at one point: a sparse matrix reads 0 as no edge


@dataclass(frozen=True)
class NeighbourGraph:
    """Particles joined to their nearest neighbours, undirected.

    Attributes
    ----------
    edges : sparse array (n, n)
        Lengths in latent units; an edge is there if either of its directions is.
    max_neighbors : int
        Neighbours that each particle was joined to, itself not counted, before long edges were dropped.
    avg_neighbors : float
        Of these, how many a particle were kept in the mean: the shortest of all.
    """

    edges: sparse.csr_array = field(repr=False)
    max_neighbors: int
    avg_neighbors: float


@dataclass(frozen=True)
class GraphPath:
    """Particles along a path, and the places of the anchors among them."""

    rows: Int[np.ndarray, " p"]
    anchors_at: Int[np.ndarray, " a"]


@dataclass(frozen=True)
class LeastNeighbours:
    """The smallest graph that joins particles.

    Attributes
    ----------
    least : (max_neighbors, avg_neighbors); None where even `searched` neighbours a particle do not join them.
    searched : the most neighbours a particle that were looked at.
    """

    least: tuple[int, float] | None
    searched: int


def neighbour_graph(z: Latents, max_neighbors: int = 10, avg_neighbors: float = 5.0) -> NeighbourGraph:
    """Join each particle to its nearest, and keep the n * avg_neighbors shortest of these edges.

    Parameters
    ----------
    z : array (n, zdim)
        Latent coordinates.
    max_neighbors, avg_neighbors : int, float
        Both count other particles only. Dropping long edges leaves out particles far from all others.

    Raises
    ------
    InputError
        If the numbers make no graph.
    """
    if max_neighbors < 1:
        raise InputError(f"--max-neighbors: expected at least 1, found {max_neighbors}.")
    if not avg_neighbors > 0:
        raise InputError(f"--avg-neighbors: expected a number above 0, found {avg_neighbors:g}.")
    k = min(max_neighbors, len(z) - 1)
    neighbours = nearest_neighbours(z, k + 1)
    longest = _longest_kept(neighbours, k, avg_neighbors)
    return NeighbourGraph(_edges(neighbours, k, longest), k, min(avg_neighbors, float(k)))


def pairs_apart(graph: NeighbourGraph, anchors: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Pairs of consecutive anchors (rows of z) between which the graph has no path."""
    _, component = connected_components(graph.edges, directed=False)
    return tuple((a, b) for a, b in _pairs(anchors) if component[a] != component[b])


def shortest_path(graph: NeighbourGraph, anchors: Sequence[int]) -> GraphPath:
    """The shortest way through the anchors in their order (Dijkstra); the graph must join them.

    Parameters
    ----------
    anchors : rows of z
        At least one; the same anchor twice in a row counts once.
    """
    rows, places = [anchors[0]], [0]
    for start, end in _pairs(anchors):
        _, before = dijkstra(graph.edges, directed=False, indices=[start], return_predecessors=True)
        way = [end]
        while way[-1] != start:
            way.append(int(before[0, way[-1]]))
        rows += way[-2::-1]
        places.append(len(rows) - 1)
    return GraphPath(np.asarray(rows, dtype=np.int64), np.asarray(places, dtype=np.int64))


def _pairs(anchors: Sequence[int]) -> list[tuple[int, int]]:
    return [(a, b) for a, b in pairwise(anchors) if a != b]


def least_neighbours(
    z: Latents,
    pairs: tuple[tuple[int, int], ...],
    max_neighbors: int = 10,
    avg_neighbors: float = 5.0,
    max_edges: int = MAX_EDGES_SEARCHED,
) -> LeastNeighbours:
    """The smallest numbers of neighbours, not below those given, that join every pair.

    First the least `max_neighbors` with no edge dropped, then, in that graph, the least `avg_neighbors`: the
    answer is exact for the first and rounded up to hundredths for the second.

    Parameters
    ----------
    max_edges : int
        The search ends at max_edges / n neighbours a particle.
    """
    n = len(z)
    limit = min(n - 1, max(max_neighbors, max_edges // n))
    k = min(max_neighbors, limit)
    neighbours = nearest_neighbours(z, k + 1)
    while not _joined(neighbours, k, np.inf, pairs):
        if k == limit:
            return LeastNeighbours(None, limit)
        k = min(2 * k, limit)
        neighbours = nearest_neighbours(z, k + 1)
    low = min(max_neighbors, limit)
    while low < k:
        middle = (low + k) // 2
        if _joined(neighbours, middle, np.inf, pairs):
            k = middle
        else:
            low = middle + 1
    average = max(_least_average(neighbours, k, pairs), min(avg_neighbors, float(k)))
    return LeastNeighbours((k, average), limit)


def _least_average(neighbours: Neighbours, k: int, pairs: tuple[tuple[int, int], ...]) -> float:
    """Least mean number of kept edges a particle, in hundredths, for which k neighbours join the pairs."""
    low, high = 1, 100 * k
    while low < high:
        middle = (low + high) // 2
        if _joined(neighbours, k, _longest_kept(neighbours, k, middle / 100), pairs):
            high = middle
        else:
            low = middle + 1
    return high / 100


def _joined(neighbours: Neighbours, k: int, longest: float, pairs: tuple[tuple[int, int], ...]) -> bool:
    _, component = connected_components(_edges(neighbours, k, longest), directed=False)
    return all(component[a] == component[b] for a, b in pairs)


def _longest_kept(neighbours: Neighbours, k: int, avg_neighbors: float) -> float:
    """Length of the longest of the n * avg_neighbors shortest edges from a particle to its k nearest."""
    lengths = neighbours.distance[:, 1 : k + 1].ravel()
    kept = max(1, round(len(neighbours.index) * avg_neighbors))
    return np.inf if kept >= len(lengths) else float(np.partition(lengths, kept - 1)[kept - 1])


def _edges(neighbours: Neighbours, k: int, longest: float) -> sparse.csr_array:
    """Edges from each particle to its k nearest that are at most `longest`; read as undirected."""
    index, length = neighbours.index[:, 1 : k + 1], neighbours.distance[:, 1 : k + 1]
    kept = length <= longest
    starts = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32)
    data = np.maximum(length[kept], _SHORTEST_EDGE)
    n = len(index)
    return sparse.csr_array((data, index[kept].astype(np.int32), starts), shape=(n, n))
