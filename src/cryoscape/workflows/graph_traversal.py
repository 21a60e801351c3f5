"""Write the shortest path from particle to particle through the graph of nearest neighbours."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoscape.analysis.graph import (
    NeighbourGraph,
    least_neighbours,
    neighbour_graph,
    pairs_apart,
    shortest_path,
)
from cryoscape.errors import InputError
from cryoscape.typing import Latents
from cryoscape.workflows.path_files import (
    LatentPath,
    WrittenPath,
    check_free,
    path_files,
    read_anchors,
    read_path_input,
    write_path,
)

logger = logging.getLogger("cryoscape")

FEW_NEIGHBOURS = 100
"""With more than these a path may leap over places where no particles are."""


@dataclass(frozen=True)
class GraphTraversalRequest:
    """Where a path runs, and its files.

    Attributes
    ----------
    latents : a z.E.pkl or z.pkl, or a run folder of any engine, of which `epoch` (None: the latest) is read.
    anchors : rows of z, or text files of such.
    z_file : latents of the path. rows_file : its rows of z.
    max_neighbors, avg_neighbors : see `analysis.graph.neighbour_graph`.
    join : take more neighbours, the least that join the anchors, where these do not.
    """

    latents: Path
    anchors: Sequence[str]
    z_file: Path
    rows_file: Path
    max_neighbors: int = 10
    avg_neighbors: float = 5.0
    join: bool = False
    epoch: int | None = None
    force: bool = False


def name_files(output: Path | None, out_z: Path | None, out_rows: Path | None) -> tuple[Path, Path]:
    """Names of the files of latents and of rows, from `-o`, `--out-z` and `--outind`.

    `-o` is the one that no other option names, the latents if neither is named: so lines of the protocol
    (-o rows, --out-z latents) and of later cryoDRGN (-o latents, --outind rows) both mean what they did.

    Raises
    ------
    InputError
        If all three are given.
    """
    if output is not None and out_z is not None and out_rows is not None:
        raise InputError("-o: with --out-z and --outind there is nothing left for it to name; leave one out.")
    z_file = out_z or output or Path("z-path.txt")
    rows_file = out_rows if out_z is None or out_rows is not None else output
    return z_file, rows_file or z_file.with_name(f"{z_file.name.removesuffix('.txt')}-indices.txt")


def graph_traversal(request: GraphTraversalRequest) -> WrittenPath:
    """Find the path and write latents, rows, support and picture.

    Raises
    ------
    InputError
        For latents or anchors that cannot be used, anchors that the graph does not join (with the least
        neighbours that would), or files that would be overwritten.
    """
    check_free(path_files(request.z_file, request.rows_file), request.force)
    known = read_path_input(request.latents, request.epoch)
    anchors = read_anchors(request.anchors, len(known.z))
    graph = _graph(known.z, request.max_neighbors, request.avg_neighbors)
    apart = pairs_apart(graph, anchors)
    if apart:
        graph = _graph(known.z, *_joining(known.z, apart, request))
    found = shortest_path(graph, anchors)
    path = LatentPath(known.z[found.rows], found.anchors_at, found.rows)
    title = f"Path over {len(found.rows)} particles through {len(found.anchors_at)} anchors"
    return write_path(known, path, request.z_file, request.rows_file, title=title)


def _graph(z: Latents, max_neighbors: int, avg_neighbors: float) -> NeighbourGraph:
    started = time.perf_counter()
    graph = neighbour_graph(z, max_neighbors, avg_neighbors)
    logger.info(
        "%d particles, %.3g neighbours each in the mean, at most %d (%.0f s)",
        *(len(z), graph.avg_neighbors, graph.max_neighbors, time.perf_counter() - started),
    )
    return graph


def _joining(
    z: Latents, apart: tuple[tuple[int, int], ...], request: GraphTraversalRequest
) -> tuple[int, float]:
    """The least numbers, most and mean, of neighbours that join all; without `join` an error tells them."""
    logger.info("Anchors are not joined: looking for the least neighbours that join them")
    search = least_neighbours(z, apart, request.max_neighbors, request.avg_neighbors)
    named = ", ".join(f"{a} and {b}" for a, b in apart[:3]) + (", ..." if len(apart) > 3 else "")
    pairs = f"{len(apart)} pairs of anchors" if len(apart) > 1 else "anchors"
    line = (
        f"no path joins {pairs} ({named}) in the graph of --max-neighbors {request.max_neighbors} and "
        f"--avg-neighbors {request.avg_neighbors:g}; "
    )
    if search.least is None:
        raise InputError(
            f"{line}{search.searched} neighbours a particle do not either, they lie in clouds apart: leave "
            "one out or use direct_traversal."
        )
    most, average = search.least
    far = most > FEW_NEIGHBOURS
    if request.join:
        if far:
            logger.warning("with %d neighbours the path may leap over places where no particles are", most)
        return most, average
    hint = ", but clouds that far apart are better joined by direct_traversal" if far else ""
    raise InputError(
        f"{line}the least that does is --max-neighbors {most} --avg-neighbors {average:g}{hint}; "
        "--join takes it."
    )
