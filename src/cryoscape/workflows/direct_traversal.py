"""Write straight paths through latent space from particle to particle."""

from collections.abc import Sequence
from pathlib import Path

from cryoscape.analysis.traversal import direct_path
from cryoscape.workflows.path_files import (
    LatentPath,
    WrittenPath,
    check_free,
    path_files,
    read_anchors,
    read_path_input,
    write_path,
)


def direct_traversal(
    latents: Path,
    anchors: Sequence[str],
    z_file: Path,
    *,
    n_points: int = 6,
    loop: bool = False,
    epoch: int | None = None,
    force: bool = False,
) -> WrittenPath:
    """Write points on the lines between anchors, with the particles that support each, and a picture.

    Parameters
    ----------
    latents : Path
        A z.E.pkl or z.pkl, or a run folder of any engine, of which `epoch` (None: the latest) is read.
    anchors : rows of z, or text files of such
    n_points : int
        From one anchor to the next, both included.
    loop : bool
        Go back to the first anchor.

    Raises
    ------
    InputError
        For latents or anchors that cannot be used, or files that would be overwritten.
    """
    check_free(path_files(z_file), force)
    known = read_path_input(latents, epoch)
    rows = read_anchors(anchors, len(known.z))
    points, anchors_at = direct_path(known.z, rows, n_points, loop=loop)
    title = f"Straight path through {len(rows)} anchors"
    return write_path(known, LatentPath(points, anchors_at), z_file, title=title)
