"""Pictures of a filtering: the landscape with what is kept, and images of both parts."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cryoscape.io.atomic import replace_when_done
from cryoscape.particles.metadata import Particles
from cryoscape.particles.selection import Selection
from cryoscape.plotting.embedding import Plane, pca_plane, umap_plane
from cryoscape.plotting.selection import DROPPED, KEPT, Group, plot_groups
from cryoscape.plotting.style import figure_png
from cryoscape.workflows.filter_columns import RunColumns
from cryoscape.workflows.filter_criteria import Selected
from cryoscape.workflows.selection_images import ImageGroup, picture_of_images

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class Pictures:
    """Settings of the pictures: images a row (0 for none), and where images are cut for the eye."""

    n_images: int = 10
    low_pass_angstrom: float = 40.0
    seed: int = 0


def draw_filter(
    stem: Path,
    columns: RunColumns,
    kept: Selection,
    dropped: Selection,
    selected: Selected,
    plane: tuple[str, str],
    images: Particles | None,
    settings: Pictures,
) -> tuple[Path, ...]:
    """STEM.landscape.png and, where the images are there, STEM.images.png; a failure is only logged."""
    keep = kept.holds(columns.rows)
    groups = [Group("Kept", KEPT, keep), Group("Dropped", DROPPED, ~keep)]
    planes = landscape_planes(columns)
    outline = None
    if selected.outline is not None:
        planes = {plane: column_plane(columns, plane), **planes}
        outline = list(planes).index(plane), selected.outline
    found = list(planes.values())[:3]
    by = "; ".join(criterion.text for criterion in selected.criteria)
    title = f"Selected by {by if len(by) <= 60 else by[:57] + '...'}" if by else ""
    files = [
        _draw(
            stem.with_name(stem.name + ".landscape.png"), lambda: plot_groups(found, groups, title, outline)
        )
    ]
    if images is not None:
        parts = [ImageGroup("Kept", KEPT, kept.rows), ImageGroup("Dropped", DROPPED, dropped.rows)]
        files.append(
            _draw(
                stem.with_name(stem.name + ".images.png"),
                lambda: picture_of_images(
                    images,
                    parts,
                    n_images=settings.n_images,
                    low_pass_angstrom=settings.low_pass_angstrom,
                    seed=settings.seed,
                    title="Images drawn at random",
                ),
            )
        )
    return tuple(path for path in files if path is not None)


def landscape_planes(columns: RunColumns) -> dict[tuple[str, str], Plane]:
    """UMAP where the analysis has it, and the first components; one latent is shown over its magnitude."""
    planes: dict[tuple[str, str], Plane] = {}
    if "umap1" in columns and "umap2" in columns:
        planes["umap1", "umap2"] = column_plane(columns, ("umap1", "umap2"))
    if "pc2" in columns:
        scores = np.column_stack([columns["pc1"], columns["pc2"]])
        planes["pc1", "pc2"] = pca_plane(scores, columns.explained[:2])
    elif not planes:
        planes["z0", "zscore"] = column_plane(columns, ("z0", "zscore"))
    return planes


def column_plane(columns: RunColumns, names: tuple[str, str]) -> Plane:
    """Two columns as a plane."""
    points = np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in names])
    if names == ("umap1", "umap2"):
        return umap_plane(points)
    return Plane(points, *names)


def _draw(path: Path, draw: Callable[[], Figure]) -> Path | None:
    try:
        png = figure_png(draw(), 150)
    except Exception as error:  # a picture must never cost the selection
        logger.warning("No picture %s: %s: %s", path.name, type(error).__name__, error)
        return None
    with replace_when_done(path) as temporary:
        temporary.write_bytes(png)
    return path
