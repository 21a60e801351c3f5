"""Write paths through latent space along principal components."""

import logging
from collections.abc import Sequence
from pathlib import Path

from cryoscape.analysis.embedding import check_latents, principal_components
from cryoscape.analysis.neighbours import support, typical_radius
from cryoscape.analysis.traversal import Spacing, pc_path
from cryoscape.engines.run_folder import RunFolder
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_latents
from cryoscape.workflows.analyze_results import write_rows

logger = logging.getLogger("cryoscape")


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
) -> tuple[Path, ...]:
    """Write pc1.txt, pc2.txt... (n_points, zdim) and log how many particles lie near each point.

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
    if latents.is_dir():
        run = RunFolder(latents)
        latents = run.latents(run.latest_epoch() if epoch is None else epoch)
    if not latents.is_file():
        raise InputError(f"{latents}: no such file; give a z.pkl, a z.E.pkl or the folder of a training run.")
    z, _ = read_latents(latents)
    check_latents(z, str(latents))
    found = principal_components(z)
    numbers = tuple(components) if components else tuple(range(1, z.shape[1] + 1))
    paths = {
        i: pc_path(found, i, n_points=n_points, limits_percentile=limits_percentile, spacing=spacing)
        for i in numbers
    }
    files = {i: output / f"pc{i}.txt" for i in numbers}
    there = [file for file in files.values() if file.exists()]
    if there and not force:
        raise InputError(f"{there[0]}: exists; give another folder with -o, or --force to replace.")
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; give a folder with -o.")
    output.mkdir(parents=True, exist_ok=True)
    radius = typical_radius(z)
    for i, path in paths.items():
        write_rows(files[i], path)
        near = support(z, path, radius)
        share = 100 * found.explained[i - 1]
        logger.info("PC%d (%.1f %% of variance), particles within %.3g: %s", i, share, radius, near.tolist())
    return tuple(files.values())
