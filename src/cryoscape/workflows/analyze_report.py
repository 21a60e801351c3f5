"""The page of an analysis: what its pictures, maps and tables say, in reading order."""

import logging
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex

from cryoscape.engines.run_folder import LoadedRun
from cryoscape.plotting import curves
from cryoscape.plotting.style import cluster_colors
from cryoscape.workflows.analyze_imaging import in_words, verdict
from cryoscape.workflows.analyze_maps import MapSet
from cryoscape.workflows.analyze_next import next_steps
from cryoscape.workflows.analyze_panels import COURSE_FILE, plot_course, plot_quantities
from cryoscape.workflows.analyze_pictures import (
    Album,
    learning_curve,
    plot_along,
    plot_latents,
    render_sets,
)
from cryoscape.workflows.analyze_results import Partition, Path1D, Results, cluster_table
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
    plot_quantities(album, results, layout)
    plot_course(album, run)
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
    which = f"engine {run.engine}" + ("" if run.epoch is None else f", epoch {run.epoch}")
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
    name = results.kmeans.folder
    main = _main_plane(results, layout)
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
        some = "" if len(tiles[name]) == results.clusters.k else "Some of the maps are shown. "
        text = (
            "Maps at the particle nearest to the centre of each cluster, from one viewpoint and at one "
            f"contour level. {some}Similar clusters carry neighbouring numbers. Weak or noisy maps may be "
            "junk."
        )
        sections.append(ReportSection("States", [ReportText(text), ReportGallery(tiles[name])]))
    sections += [_mixture_section(album, results, p, main, tiles) for p in results.partitions[1:]]
    sections += [
        _path_section(album, results, path, tiles.get(f"pc{path.component}", ())) for path in results.paths
    ]
    sections += [
        ReportSection(
            "Latent space",
            [
                *album.figure("z_pca_marginals.png", "Principal components with marginal distributions."),
                *album.figure(f"{name}/z_pca.png", "Clusters on the principal components."),
                *album.figure(f"{main}_states.png", "States of the engine; numbers are those of its maps."),
                *album.figure("explained_variance.png", "Variance of the latent space by component."),
            ],
        ),
        ReportSection("Clusters", _cluster_blocks(album, results, results.kmeans)),
        _imaging_section(album, results, "z" if results.z.shape[1] == 1 else main),
        ReportSection("Training", _course_blocks(album, run)),
        ReportSection("How to go on", [next_steps(run, results, album.folder)]),
        ReportSection("Files", [_file_table(results, layout, bool(map_sets))]),
    ]
    return sections


def _course_blocks(album: Album, run: LoadedRun) -> list[Block]:
    """What the engine measures of itself; losses where it measures nothing else."""
    words = "Training of the engine, by iteration."
    if run.epoch is not None:
        words = (
            "Higher is better. Where maps are made again, values are of other maps: a step there is no gain."
        )
    course = album.figure(COURSE_FILE, words)
    return course or album.figure(_curve_file(run), "Average losses per epoch.")


def _main_plane(results: Results, layout: np.ndarray | None) -> str:
    """Stem of the picture the page shows latent space in."""
    return "umap" if layout is not None else "z_pca"


def _mixture_section(
    album: Album, results: Results, mixture: Partition, main: str, tiles: dict[str, tuple[ReportTile, ...]]
) -> ReportSection:
    """Clusters of the Gaussian mixture: where they are, their maps, and how surely particles belong."""
    blocks: list[Block] = []
    if mixture.probabilities is not None:
        sure = float((mixture.probabilities.max(axis=1) > 0.9).mean())
        blocks.append(
            ReportText(
                "Clusters of unequal width and shape; junk is often one of them. "
                f"{100 * sure:.0f} % of the particles belong to theirs with a probability above 0.9."
            )
        )
    blocks += album.figure(f"{mixture.folder}/{main}.png", "Components of the mixture.")
    if main != "z_pca":
        blocks += album.figure(f"{mixture.folder}/z_pca.png", "The same on the principal components.")
    if mixture.folder in tiles:
        blocks.append(ReportGallery(tiles[mixture.folder]))
    return ReportSection("Gaussian mixture", [*blocks, *_cluster_blocks(album, results, mixture)])


def _imaging_section(album: Album, results: Results, main: str) -> ReportSection:
    """What latents know of the images beside structure, in words, numbers and pictures."""
    blocks: list[Block] = []
    if results.leaks:
        rows = [(leak.name, in_words(leak), round(100 * max(leak.share, 0.0), 1)) for leak in results.leaks]
        caption = (
            "Told: share of a quantity's variance that the nearest neighbours in latent space tell, "
            "cross-validated, less what they tell of permuted particles."
        )
        blocks.append(ReportText(verdict(results.leaks)))
        blocks.append(ReportTable(("Quantity", "In words", "Told (%)"), rows, caption))
    shown = "Particles against z" if main == "z" else "Means over the particles in each hexagon"
    even = "; an even panel means that latents do not know the quantity."
    blocks += album.figure(f"{main}_imaging.png", shown + ("." if main == "z" else even), "full")
    blocks += album.figure(f"{main}_fit.png", f"{shown}.", "full")
    views = album.figure("views.png", "Directions the particles are seen from.")
    if views:
        text = (
            "Where views are uneven, the resolution of maps depends on the direction, in small states most."
        )
        blocks += [ReportText(text), *views]
    return ReportSection("Leakage and imaging", blocks)


def _path_section(
    album: Album, results: Results, path: Path1D, frames: tuple[ReportTile, ...]
) -> ReportSection:
    i = path.component
    share = 100 * results.components.explained[i - 1]
    blocks: list[Block] = []
    if frames:
        blocks.append(ReportMovie(frames, f"Along PC{i}. Near: particles {path.support.measure}."))
    blocks += album.figure(f"pc{i}/pca_traversal.png", "Points of the path on the principal components.")
    blocks += album.figure(f"pc{i}/umap.png", f"UMAP coloured by PC{i}.")
    blocks += album.figure(f"pc{i}/scores.png", f"Particles along PC{i} and the points of the path.")
    return ReportSection(f"PC{i} ({share:.0f} %)", blocks)


def _facts(run: LoadedRun, results: Results, map_sets: tuple[MapSet, ...]) -> ReportFacts:
    items = [
        ("Particles", f"{len(results.z):,}"),
        ("Latent dimensions", str(results.z.shape[1])),
        *([] if run.epoch is None else [("Epoch", str(run.epoch))]),
        ("Clusters", str(results.clusters.k)),
        ("Training box", f"{run.source.box_size} px"),
    ]
    if map_sets:
        items += [
            ("Pixel size of maps", f"{map_sets[0].pixel_size_angstrom:.4g} Å"),
            ("Contour level", f"{map_sets[0].level:.3g}"),
        ]
        found = [x for one in map_sets for x in one.resolutions_angstrom]
        if found:
            span = f"{min(found):.1f} to {max(found):.1f} Å at FSC 0.143 of half maps"
            items.append(("Maps by regression", span))
    return ReportFacts(items)


def _cluster_blocks(album: Album, results: Results, partition: Partition) -> list[Block]:
    table = cluster_table(results, partition.clusters)
    columns = {
        "cluster": "Cluster",
        "particles": "Particles",
        "share": "Share (%)",
        "center_row": "Row of centre",
        "center_original_row": "Row in original input",
        "median_log_likelihood": "Log-likelihood",
        "median_contrast": "Contrast",
        "median_junk_score": "Junk score",
    }
    table["share"] = (100 * table["share"]).round(1)
    shown = [name for name in columns if name in table]
    rows = list(zip(*(table[name].tolist() for name in shown), strict=True))
    css = [to_hex(tuple(c)) for c in cluster_colors(partition.clusters.k)]
    sizes = album.figure(f"{partition.folder}/cluster_sizes.png", "Particles in each cluster.")
    caption = "Log-likelihood, contrast and junk score are medians." if len(shown) > 5 else ""
    return [*sizes, ReportTable([columns[name] for name in shown], rows, caption, swatches=css)]


def _file_table(results: Results, layout: np.ndarray | None, maps: bool) -> ReportTable:
    name = results.kmeans.folder
    rows = [
        ("particles.parquet, .txt", "every particle: rows, latents, components, UMAP, cluster"),
        ("pca.parquet, .txt", "axes of the principal components and their variance"),
        (f"{name}/labels.pkl", "cluster of each particle, from 0"),
        (f"{name}/centers.txt, centers_ind.txt", "latents and rows of the on-data centres"),
        (f"{name}/clusters.parquet, .txt", "clusters with counts, and original rows of the centres"),
        ("pc1/z_values.txt, path.txt", "points of the paths, particles near each"),
        ("analysis.json", "settings of this analysis"),
    ]
    if results.mixture is not None:
        gmm = results.partitions[1].folder
        rows.insert(3, (f"{gmm}/", f"the files of {name} for the mixture"))
        rows.insert(4, (f"{gmm}/probabilities.npy", "probability of each cluster for each particle"))
    if results.leaks:
        rows.append(("leakage.parquet, .txt", "what the latents tell of how the particles were imaged"))
    if layout is not None:
        rows.insert(1, ("umap.pkl", "UMAP coordinates"))
    if maps:
        rows.append(
            (f"{name}/vol_*.mrc, pc1/vol_*.mrc", "density maps; open_maps.cxc opens them in ChimeraX")
        )
    return ReportTable(("File", "Content"), rows)
