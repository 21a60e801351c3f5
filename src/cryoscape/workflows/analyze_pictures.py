"""Pictures of an analysis: plots, and renderings of the maps."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from cryoscape.analysis.training_log import LearningCurve, parse_cryodrgn_log, parse_metrics
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.mrc import read_volume
from cryoscape.plotting import curves, embedding
from cryoscape.plotting.montage import nice_scale_bar, plot_montage
from cryoscape.plotting.style import cluster_colors, figure_png, rgba_png
from cryoscape.plotting.surface import DEFAULT_COLOR, Camera, principal_camera, render_surface
from cryoscape.workflows.analyze_maps import MapSet
from cryoscape.workflows.analyze_results import Path1D, Results
from cryoscape.workflows.progress import progress
from cryoscape.workflows.report import Block, ReportFigure, ReportTile

logger = logging.getLogger("cryoscape")

MAX_RENDERED = 64
"""Maps rendered of one folder; of larger sets none is, a montage of them could not be read."""


@dataclass
class Album:
    """Pictures made so far, by file name below the analysis folder."""

    folder: Path
    pictures: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, draw: Callable[[], Figure], dpi: int = 170) -> None:
        """Draw, save and keep a figure; a failure is logged and nothing else happens."""
        try:
            png = figure_png(draw(), dpi)
            write_bytes(self.folder / name, png)
            self.pictures[name] = png
        except Exception as error:  # a picture must never cost the numbers
            logger.warning("No picture %s: %s: %s", name, type(error).__name__, error)

    def figure(self, name: str, caption: str) -> list[Block]:
        """The picture as a block of the page; nothing where it was not made."""
        return [ReportFigure(self.pictures[name], caption)] if name in self.pictures else []


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with replace_when_done(path) as temporary:
        temporary.write_bytes(data)


def learning_curve(run: Path) -> LearningCurve | None:
    """Losses from metrics.jsonl, else from a cryoDRGN run.log; None where neither holds any."""
    for name, parse in (
        ("metrics.jsonl", lambda text: parse_metrics(text.splitlines())),
        ("run.log", parse_cryodrgn_log),
    ):
        path = run / name
        if path.is_file():
            curve = parse(path.read_text(errors="replace"))
            if len(curve):
                return curve
    return None


def plot_latents(album: Album, results: Results, layout: np.ndarray | None) -> None:
    """Plots of all particles and of the clusters, on the principal components and on UMAP."""
    clusters, components = results.clusters, results.components
    name = results.cluster_folder
    planes: dict[str, embedding.Plane] = {}
    if results.z.shape[1] >= 2:
        planes["z_pca"] = embedding.pca_plane(components.scores, components.explained)
    if layout is not None:
        planes["umap"] = embedding.umap_plane(np.asarray(layout, dtype=np.float64))
    for stem, plane in planes.items():
        album.add(f"{stem}.png", partial(embedding.plot_points, plane))
        album.add(f"{stem}_marginals.png", partial(embedding.plot_marginals, plane))
        album.add(f"{stem}_hexbin.png", partial(embedding.plot_hexbin, plane))
        album.add(
            f"{name}/{stem}.png",
            partial(embedding.plot_clusters, plane, clusters.labels, clusters.center_rows),
        )
        album.add(
            f"{name}/{stem}_hex.png", partial(embedding.plot_cluster_hexbin, plane, clusters.center_rows)
        )
    if results.z.shape[1] == 1:
        z = np.asarray(results.z[:, 0], dtype=np.float64)
        centers = np.asarray(clusters.centers[:, 0], dtype=np.float64)
        album.add("z_hist.png", lambda: embedding.plot_histogram(z, "z"))
        album.add(f"{name}/z_hist.png", lambda: embedding.plot_histogram(z, "z", marks=centers))
    album.add("explained_variance.png", lambda: curves.plot_explained_variance(components.explained))
    album.add(f"{name}/cluster_sizes.png", lambda: curves.plot_cluster_sizes(clusters.counts))


def plot_along(album: Album, results: Results, path: Path1D, layout: np.ndarray | None) -> None:
    """Plots of one principal component and of the path along it."""
    components, i = results.components, path.component
    title = f"PC{i} traversal"
    along = components.transform(path.z)
    scores = np.ascontiguousarray(components.scores[:, i - 1])
    label = embedding.pc_label(i, components.explained)
    album.add(
        f"pc{i}/scores.png",
        lambda: embedding.plot_histogram(scores, label, title, marks=np.ascontiguousarray(along[:, i - 1])),
    )
    if components.scores.shape[1] >= 2:
        other = 2 if i == 1 else 1
        plane = embedding.pca_plane(components.scores, components.explained, min(i, other), max(i, other))
        points = np.ascontiguousarray(along[:, sorted((i - 1, other - 1))])
        album.add(f"pc{i}/pca_traversal.png", lambda: embedding.plot_path(plane, points, title))
        album.add(
            f"pc{i}/pca_traversal_hex.png", lambda: embedding.plot_path(plane, points, title, density=True)
        )
    if layout is None:
        return
    flat = embedding.umap_plane(np.asarray(layout, dtype=np.float64))
    nearest = flat.points[cKDTree(results.z).query(path.z)[1]]
    title += ": nearest particles"
    album.add(f"pc{i}/umap.png", lambda: embedding.plot_colored(flat, scores, f"PC{i}", f"Coloured by PC{i}"))
    album.add(f"pc{i}/umap_traversal.png", lambda: embedding.plot_path(flat, nearest, title, connected=False))
    album.add(f"pc{i}/umap_traversal_connected.png", lambda: embedding.plot_path(flat, nearest, title))


def render_sets(
    folder: Path, results: Results, map_sets: tuple[MapSet, ...]
) -> dict[str, tuple[ReportTile, ...]]:
    """Pictures of the maps of each folder from one viewpoint, and a montage of each folder."""
    shown = [s for s in map_sets if len(s.paths) <= MAX_RENDERED]
    for left_out in set(map_sets) - set(shown):
        logger.info(
            "%s: %d maps are not rendered (limit %d)", left_out.name, len(left_out.paths), MAX_RENDERED
        )
    if not shown:
        return {}
    camera = _common_camera(shown[0])
    tiles: dict[str, tuple[ReportTile, ...]] = {}
    with progress(sum(len(s.paths) for s in shown), "pictures of maps") as update:
        done = 0
        for map_set in shown:
            pictures = []
            colors = _map_colors(map_set, results)
            for path, color in zip(map_set.paths, colors, strict=True):
                volume = read_volume(path).data
                pictures.append(render_surface(volume, map_set.level, camera, color=color))
                done += 1
                update(done)
            tiles[map_set.name] = _tiles_and_montage(folder, results, map_set, camera, pictures, colors)
    return tiles


def _common_camera(map_set: MapSet) -> Camera:
    """A view on the mean of the maps, wide enough for each of them."""
    mean = np.zeros(read_volume(map_set.paths[0]).data.shape, dtype=np.float32)
    envelope = np.full(mean.shape, -np.inf, dtype=np.float32)
    for path in map_set.paths:
        volume = read_volume(path).data
        mean += volume / np.float32(len(map_set.paths))
        np.maximum(envelope, volume, out=envelope)
    return principal_camera(mean, map_set.level, envelope=envelope)


def _map_colors(map_set: MapSet, results: Results) -> list[tuple[float, float, float]]:
    """The colour of its cluster for each centre, one colour along a path."""
    if map_set.name != results.cluster_folder:
        return [DEFAULT_COLOR] * len(map_set.paths)
    # a little lighter than on the plots, where small points need more contrast
    mixed = 0.68 * cluster_colors(results.clusters.k) + 0.24
    return [(float(r), float(g), float(b)) for r, g, b in mixed]


def _tiles_and_montage(
    folder: Path,
    results: Results,
    map_set: MapSet,
    camera: Camera,
    pictures: list[np.ndarray],
    colors: list[tuple[float, float, float]],
) -> tuple[ReportTile, ...]:
    names = [path.stem.removeprefix("vol_").lstrip("0") or "0" for path in map_set.paths]
    is_clusters = map_set.name == results.cluster_folder
    if is_clusters:
        captions = [f"{n:,} particles" for n in results.clusters.counts]
        title, counted = f"Maps at the centres of {results.clusters.k} clusters", ""
    else:
        path = next(p for p in results.paths if f"pc{p.component}" == map_set.name)
        captions = [f"{n:,} near" for n in path.support]
        title = f"Maps along principal component {path.component}"
        counted = f"; near: particles within {results.support_radius:.2g} latent units"
    swatches = cluster_colors(results.clusters.k) if is_clusters else None
    montage = plot_montage(
        pictures,
        names,
        captions,
        title=title,
        subtitle=f"one contour level, {map_set.level:.3g}{counted}",
        swatches=swatches,
        scale_bar=nice_scale_bar(2 * camera.half_width * map_set.pixel_size_angstrom),
    )
    write_bytes(folder / map_set.name / "maps.png", figure_png(montage, 150))
    css = [to_hex(tuple(c)) for c in swatches] if swatches is not None else [None] * len(names)
    return tuple(
        ReportTile(rgba_png(picture), name, caption, swatch)
        for picture, name, caption, swatch in zip(pictures, names, captions, css, strict=True)
    )
