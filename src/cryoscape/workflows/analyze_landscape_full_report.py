"""Pictures and page of the landscape of all particles."""

import logging
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cryoscape.analysis.landscape_density import plane_density
from cryoscape.engines.run_folder import LoadedRun
from cryoscape.io.mrc import read_volume
from cryoscape.plotting import embedding, landscape
from cryoscape.plotting.landscape_density import plot_landscape
from cryoscape.plotting.style import cluster_colors
from cryoscape.workflows.analyze_landscape_full_files import FullLandscape
from cryoscape.workflows.analyze_landscape_report import common_camera, render_states
from cryoscape.workflows.analyze_pictures import Album
from cryoscape.workflows.report import (
    Block,
    ReportFacts,
    ReportGallery,
    ReportSection,
    ReportTable,
    ReportText,
    ReportTile,
    write_report,
)

logger = logging.getLogger("cryoscape")

NOT_AN_ENERGY = (
    "The colours on the right are −ln of the density of particles, relative to its highest value. They say "
    "how often this data set, as this model places it, holds structures with these coordinates. They would "
    "be free energies in units of kT only if the particles were at equilibrium when they were frozen, if all "
    "structures were picked, kept and placed equally well, and if the coordinates were those of interest; "
    "and the uncertainty of single particles widens wells and fills the barriers between them. Where a bin "
    "holds n particles, counting alone leaves an error of about 1 / root n. Blank: less than half a particle "
    "a bin."
)


def write_full_pictures(
    folder: Path,
    run: LoadedRun,
    found: FullLandscape,
    mean: Path,
    files: tuple[Path, ...],
    layout: np.ndarray | None,
) -> Path | None:
    """All plots, renderings and report.html; returns the page, or None where it failed.

    Parameters
    ----------
    mean : mean map of the landscape, from whose viewpoint its states were shown as well.
    files : maps of the states.
    """
    album = Album(folder)
    _plots(album, found, layout)
    gallery: tuple[ReportTile, ...] = ()
    try:
        filled = [i for i in range(found.n_states) if found.counts[i]]
        if len(filled) == found.n_states:
            camera = common_camera(read_volume(mean).data, files, found.level)
            montage = folder / "full_clustering" / "states.png"
            gallery = render_states(
                montage, files, found.counts, found.level, camera, found.pixel_size_angstrom
            )
    except Exception as error:  # a picture must never cost the numbers
        logger.warning("No pictures of maps: %s: %s", type(error).__name__, error)
    try:
        title = f"Landscape of all particles of {run.folder.path.resolve().name}"
        which = f"engine {run.engine}" if run.epoch is None else f"epoch {run.epoch}"
        sections = _sections(album, found, gallery, layout)
        return write_report(folder / "report.html", title, sections, f"{which}, {len(run.z):,} particles")
    except Exception as error:
        logger.warning("No report: %s: %s", type(error).__name__, error)
        return None


def _plots(album: Album, found: FullLandscape, layout: np.ndarray | None) -> None:
    coordinates = found.coordinates
    labels = found.assignment.labels
    if coordinates.shape[1] >= 2:
        plane = np.ascontiguousarray(coordinates[:, :2])
        centers = _centers(plane, labels, found.n_states)
        album.add("volpca_landscape.png", lambda: _landscape(found, plane, centers))
    else:
        only = np.ascontiguousarray(coordinates[:, 0])
        label = landscape.volume_pc_label(1, found.explained)
        album.add("volpca_landscape.png", lambda: embedding.plot_histogram(only, label))
    if layout is not None:
        flat = embedding.umap_plane(np.asarray(layout, dtype=np.float64))
        present = np.flatnonzero(found.counts)
        if len(present) == found.n_states:
            rows = np.array([_medoid(flat.points, labels, int(state)) for state in present])
            title = f"{found.n_states} states"
            album.add("full_clustering/umap.png", lambda: embedding.plot_clusters(flat, labels, rows, title))
        album.add("umap_vol_pca_hexbin.png", lambda: embedding.plot_hexbin(flat))
    album.add(
        "full_clustering/state_particle_counts.png",
        lambda: landscape.plot_state_counts(found.counts, "Particles"),
    )
    r2 = found.held_out_r2
    if r2 is not None:
        album.add("held_out_r2.png", lambda: landscape.plot_r2(r2))


def _landscape(found: FullLandscape, plane: np.ndarray, centers: np.ndarray) -> Figure:
    density = plane_density(plane)
    uncertainty = found.uncertainty
    return plot_landscape(
        density.x_edges,
        density.y_edges,
        density.particles,
        density.surprise,
        (landscape.volume_pc_label(1, found.explained), landscape.volume_pc_label(2, found.explained)),
        centers=centers,
        uncertainty=None if uncertainty is None else np.ascontiguousarray(uncertainty[:2, :2]),
    )


def _centers(points: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    counts = np.maximum(np.bincount(labels, minlength=n), 1)
    return np.stack([np.bincount(labels, weights=c, minlength=n) / counts for c in points.T], axis=1)


def _medoid(points: np.ndarray, labels: np.ndarray, state: int) -> int:
    """Row of the particle nearest to the median of its state."""
    rows = np.flatnonzero(labels == state)
    distance = np.linalg.norm(points[rows] - np.median(points[rows], axis=0), axis=1)
    return int(rows[distance.argmin()])


def _sections(
    album: Album, found: FullLandscape, gallery: tuple[ReportTile, ...], layout: np.ndarray | None
) -> list[ReportSection]:
    sections = [
        ReportSection("Overview", [_facts(found), ReportText(_method(found))]),
        ReportSection(
            "Landscape",
            [
                ReportText(NOT_AN_ENERGY),
                *album.figure(
                    "volpca_landscape.png", "Particles on the first two components of the maps.", "full"
                ),
                *album.figure("umap_vol_pca_hexbin.png", "UMAP of the coordinates of the maps."),
                *album.figure("full_clustering/umap.png", "States on this UMAP."),
            ],
        ),
    ]
    if gallery:
        text = "The map of each state, from one viewpoint and at one contour level."
        sections.append(ReportSection("States", [ReportText(text), ReportGallery(gallery)]))
    return [
        *sections,
        ReportSection("Table of states", _table(album, found)),
        ReportSection("Files", [_files(found, layout)]),
    ]


def _facts(found: FullLandscape) -> ReportFacts:
    moved = float((found.assignment.labels != found.start).mean())
    items = [
        ("Particles", f"{len(found.coordinates):,}"),
        ("Components", str(found.coordinates.shape[1])),
        ("Coordinates", "exact" if found.held_out_r2 is None else "predicted"),
        ("States", str(found.n_states)),
        ("Other state than their cell's", f"{100 * moved:.1f} %"),
        ("Probability of the state", f"{float(found.assignment.probability.mean()):.2f} (mean)"),
    ]
    if found.held_out_r2 is not None:
        items.append(("Held-out R² of PC1", f"{found.held_out_r2[0]:.3f}"))
    return ReportFacts(items)


def _method(found: FullLandscape) -> str:
    how = (
        "Maps of this engine are linear in the latents, so the coordinates are those of each particle's map, "
        "exactly."
        if found.held_out_r2 is None
        else "Coordinates were computed from the maps of some particles and predicted for the rest; the plot "
        "of R² says how well, on particles kept aside."
    )
    return (
        f"{how} States begin as those of analyze_landscape and keep their numbers; each particle is then "
        "given to the state that its own coordinates make likeliest, in a mixture with one Gaussian a state "
        "and one covariance common to all."
    )


def _table(album: Album, found: FullLandscape) -> list[Block]:
    counts = found.counts
    before = np.bincount(found.start, minlength=found.n_states)
    percent = (100 * counts / counts.sum()).round(1)
    cells = [np.arange(found.n_states), counts, percent, before]
    rows = list(zip(*(column.tolist() for column in cells), strict=True))
    css = [to_hex(tuple(c)) for c in cluster_colors(found.n_states)]
    return [
        *album.figure("full_clustering/state_particle_counts.png", "Particles of each state."),
        *album.figure("held_out_r2.png", "How well coordinates are predicted."),
        ReportTable(("State", "Particles", "Share (%)", "In analyze_landscape"), rows, swatches=css),
    ]


def _files(found: FullLandscape, layout: np.ndarray | None) -> ReportTable:
    rows = [
        ("particles.parquet, .txt", "every particle: rows, state and its probability, coordinates, UMAP"),
        ("vol_pca_all.pkl", "coordinates of every particle"),
        ("full_clustering/cluster_labels.pkl", "state of each particle, from 0"),
        ("full_clustering/state_000_particle_ind.pkl...", "its particles, rows of the original input"),
        ("full_clustering/state_000_mean.mrc...", "map of each state; open_maps.cxc opens them in ChimeraX"),
        ("landscape_full.json", "settings"),
    ]
    if layout is not None:
        rows.insert(2, ("umap_vol_pca.pkl", "UMAP of the coordinates"))
    if found.held_out_r2 is not None:
        rows.append(("vol_pca_sampled.pkl, ind.sampled.pkl", "maps that were computed, and their rows"))
    return ReportTable(("File", "Content"), rows)
