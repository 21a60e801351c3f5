"""Picture of the central map of each class, in the colour that the class has in the heat map."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from cryoscape.io.atomic import replace_when_done
from cryoscape.io.mrc import read_volume
from cryoscape.plotting.montage import nice_scale_bar, plot_montage
from cryoscape.plotting.occupancy import class_colors
from cryoscape.plotting.style import figure_png
from cryoscape.plotting.surface import contour_level, principal_camera, render_surface
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

CLASS_MAPS = "class_maps.png"
_MOST = 40
_LIGHTER, _LIFT = 0.68, 0.24
"""Surfaces are a little lighter than the colours of the heat map, so that shading shows."""


def write_class_maps(folder: Path, summary: pd.DataFrame, map_paths: dict[int, Path]) -> None:
    """Draw class_maps.png; an earlier one goes where maps are not at hand, or classes are too many.

    Parameters
    ----------
    summary
        As `class_summary` makes it.
    map_paths
        Files of the maps by number.
    """
    central = summary["central_map"].tolist()
    target = folder / CLASS_MAPS
    if len(central) > _MOST or not all(number in map_paths for number in central):
        target.unlink(missing_ok=True)
        return
    maps = [read_volume(map_paths[number]) for number in central]
    volumes, voxel = [one.data for one in maps], maps[0].pixel_size_angstrom
    if any(len(set(volume.shape)) != 1 for volume in volumes):
        logger.info("maps are not cubes: no pictures of classes")
        target.unlink(missing_ok=True)
        return
    level = contour_level(volumes)
    mean = np.stack(volumes).mean(axis=0)
    camera = principal_camera(mean, level, envelope=np.maximum.reduce(volumes))
    colors = class_colors(len(central))
    pictures = []
    with progress(len(central), "pictures of classes") as update:
        for i, volume in enumerate(volumes):
            r, g, b = (float(c) for c in _LIGHTER * colors[i] + _LIFT)
            pictures.append(render_surface(volume, level, camera, color=(r, g, b)))
            update(i + 1)
    figure = plot_montage(
        pictures,
        [str(k) for k in summary["class"]],
        [_caption(row) for row in summary.to_dict("records")],
        title=f"Central maps of {len(central)} classes",
        subtitle=f"one contour level, {level:.3g}; of each class the map nearest to its mean occupancies",
        swatches=colors,
        scale_bar=nice_scale_bar(2 * camera.half_width * voxel),
    )
    with replace_when_done(target) as temporary:
        temporary.write_bytes(figure_png(figure, 150))


def _caption(row: dict[object, object]) -> str:
    maps = f"{row['maps']} maps"
    return f"{maps}, {row['particles']:,} particles" if "particles" in row else maps
