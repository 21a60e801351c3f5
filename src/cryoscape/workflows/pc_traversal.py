"""Write paths through latent space along principal components."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryoscape.analysis.embedding import principal_components
from cryoscape.analysis.traversal import Spacing, pc_path
from cryoscape.errors import InputError
from cryoscape.workflows.path_files import (
    LatentPath,
    WrittenPath,
    check_free,
    path_files,
    read_path_input,
    write_path,
)


def pc_traversal(
    latents: Path,
    output: Path,
    *,
    components: Sequence[int] | None = None,
    n_points: int = 10,
    limits_percentile: tuple[float, float] = (1.0, 99.0),
    spacing: Spacing = "even",
    epoch: int | None = None,
    force: bool = False,
) -> tuple[WrittenPath, ...]:
    """Write pc1.txt, pc2.txt... (n_points, zdim), the particles that support each point, and pictures.

    Parameters
    ----------
    latents : Path
        A z.E.pkl or z.pkl, or a run folder of any engine, of which `epoch` (None: the latest) is read.
    components : numbers from 1, optional
        None: all.

    Raises
    ------
    InputError
        For latents, components or limits that cannot be used, or files that would be overwritten.
    """
    known = read_path_input(latents, epoch)
    found = principal_components(known.z)
    numbers = tuple(components) if components else tuple(range(1, known.z.shape[1] + 1))
    paths = {
        i: pc_path(found, i, n_points=n_points, limits_percentile=limits_percentile, spacing=spacing)
        for i in numbers
    }
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; give a folder with -o.")
    check_free([file for i in paths for file in path_files(output / f"pc{i}.txt")], force)
    ends = np.array([0, n_points - 1], dtype=np.int64)
    written = []
    for i, points in paths.items():
        title = f"PC{i}, {100 * found.explained[i - 1]:.1f} % of the variance"
        path = LatentPath(points, ends)
        file = output / f"pc{i}.txt"
        written.append(write_path(known, path, file, title=title, components=found, component=i))
    return tuple(written)
