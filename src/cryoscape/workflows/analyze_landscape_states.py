"""Maps of a landscape's states, with the spread of the maps in each, and maps along the components."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from cryoscape.io.chimerax import write_open_script
from cryoscape.typing import Volume
from cryoscape.workflows.analyze_landscape_maps import FinishedMaps, SketchMaps
from cryoscape.workflows.analyze_landscape_results import Landscape
from cryoscape.workflows.analyze_results import write_rows
from cryoscape.workflows.progress import progress


@dataclass(frozen=True)
class StateMaps:
    """Files of the mean maps and of the standard deviations of the maps, by state."""

    means: tuple[Path, ...]
    deviations: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class ComponentPath:
    """Maps along one component (1-based): their coordinates and files."""

    component: int
    coordinates: np.ndarray
    files: tuple[Path, ...]


def write_state_maps(place: Path, sketch: SketchMaps, found: Landscape) -> StateMaps:
    """Mean and standard deviation of the maps of each state, every map counted with its particles."""
    means, deviations = [], []
    with progress(len(found.states), "maps of states") as update:
        done = 0
        for state in range(found.n_states):
            rows = np.flatnonzero(found.states == state)
            mean, deviation = _moments(sketch, rows, found)
            means.append(place / f"state_{state:03d}_mean.mrc")
            deviations.append(place / f"state_{state:03d}_std.mrc")
            sketch.maps.write(means[-1], mean)
            sketch.maps.write(deviations[-1], deviation)
            done += len(rows)
            update(done)
    write_open_script(place / "open_maps.cxc", means, found.level)
    return StateMaps(tuple(means), tuple(deviations))


def _moments(sketch: SketchMaps, rows: Int[np.ndarray, " m"], found: Landscape) -> tuple[Volume, Volume]:
    """Weighted mean and standard deviation of maps, summed about the mean of all, which loses no digits."""
    weight = found.sketch.counts / found.sketch.counts[rows].sum()
    first, second = np.zeros(found.mean.shape), np.zeros(found.mean.shape)
    for part, volumes in sketch.batches(rows):
        for row, volume in zip(part, volumes, strict=True):
            difference = volume - found.mean
            first += weight[row] * difference
            second += weight[row] * difference**2
    variance = np.maximum(second - first**2, 0.0)
    return (found.mean + first).astype(np.float32), np.sqrt(variance).astype(np.float32)


def write_component_maps(
    folder: Path, maps: FinishedMaps, found: Landscape, n_components: int, n_maps: int, first_number: int
) -> tuple[ComponentPath, ...]:
    """Mean map plus steps along each component, from its 1st to its 99th percentile of particles.

    Components live within the mask: outside of it these maps are the mean map.
    """
    inside = found.mask > 0
    paths = []
    for i in range(min(n_components, len(found.components.axes))):
        spread = np.repeat(found.components.coordinates[:, i], found.sketch.counts)
        low, high = np.percentile(spread, [1, 99])
        steps = np.linspace(low, high, n_maps)
        place = folder / f"pc{i + 1}"
        files = tuple(place / f"vol_{first_number + j:03d}.mrc" for j in range(n_maps))
        for step, path in zip(steps, files, strict=True):
            volume = found.mean.copy()
            volume[inside] += (step * found.components.axes[i]).astype(np.float32)
            maps.write(path, volume)
        for stale in set(place.glob("vol_[0-9]*.mrc")) - set(files):
            stale.unlink()
        write_rows(place / "coordinates.txt", steps)
        write_open_script(place / "open_maps.cxc", list(files), found.level)
        paths.append(ComponentPath(i + 1, steps, files))
    return tuple(paths)
