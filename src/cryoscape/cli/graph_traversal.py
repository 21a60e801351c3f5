"""`cryoscape graph_traversal`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def graph_traversal(
    latents: Path,
    /,
    *,
    anchors: Annotated[tuple[str, ...], Parameter(consume_multiple=True)],
    output: Annotated[Path | None, Parameter(name=["-o", "--output", "--outtxt"])] = None,
    out_z: Path | None = None,
    outind: Path | None = None,
    max_neighbors: int = 10,
    avg_neighbors: float = 5.0,
    join: bool = False,
    epoch: int = -1,
    batch_size: int | None = None,
    force: bool = False,
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"])] = False,
) -> None:
    """Find the shortest path from particle to particle through the graph of nearest neighbours.

    Writes the latents of the path (for eval_vol --zfile), the rows of its particles, a table of how many
    particles support each point, and a picture.

    Example: cryoscape graph_traversal 01_128_8D_256/z.49.pkl --anchors 120 4411 73 -o rows.txt --out-z z.txt

    Parameters
    ----------
    latents
        z.pkl or z.E.pkl, or the folder of a training run.
    anchors
        Particles to pass in this order: rows of z, or text files of rows (kmeans20/centers_ind.txt).
    output
        Text file of the latents; of the rows where --out-z names the latents [z-path.txt].
    out_z
        Text file of the latents of the path.
    outind
        Text file of the rows of the path [beside the latents, ending in -indices.txt].
    max_neighbors
        Nearest particles that each particle is joined to.
    avg_neighbors
        Of these, how many a particle are kept in the mean, the shortest of all.
    join
        Where that does not join the anchors, take the least neighbours that do.
    epoch
        Epoch of a run folder; -1 for the latest.
    batch_size
        Has no effect: neighbours are found in a tree, not in batches.
    force
        Replace files of an earlier traversal.
    verbose
        Say more.
    """
    from cryoscape.workflows.graph_traversal import GraphTraversalRequest, name_files
    from cryoscape.workflows.graph_traversal import graph_traversal as run

    z_file, rows_file = name_files(output, out_z, outind)
    run(
        GraphTraversalRequest(
            latents=latents,
            anchors=anchors,
            z_file=z_file,
            rows_file=rows_file,
            max_neighbors=max_neighbors,
            avg_neighbors=avg_neighbors,
            join=join,
            epoch=None if epoch < 0 else epoch,
            force=force,
        )
    )
