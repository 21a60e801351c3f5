"""Pictures of a landscape and its page."""

import logging
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex

from cryoscape.engines.run_folder import LoadedRun
from cryoscape.io.mrc import read_volume
from cryoscape.plotting import embedding, landscape
from cryoscape.plotting.montage import nice_scale_bar, plot_montage
from cryoscape.plotting.style import cluster_colors, figure_png, rgba_png
from cryoscape.plotting.surface import DEFAULT_COLOR, Camera, principal_camera, render_surface
from cryoscape.typing import Volume
from cryoscape.workflows.analyze_landscape_results import Landscape, state_centers
from cryoscape.workflows.analyze_landscape_states import ComponentPath, StateMaps
from cryoscape.workflows.analyze_pictures import MAX_RENDERED, Album, write_bytes
from cryoscape.workflows.progress import progress
from cryoscape.workflows.report import (
    Block,
    ReportFacts,
    ReportGallery,
    ReportMovie,
    ReportSection,
    ReportTable,
    ReportText,
    ReportTile,
    write_report,
)

logger = logging.getLogger("cryoscape")


def write_landscape_pictures(
    folder: Path,
    run: LoadedRun,
    found: Landscape,
    states: StateMaps,
    paths: tuple[ComponentPath, ...],
    layout: np.ndarray | None,
    plot_dim: int,
) -> Path | None:
    """All plots, renderings and report.html; returns the page, or None where it failed."""
    album = Album(folder)
    _plots(album, found, layout, plot_dim)
    gallery: tuple[ReportTile, ...] = ()
    movies: tuple[tuple[ReportTile, ...], ...] = ()
    try:
        camera = common_camera(found.mean, states.means, found.level)
        gallery = render_states(
            folder / found.state_folder / "states.png",
            states.means,
            found.particle_counts,
            found.level,
            camera,
            found.pixel_size_angstrom,
        )
        movies = tuple(_frames(path, found.level, camera) for path in paths)
    except Exception as error:  # a picture must never cost the numbers
        logger.warning("No pictures of maps: %s: %s", type(error).__name__, error)
    try:
        sections = _sections(album, run, found, paths, layout, gallery, movies)
        which = f"engine {run.engine}" if run.epoch is None else f"epoch {run.epoch}"
        title = f"Landscape of {run.folder.path.resolve().name}"
        return write_report(folder / "report.html", title, sections, f"{which}, {len(run.z):,} particles")
    except Exception as error:
        logger.warning("No report: %s: %s", type(error).__name__, error)
        return None


def _plots(album: Album, found: Landscape, layout: np.ndarray | None, plot_dim: int) -> None:
    components, counts, states = found.components, found.sketch.counts, found.states
    n = min(plot_dim, len(components.axes))
    kept = np.ascontiguousarray(components.coordinates[:, : len(components.axes)])
    place, stem = found.state_folder, f"vol_pca_{found.sketch.requested}"
    shown = (kept, components.explained, counts, states)
    for first in range(1, n):
        second = first + 1
        draw = partial(landscape.plot_maps_in_plane, *shown, (first, second))
        album.add(f"{place}/{stem}_{first}_{second}.png", draw)
    if n >= 3:
        album.add(f"{place}/{stem}_all.png", partial(landscape.plot_component_grid, *shown, n))
    album.add(
        "vol_pca_variance.png",
        lambda: landscape.plot_map_variance(components.explained, len(components.axes)),
    )
    album.add(
        "mask_slices.png",
        lambda: landscape.plot_mask_slices(found.mean, found.mask, found.pixel_size_angstrom),
    )
    album.add(
        f"{place}/tree.png",
        lambda: landscape.plot_tree(found.tree.links, found.particle_counts, found.tree.linkage),
    )
    for name, number, what in (
        ("particle", found.particle_counts, "Particles"),
        ("volume", found.map_counts, "Compared maps"),
    ):
        album.add(f"{place}/state_{name}_counts.png", partial(landscape.plot_state_counts, number, what))
    tried = found.suggestion
    if tried is not None and len(tried.numbers) > 1:
        album.add(
            f"{place}/number_of_states.png",
            lambda: landscape.plot_suggestion(tried.numbers, tried.silhouette, tried.chosen),
        )
    if layout is not None:
        plane = embedding.umap_plane(np.asarray(layout, dtype=np.float64))
        title = f"{found.n_states} states"
        rows = _central_particles(found)
        album.add(
            f"{place}/umap.png",
            lambda: embedding.plot_clusters(plane, found.particle_states, rows, title),
        )


def _central_particles(found: Landscape) -> np.ndarray:
    """Row of the particle at the centre of the map nearest to the mean of each state."""
    centers = state_centers(found)
    kept = found.components.coordinates[:, : centers.shape[1]]
    distance = np.linalg.norm(kept - centers[found.states], axis=1)
    order = np.lexsort((distance, found.states))
    first = np.searchsorted(found.states[order], np.arange(found.n_states))
    return np.asarray(found.sketch.center_rows[order[first]])


def common_camera(mean: Volume, files: tuple[Path, ...], level: float) -> Camera:
    """A view on the mean map, wide enough for each of the maps in the files."""
    envelope = mean.copy()
    for path in files:
        np.maximum(envelope, read_volume(path).data, out=envelope)
    return principal_camera(mean, level, envelope=envelope)


def render_states(
    montage: Path,
    files: tuple[Path, ...],
    counts: np.ndarray,
    level: float,
    camera: Camera,
    pixel_size_angstrom: float,
) -> tuple[ReportTile, ...]:
    """Pictures of the maps of states from one viewpoint, as tiles, and as a montage in a file."""
    if len(files) > MAX_RENDERED:
        logger.info("%d maps of states are not rendered (limit %d)", len(files), MAX_RENDERED)
        return ()
    swatches = cluster_colors(len(files))
    pictures = []
    with progress(len(files), "pictures of states") as update:
        for i, path in enumerate(files):
            # a little lighter than on the plots, where small points need more contrast
            r, g, b = (float(c) for c in 0.68 * swatches[i] + 0.24)
            pictures.append(render_surface(read_volume(path).data, level, camera, color=(r, g, b)))
            update(i + 1)
    names = [str(i) for i in range(len(files))]
    captions = [f"{n:,} particles" for n in counts]
    drawn = plot_montage(
        pictures,
        names,
        captions,
        title=f"Mean maps of {len(files)} states",
        subtitle=f"one contour level, {level:.3g}",
        swatches=swatches,
        scale_bar=nice_scale_bar(2 * camera.half_width * pixel_size_angstrom),
    )
    write_bytes(montage, figure_png(drawn, 150))
    return tuple(
        ReportTile(rgba_png(picture), name, caption, to_hex(tuple(color)))
        for picture, name, caption, color in zip(pictures, names, captions, swatches, strict=True)
    )


def _frames(path: ComponentPath, level: float, camera: Camera) -> tuple[ReportTile, ...]:
    frames = []
    with progress(len(path.files), f"pictures of volume PC{path.component}") as update:
        for i, (file, step) in enumerate(zip(path.files, path.coordinates, strict=True)):
            picture = render_surface(read_volume(file).data, level, camera, color=DEFAULT_COLOR)
            frames.append(ReportTile(rgba_png(picture), str(i), f"{step:.3g}"))
            update(i + 1)
    return tuple(frames)


def _sections(
    album: Album,
    run: LoadedRun,
    found: Landscape,
    paths: tuple[ComponentPath, ...],
    layout: np.ndarray | None,
    gallery: tuple[ReportTile, ...],
    movies: tuple[tuple[ReportTile, ...], ...],
) -> list[ReportSection]:
    place, stem = found.state_folder, f"vol_pca_{found.sketch.requested}"
    sections = [
        ReportSection(
            "Overview",
            [
                _facts(run, found),
                *album.figure(f"{place}/{stem}_1_2.png", "Compared maps on their first two components."),
                *album.figure(f"{place}/tree.png", "Heights at which groups of maps join."),
            ],
        )
    ]
    if gallery:
        text = (
            "Mean maps of the states, every map counted with the particles it stands for, from one viewpoint "
            "and at one contour level. Neighbours in number are neighbours in the tree."
        )
        sections.append(ReportSection("States", [ReportText(text), ReportGallery(gallery)]))
    for path, frames in zip(paths, movies, strict=False):
        share = 100 * found.components.explained[path.component - 1]
        caption = (
            f"Mean map plus steps along component {path.component} of the maps, from the 1st to the 99th "
            "percentile; changes within the mask only. A component mixes whatever varies together."
        )
        title = f"Volume PC{path.component} ({share:.0f} %)"
        sections.append(ReportSection(title, [ReportMovie(frames, caption)]))
    return [
        *sections,
        ReportSection("Number of states", _number_blocks(album, found)),
        ReportSection(
            "Components",
            [
                *album.figure("vol_pca_variance.png", "Variance of the compared maps by component."),
                *album.figure(f"{place}/umap.png", "States on the UMAP of the latents."),
                *album.figure(f"{place}/{stem}_all.png", "The first components against each other.", "full"),
                *album.figure("mask_slices.png", "Mean map and mask (dotted: where its edge ends).", "full"),
            ],
        ),
        ReportSection("Table of states", _table_blocks(album, found)),
        ReportSection("Files", [_file_table(found, layout)]),
    ]


def _facts(run: LoadedRun, found: Landscape) -> ReportFacts:
    return ReportFacts(
        [
            ("Particles", f"{len(run.z):,}"),
            ("Compared maps", f"{found.sketch.k:,}"),
            ("States", str(found.n_states)),
            ("Linkage", found.tree.linkage),
            ("Box of maps", f"{len(found.mask)} px"),
            ("Pixel size of maps", f"{found.pixel_size_angstrom:.4g} Å"),
            ("Mask", f"{100 * float((found.mask > 0.5).mean()):.1f} % of box"),
        ]
    )


def _number_blocks(album: Album, found: Landscape) -> list[Block]:
    place = found.state_folder
    if found.suggestion is None:
        text = f"The number of states, {found.n_states}, was given."
    else:
        text = (
            f"The number of states, {found.n_states}, was suggested: from the number with the best mean "
            "silhouette on, states are added while it stays within 5 % of that. The silhouette compares the "
            "distance of each map to its own state with that to the next one. Particles that vary without "
            "gaps have no right number: look at the tree, and give another number with -M."
        )
    return [ReportText(text), *album.figure(f"{place}/number_of_states.png", "Mean silhouette of the maps.")]


def _table_blocks(album: Album, found: Landscape) -> list[Block]:
    counts = found.particle_counts
    percent = (100 * counts / counts.sum()).round(1)
    cells = [np.arange(found.n_states), counts, percent, found.map_counts]
    rows = list(zip(*(column.tolist() for column in cells), strict=True))
    css = [to_hex(tuple(c)) for c in cluster_colors(found.n_states)]
    place = found.state_folder
    return [
        *album.figure(f"{place}/state_particle_counts.png", "Particles of each state."),
        *album.figure(f"{place}/state_volume_counts.png", "Compared maps of each state."),
        ReportTable(("State", "Particles", "Share (%)", "Compared maps"), rows, swatches=css),
    ]


def _file_table(found: Landscape, layout: np.ndarray | None) -> ReportTable:
    name, place = found.sketch_folder, found.state_folder
    rows = [
        ("particles.parquet, .txt", "every particle: rows, map that stands for it, state"),
        (f"{place}/state_000_mean.mrc, _std.mrc...", "mean map of each state, and spread of its maps"),
        (f"{place}/state_000_particle_ind.pkl...", "its particles, rows of the original input, for --ind"),
        (f"{place}/states.parquet, .txt", "states with counts and mean coordinates"),
        (f"{place}/open_maps.cxc", "opens the maps of the states in ChimeraX"),
        (f"{name}/labels.pkl, centers_ind.txt", "map that stands for each particle, particles at centres"),
        (f"vol_pca_{found.sketch.requested}.pkl", "coordinates of the maps"),
        ("vol_pcs/pc1/vol_*.mrc...", "maps along the components"),
        ("mask.mrc", "where maps are compared"),
        ("landscape.json", "settings of this landscape"),
    ]
    if layout is not None:
        rows.insert(1, ("umap.pkl", "UMAP coordinates of the latents"))
    return ReportTable(("File", "Content"), rows)
