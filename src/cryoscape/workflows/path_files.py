"""What all traversals read and write: latents and anchors in; the path, its support and a picture out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cryoscape.analysis.embedding import PrincipalComponents, check_latents, principal_components
from cryoscape.analysis.path_support import PathSupport, path_support
from cryoscape.engines.latent_table import TABLE_FILE, read_latents_table
from cryoscape.engines.run_folder import RunFolder
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import read_latents
from cryoscape.plotting.embedding import Plane, pca_plane, umap_plane
from cryoscape.plotting.path import plot_path_support
from cryoscape.plotting.style import figure_png
from cryoscape.typing import Latents, Rows
from cryoscape.workflows.analyze_results import read_umap, write_rows, write_table

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class PathInput:
    """Latents that a path runs through, and what is known of them.

    Attributes
    ----------
    z : (N, zdim) latents.
    covariance : (N, zdim, zdim) of the posteriors; None where the engine has none.
    original_rows : row of the original input of each row of z; None where it is not known.
    umap : (N, 2) of an analysis of these latents; None where there is none.
    """

    source: Path
    z: Latents
    covariance: np.ndarray | None
    original_rows: Rows | None
    umap: np.ndarray | None


@dataclass(frozen=True)
class LatentPath:
    """A path as it was found.

    Attributes
    ----------
    points : (p, zdim) latents.
    anchors_at : places of the anchors among the points.
    rows : (p,) row of z of each point; None where points are not particles.
    """

    points: Float[np.ndarray, "p zdim"]
    anchors_at: Int[np.ndarray, " a"]
    rows: Int[np.ndarray, " p"] | None = None


@dataclass(frozen=True)
class WrittenPath:
    """Files of a path, and the particles that support its points."""

    z_file: Path
    files: tuple[Path, ...]
    points: Latents
    support: PathSupport


def read_path_input(latents: Path, epoch: int | None = None) -> PathInput:
    """Latents of a z.E.pkl or of a run folder (None: its latest epoch), with what lies beside them.

    Raises
    ------
    InputError
        If there are none, or they cannot be used.
    """
    if latents.is_dir():
        run = RunFolder(latents)
        latents = run.latents(run.latest_epoch() if epoch is None else epoch)
    if not latents.is_file():
        raise InputError(f"{latents}: no such file; give a z.pkl, a z.E.pkl or the folder of a training run.")
    z, _ = read_latents(latents)
    check_latents(z, str(latents))
    return PathInput(latents, z, _covariance(latents, z), _original_rows(latents, len(z)), _umap(latents, z))


def _covariance(latents: Path, z: Latents) -> np.ndarray | None:
    if not (latents.parent / TABLE_FILE).is_file():
        return None
    table, _ = read_latents_table(latents.parent)
    same = table.mean.shape == z.shape and np.array_equal(table.mean, z)
    return table.covariance if same else None


def _original_rows(latents: Path, n: int) -> Rows | None:
    """Known only in the folder of a run; a path can be had without."""
    try:
        return RunFolder(latents.parent).original_rows(n)
    except InputError:
        return None


def _umap(latents: Path, z: Latents) -> np.ndarray | None:
    epoch = latents.name.removeprefix("z.").removesuffix("pkl").rstrip(".")
    return read_umap(latents.parent / (f"analyze.{epoch}" if epoch else "analyze"), len(z))


def read_anchors(anchors: Sequence[str], n: int) -> tuple[int, ...]:
    """Rows of z from numbers and from text files of numbers (such as kmeans20/centers_ind.txt), in order.

    Raises
    ------
    InputError
        If one is neither, is not a row of the n there are, or fewer than two are given.
    """
    rows: list[int] = []
    for word in anchors:
        found = [int(word)] if word.lstrip("+-").isdecimal() else _rows_in(Path(word))
        for row in found:
            if not 0 <= row < n:
                raise InputError(
                    f"--anchors {word}: no row {row}; there are {n} particles, numbered 0 to {n - 1}."
                )
        rows += found
    if len(set(rows)) < 2:
        raise InputError(f"--anchors: give at least 2 different particles, found {len(set(rows))}.")
    return tuple(rows)


def _rows_in(path: Path) -> list[int]:
    if not path.is_file():
        raise InputError(f"--anchors {path}: neither a row number nor a file; give rows of z, from 0.")
    try:
        values = np.loadtxt(path, dtype=np.float64, ndmin=1).ravel()
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"--anchors {path}: expected a text file of row numbers ({error}).") from error
    if not len(values) or not np.array_equal(values, np.round(values)):
        raise InputError(
            f"--anchors {path}: expected whole row numbers, as in centers_ind.txt (not centers.txt)."
        )
    return [int(value) for value in values]


def support_stem(z_file: Path) -> Path:
    """The support table beside a file of latents, without its suffix: z.path01_support for z.path01.txt."""
    stem = z_file.name.removesuffix(".txt")
    return z_file.with_name(f"{stem}_support")


def path_files(z_file: Path, rows_file: Path | None = None) -> tuple[Path, ...]:
    """All files of one path: latents, rows, support as Parquet and as text, picture."""
    stem = support_stem(z_file)
    beside = [stem.with_name(stem.name + end) for end in (".parquet", ".txt")]
    picture = z_file.with_name(z_file.name.removesuffix(".txt") + ".png")
    return (z_file, *([] if rows_file is None else [rows_file]), *beside, picture)


def check_free(files: Sequence[Path], force: bool) -> None:
    """Raise InputError where a file would be overwritten without --force, or two have one name."""
    if len(set(files)) < len(files):
        raise InputError(f"{files[0]}: two files of the path would have one name; give other names.")
    for file in files:
        if file.is_dir():
            raise InputError(f"{file}: is a folder; give the name of a file.")
        if file.exists() and not force:
            raise InputError(f"{file}: exists; give another name with -o, or --force to replace.")


def write_path(
    known: PathInput,
    path: LatentPath,
    z_file: Path,
    rows_file: Path | None = None,
    *,
    title: str,
    components: PrincipalComponents | None = None,
    component: int = 1,
) -> WrittenPath:
    """Write latents, rows, support and picture of a path, and say in the log how it is supported.

    Parameters
    ----------
    components : PrincipalComponents, optional
        Of the latents, where they are known already.
    component : int
        Principal component (from 1) that the picture must show.
    """
    found = path_support(known.z, path.points, known.covariance)
    files = path_files(z_file, rows_file)
    write_rows(z_file, path.points)
    if rows_file is not None and path.rows is not None:
        write_rows(rows_file, path.rows)
    write_table(support_stem(z_file), _table(known, path, found))
    planes = _planes(known, path, found, components or principal_components(known.z), component)
    _write_picture(files[-1], planes, path, found, title)
    _log(z_file, path, found)
    return WrittenPath(z_file, files, path.points, found)


def _table(known: PathInput, path: LatentPath, found: PathSupport) -> pd.DataFrame:
    points = np.asarray(path.points, dtype=np.float64)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    anchor = np.zeros(len(points), dtype=bool)
    anchor[path.anchors_at] = True
    columns = {
        "point": np.arange(len(points)),
        "particles": found.particles,
        "nearest_row": found.nearest_row,
        "nearest_distance": found.nearest_distance,
        "anchor": anchor,
        "length": np.concatenate([[0.0], np.cumsum(steps)]),
    }
    if known.original_rows is not None:
        columns["nearest_original_row"] = known.original_rows[found.nearest_row]
    return pd.DataFrame(columns | {f"z{j}": points[:, j] for j in range(points.shape[1])})


def _planes(
    known: PathInput, path: LatentPath, found: PathSupport, components: PrincipalComponents, component: int
) -> list[tuple[Plane, np.ndarray]]:
    """Planes in which the particles are shown, with the path in each; on UMAP, its nearest particles."""
    planes: list[tuple[Plane, np.ndarray]] = []
    if known.z.shape[1] >= 2:
        x, y = sorted((component, 2 if component == 1 else 1))
        on_plane = components.transform(path.points)[:, [x - 1, y - 1]]
        planes.append((pca_plane(components.scores, components.explained, x, y), on_plane))
    if known.umap is not None:
        flat = umap_plane(np.asarray(known.umap, dtype=np.float64))
        planes.append((flat, flat.points[found.nearest_row]))
    return planes


def _write_picture(
    file: Path, planes: list[tuple[Plane, np.ndarray]], path: LatentPath, found: PathSupport, title: str
) -> None:
    try:
        figure = plot_path_support(planes, found.particles, path.anchors_at, title, found.measure)
        with replace_when_done(file) as temporary:
            temporary.write_bytes(figure_png(figure, 170))
    except Exception as error:  # a picture must never cost the numbers
        logger.warning("No picture %s: %s: %s", file, type(error).__name__, error)


def _log(z_file: Path, path: LatentPath, found: PathSupport) -> None:
    logger.info("%s: %d points; particles %s: %s", z_file, len(path.points), found.measure, _short(found))
    empty = np.flatnonzero(found.particles == 0)
    if len(empty):
        logger.warning(
            "%s: no particle supports %d of %d points (first %d): read their maps with care",
            z_file,
            len(empty),
            len(path.points),
            empty[0],
        )


def _short(found: PathSupport) -> str:
    counts = found.particles
    if len(counts) <= 20:
        return ", ".join(str(n) for n in counts)
    return f"{counts.min()} to {counts.max()}, median {np.median(counts):.0f}"
