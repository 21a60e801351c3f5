"""The page of an analysis: what its pictures, maps and tables say, in reading order."""

import logging
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex

from cryoscape.engines.run_folder import LoadedRun
from cryoscape.plotting import curves
from cryoscape.plotting.style import cluster_colors
from cryoscape.workflows.analyze_maps import MapSet
from cryoscape.workflows.analyze_pictures import (
    Album,
    learning_curve,
    plot_along,
    plot_latents,
    render_sets,
)
from cryoscape.workflows.analyze_results import Path1D, Results, cluster_table
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


def write_pictures(
    folder: Path,
    run: LoadedRun,
    results: Results,
    layout: np.ndarray | None,
    map_sets: tuple[MapSet, ...],
) -> Path | None:
    """All plots, montages of the maps and report.html; returns the page, or None where it failed."""
    album = Album(folder)
    plot_latents(album, results, layout)
    for path in results.paths:
        plot_along(album, results, path, layout)
    curve = learning_curve(run.folder.path)
    if curve is not None:
        album.add(
            _curve_file(run),
            lambda: curves.plot_learning_curve(
                curve.epoch, curve.total, curve.reconstruction, curve.kl, analysed=run.epoch
            ),
        )
    try:
        tiles = render_sets(folder, results, map_sets)
    except Exception as error:
        logger.warning("No pictures of maps: %s: %s", type(error).__name__, error)
        tiles = {}
    try:
        return _write_page(folder, album, run, results, layout, map_sets, tiles)
    except Exception as error:
        logger.warning("No report: %s: %s", type(error).__name__, error)
        return None


def _write_page(
    folder: Path,
    album: Album,
    run: LoadedRun,
    results: Results,
    layout: np.ndarray | None,
    map_sets: tuple[MapSet, ...],
    tiles: dict[str, tuple[ReportTile, ...]],
) -> Path:
    sections = _sections(album, run, results, layout, map_sets, tiles)
    which = f"engine {run.engine}" if run.epoch is None else f"epoch {run.epoch}"
    title = f"Latent space of {run.folder.path.resolve().name}"
    return write_report(folder / "report.html", title, sections, f"{which}, {len(results.z):,} particles")


def _curve_file(run: LoadedRun) -> str:
    return "learning_curve.png" if run.epoch is None else f"learning_curve_epoch{run.epoch}.png"


def _sections(
    album: Album,
    run: LoadedRun,
    results: Results,
    layout: np.ndarray | None,
    map_sets: tuple[MapSet, ...],
    tiles: dict[str, tuple[ReportTile, ...]],
) -> list[ReportSection]:
    name = results.cluster_folder
    main = "umap" if layout is not None else "z_pca"
    sections = [
        ReportSection(
            "Overview",
            [
                _facts(run, results, map_sets),
                *album.figure(f"{main}_hexbin.png", "Particles in latent space, log counts."),
                *album.figure(f"{name}/{main}.png", "k-means clusters; numbers are those of the maps."),
                *album.figure("z_hist.png", "The latent coordinate of the particles."),
                *album.figure(f"{name}/z_hist.png", "Centres of the clusters."),
            ],
        )
    ]
    if name in tiles:
        text = (
            "Maps at the particle nearest to the centre of each cluster, from one viewpoint and at one "
            "contour level. Similar clusters carry neighbouring numbers. Weak or noisy maps may be junk."
        )
        sections.append(ReportSection("States", [ReportText(text), ReportGallery(tiles[name])]))
    for path in results.paths:
        sections.append(_path_section(album, results, path, tiles.get(f"pc{path.component}", ())))
    sections.append(
        ReportSection(
            "Latent space",
            [
                *album.figure("z_pca_marginals.png", "Principal components with marginal distributions."),
                *album.figure(f"{name}/z_pca.png", "Clusters on the principal components."),
                *album.figure("explained_variance.png", "Variance of the latent space by component."),
            ],
        )
    )
    sections.append(ReportSection("Clusters", [*_cluster_blocks(album, results)]))
    curve = album.figure(_curve_file(run), "Average losses per epoch.")
    sections.append(ReportSection("Training", curve))
    sections.append(ReportSection("Files", [_file_table(results, layout, bool(map_sets))]))
    return sections


def _path_section(
    album: Album, results: Results, path: Path1D, frames: tuple[ReportTile, ...]
) -> ReportSection:
    i = path.component
    share = 100 * results.components.explained[i - 1]
    blocks: list[Block] = []
    if frames:
        blocks.append(
            ReportMovie(
                frames, f"Along PC{i}. Near: particles within {results.support_radius:.2g} latent units."
            )
        )
    blocks += album.figure(f"pc{i}/pca_traversal.png", "Points of the path on the principal components.")
    blocks += album.figure(f"pc{i}/umap.png", f"UMAP coloured by PC{i}.")
    blocks += album.figure(f"pc{i}/scores.png", f"Particles along PC{i} and the points of the path.")
    return ReportSection(f"PC{i} ({share:.0f} %)", blocks)


def _facts(run: LoadedRun, results: Results, map_sets: tuple[MapSet, ...]) -> ReportFacts:
    items = [
        ("Particles", f"{len(results.z):,}"),
        ("Latent dimensions", str(results.z.shape[1])),
        ("Engine", run.engine),
        *([] if run.epoch is None else [("Epoch", str(run.epoch))]),
        ("Clusters", str(results.clusters.k)),
        ("Training box", f"{run.source.box_size} px"),
    ]
    if map_sets:
        items += [
            ("Pixel size of maps", f"{map_sets[0].pixel_size_angstrom:.4g} Å"),
            ("Contour level", f"{map_sets[0].level:.3g}"),
        ]
    return ReportFacts(items)


def _cluster_blocks(album: Album, results: Results) -> list[Block]:
    table = cluster_table(results)
    percent = (100 * table["share"]).round(1)
    cells = [table["cluster"], table["particles"], percent, table["center_row"], table["center_original_row"]]
    rows = list(zip(*(column.tolist() for column in cells), strict=True))
    columns = ("Cluster", "Particles", "Share (%)", "Row of centre", "Row in original input")
    css = [to_hex(tuple(c)) for c in cluster_colors(results.clusters.k)]
    sizes = album.figure(f"{results.cluster_folder}/cluster_sizes.png", "Particles in each cluster.")
    return [*sizes, ReportTable(columns, rows, swatches=css)]


def _file_table(results: Results, layout: np.ndarray | None, maps: bool) -> ReportTable:
    name = results.cluster_folder
    rows = [
        ("particles.parquet, .txt", "every particle: rows, latents, components, UMAP, cluster"),
        ("pca.parquet, .txt", "axes of the principal components and their variance"),
        (f"{name}/labels.pkl", "cluster of each particle, from 0"),
        (f"{name}/centers.txt, centers_ind.txt", "latents and rows of the on-data centres"),
        (f"{name}/clusters.parquet, .txt", "clusters with counts, and original rows of the centres"),
        ("pc1/z_values.txt, path.txt", "points of the paths, particles near each"),
        ("analysis.json", "settings of this analysis"),
    ]
    if layout is not None:
        rows.insert(1, ("umap.pkl", "UMAP coordinates"))
    if maps:
        rows.append(
            (f"{name}/vol_*.mrc, pc1/vol_*.mrc", "density maps; open_maps.cxc opens them in ChimeraX")
        )
    return ReportTable(("File", "Content"), rows)
