"""Compare the maps of a run: components of maps within a mask, a tree of maps, states and their particles.

Numbers are written first, maps of the states next, pictures last; a picture or a UMAP that fails is logged
and takes nothing else with it. Nothing needs an earlier analysis of the run.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryoscape.analysis.clustering import Clusters, cluster_means
from cryoscape.analysis.embedding import umap_embedding
from cryoscape.analysis.landscape import (
    LinearCoordinates,
    MapComponents,
    components_of_linear_maps,
    components_of_maps,
    sketch_latents,
)
from cryoscape.analysis.landscape_states import map_tree, suggest_number
from cryoscape.engines.run_folder import LoadedRun, load_run
from cryoscape.errors import InputError
from cryoscape.typing import Volume
from cryoscape.workflows.analyze_landscape_maps import (
    FinishedMaps,
    SketchMaps,
    finished_maps,
    masked_voxels,
    read_mask,
    sketch_files,
    sketch_statistics,
    write_sketch_maps,
)
from cryoscape.workflows.analyze_landscape_results import (
    SETTINGS_FILE,
    Landscape,
    write_landscape_numbers,
)
from cryoscape.workflows.analyze_landscape_settings import (
    REPLACING,
    LandscapeOptions,
    check_landscape,
    check_results_folder,
    landscape_settings,
    latents_sha256,
    maps_of_landscape,
    read_settings,
)
from cryoscape.workflows.analyze_landscape_states import StateMaps, write_component_maps, write_state_maps
from cryoscape.workflows.analyze_results import read_umap, write_json, write_table, write_umap

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True, eq=False)
class LandscapeResult:
    """Where the landscape lies and what it holds."""

    folder: Path
    found: Landscape
    states: StateMaps
    umap: np.ndarray | None
    report: Path | None


def analyze_landscape(
    run: Path,
    epoch: int | None = None,
    options: LandscapeOptions | None = None,
    *,
    output: Path | None = None,
    device: str = "auto",
    force: bool = False,
) -> LandscapeResult:
    """Analyse the maps of one epoch of a run folder (ours or cryoDRGN's).

    Parameters
    ----------
    epoch : int, optional
        As numbered in the file names; None or -1 for the latest.
    output : Path, optional
        Folder of results; by default landscape.EPOCH in the run folder, landscape for a run without epochs.
    force : bool
        Replace a landscape with other settings.

    Raises
    ------
    InputError
        For a run, an epoch or settings that cannot be used, or results that would be overwritten.
    """
    loaded = load_run(run, epoch, device)
    name = "landscape" if loaded.epoch is None else f"landscape.{loaded.epoch}"
    folder = output if output is not None else run / name
    return analyze_loaded_landscape(loaded, folder, options or LandscapeOptions(), force=force)


def analyze_loaded_landscape(
    run: LoadedRun, folder: Path, options: LandscapeOptions, *, force: bool = False
) -> LandscapeResult:
    """Analyse the maps of a run that is already loaded; see `analyze_landscape`."""
    started = time.perf_counter()
    native = check_landscape(run, options)
    maps = finished_maps(run.source, native, maps_of_landscape(run, options))
    user_mask = None if options.mask.path is None else read_mask(options.mask.path, maps)
    settings = landscape_settings(run, options, native)
    again = check_results_folder(folder, SETTINGS_FILE, settings, REPLACING, force)

    sketch = sketch_latents(run.z, options.sketch_size, seed=options.seed)
    if options.n_states is not None and options.n_states > sketch.k:
        raise InputError(f"-M: give at most {sketch.k} states, the number of maps; found {options.n_states}")
    logger.info("%d maps of %d voxels stand for %d particles", sketch.k, maps.box_size, len(run.z))
    shown = _sketch_maps(run, folder, options, maps, sketch, again)
    found = _compare(run, options, sketch, shown, user_mask, folder)
    write_landscape_numbers(folder, found)
    maps.write(folder / found.sketch_folder / "vol_mean.mrc", found.mean)
    maps.write(folder / "mask.mrc", found.mask)
    states = write_state_maps(folder / found.state_folder, shown, found)
    paths = write_component_maps(
        folder / "vol_pcs", maps, found, options.pc, options.n_per_pc, options.vol_start_index
    )
    layout = _umap(folder, run, options, again)
    write_table(folder / "particles", _particle_table(found, layout))
    write_json(folder / SETTINGS_FILE, settings | _summary(found))

    from cryoscape.workflows.analyze_landscape_report import write_landscape_pictures

    report = write_landscape_pictures(folder, run, found, states, paths, layout, options.plot_dim)
    logger.info(
        "Landscape of %d particles, %d states, in %s (%.0f s)",
        len(run.z),
        found.n_states,
        folder,
        time.perf_counter() - started,
    )
    return LandscapeResult(folder, found, states, layout, report)


def _summary(found: Landscape) -> dict[str, Any]:
    return {
        "sketch_folder": found.sketch_folder,
        "state_folder": found.state_folder,
        "n_states": found.n_states,
        "level": found.level,
        "pixel_size_angstrom": found.pixel_size_angstrom,
        "explained": [round(float(share), 6) for share in found.components.explained],
    }


def _sketch_maps(
    run: LoadedRun,
    folder: Path,
    options: LandscapeOptions,
    maps: FinishedMaps,
    sketch: Clusters,
    again: bool,
) -> SketchMaps:
    """The maps to compare: at the means of the cells where maps are linear, else at on-data centres.

    The map at the mean latent is the mean map of the cell's particles only where maps are linear; a decoder
    is asked where it has seen particles.
    """
    place = folder / f"kmeans{sketch.requested}"
    files = sketch_files(place, sketch.k, options.vol_start_index)
    if maps.linear is not None:
        z = cluster_means(run.z, sketch.labels, sketch.k).astype(np.float32)
        if options.all_maps:
            write_sketch_maps(maps, z, files)
        return SketchMaps(maps, z)
    z = np.asarray(sketch.centers, dtype=np.float32)
    there = again and all(path.is_file() for path in files)
    if options.skip_vol and not there:
        raise InputError(
            f"--skip-vol: {place} does not hold the {sketch.k} maps of an earlier landscape with these "
            "settings; leave --skip-vol out"
        )
    if there:
        logger.info("Maps of an earlier landscape are used: %s", place)
    else:
        write_sketch_maps(maps, z, files)
    return SketchMaps(maps, z, files)


def _compare(
    run: LoadedRun,
    options: LandscapeOptions,
    sketch: Clusters,
    shown: SketchMaps,
    user_mask: Volume | None,
    folder: Path,
) -> Landscape:
    statistics = sketch_statistics(shown, sketch.counts, options.mask, user_mask)
    components, linear = _components(shown, statistics.mask, options.pc_dim, folder)
    if components.coordinates.shape[1] == 0:
        raise InputError(f"{run.folder.path}: all maps are equal within the mask; there is no landscape")
    tree = map_tree(components.coordinates, options.linkage)
    suggestion, number = None, options.n_states
    if number is None:
        suggestion = suggest_number(tree, components.coordinates, sketch.counts)
        number = suggestion.chosen
    return Landscape(
        sketch=sketch,
        z_maps=shown.z,
        original_rows=run.original_rows,
        components=components,
        linear=linear,
        tree=tree,
        states=tree.cut(number),
        suggestion=suggestion,
        mask=statistics.mask,
        mean=statistics.mean,
        level=statistics.level,
        pixel_size_angstrom=shown.maps.pixel_size_angstrom,
    )


def _components(
    shown: SketchMaps, mask: Volume, n_axes: int, folder: Path
) -> tuple[MapComponents, LinearCoordinates | None]:
    linear = shown.maps.linear
    if linear is None:
        folder.mkdir(parents=True, exist_ok=True)
        return components_of_maps(masked_voxels(shown, mask, folder), n_axes), None
    inside = mask > 0
    weight = mask[inside]
    return components_of_linear_maps(
        shown.z, linear.mean[inside] * weight, linear.bases[:, inside] * weight, n_axes
    )


def _particle_table(found: Landscape, layout: np.ndarray | None) -> pd.DataFrame:
    """One row a particle: rows of z and of the original input, cell of the sketch, state, UMAP."""
    table: dict[str, Any] = {
        "row": np.arange(len(found.original_rows)),
        "original_row": found.original_rows,
        "map": found.sketch.labels.astype(np.int32),
        "state": found.particle_states.astype(np.int32),
    }
    if layout is not None:
        table |= {"umap1": layout[:, 0], "umap2": layout[:, 1]}
    return pd.DataFrame(table)


def _umap(folder: Path, run: LoadedRun, options: LandscapeOptions, again: bool) -> np.ndarray | None:
    """UMAP of the latents: of an analysis of the same latents where there is one, else computed."""
    name = "analyze" if run.epoch is None else f"analyze.{run.epoch}"
    analysis = run.folder.path / name
    same = read_settings(analysis / "analysis.json").get("latents_sha256") == latents_sha256(run.z)
    for place in ([folder] if again else []) + ([analysis] if same else []):
        layout = read_umap(place, len(run.z))
        if layout is not None:
            write_umap(folder, layout)
            return layout
    if options.skip_umap or run.z.shape[1] <= 2:
        return None
    try:
        layout = umap_embedding(run.z, seed=options.seed)
    except Exception as error:  # nothing else needs it
        logger.warning("No UMAP: %s", error)
        return None
    write_umap(folder, layout)
    return layout
