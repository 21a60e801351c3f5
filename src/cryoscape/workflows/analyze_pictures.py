"""Pictures of an analysis: plots, and renderings of the maps."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

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
from cryoscape.workflows.analyze_results import Partition, Path1D, Results
from cryoscape.workflows.progress import progress
from cryoscape.workflows.report import Block, ReportFigure, ReportTile

logger = logging.getLogger("cryoscape")

MAX_RENDERED = 64
"""Maps rendered of one folder; of larger sets as many, at even steps of their number."""


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

    def figure(self, name: str, caption: str, width: Literal["half", "full"] = "half") -> list[Block]:
        """The picture as a block of the page; nothing where it was not made."""
        return [ReportFigure(self.pictures[name], caption, width)] if name in self.pictures else []


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
    drawn = planes(results, layout)
    for stem, plane in drawn.items():
        album.add(f"{stem}.png", partial(embedding.plot_points, plane))
        album.add(f"{stem}_marginals.png", partial(embedding.plot_marginals, plane))
        album.add(f"{stem}_hexbin.png", partial(embedding.plot_hexbin, plane))
    if results.z.shape[1] == 1:
        z = np.asarray(results.z[:, 0], dtype=np.float64)
        album.add("z_hist.png", lambda: embedding.plot_histogram(z, "z"))
    else:
        explained = results.components.explained
        album.add("explained_variance.png", lambda: curves.plot_explained_variance(explained))
    for partition in results.partitions:
        _plot_partition(album, results, partition, drawn)


def planes(results: Results, layout: np.ndarray | None) -> dict[str, embedding.Plane]:
    """The pictures of latent space by the stem of their files: "z_pca" from two dimensions, "umap"."""
    found: dict[str, embedding.Plane] = {}
    if results.z.shape[1] >= 2:
        found["z_pca"] = embedding.pca_plane(results.components.scores, results.components.explained)
    if layout is not None:
        found["umap"] = embedding.umap_plane(np.asarray(layout, dtype=np.float64))
    return found


def _plot_partition(
    album: Album, results: Results, partition: Partition, drawn: dict[str, embedding.Plane]
) -> None:
    """Clusters of one method on each plane, and their sizes."""
    name, clusters = partition.folder, partition.clusters
    title = f"{partition.method}, {clusters.k} clusters"
    rows = clusters.center_rows
    for stem, plane in drawn.items():
        album.add(f"{name}/{stem}.png", partial(embedding.plot_clusters, plane, clusters.labels, rows, title))
        album.add(f"{name}/{stem}_hex.png", partial(embedding.plot_cluster_hexbin, plane, rows, title))
    if results.z.shape[1] == 1:
        z = np.asarray(results.z[:, 0], dtype=np.float64)
        centers = np.asarray(clusters.centers[:, 0], dtype=np.float64)
        album.add(f"{name}/z_hist.png", lambda: embedding.plot_histogram(z, "z", title, marks=centers))
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
    if not map_sets:
        return {}
    camera = _common_camera(map_sets[0])
    tiles: dict[str, tuple[ReportTile, ...]] = {}
    with progress(sum(len(_shown(s)) for s in map_sets), "pictures of maps") as update:
        done = 0
        for map_set in map_sets:
            pictures = []
            colors = _map_colors(map_set, results)
            for i in _shown(map_set):
                volume = read_volume(map_set.paths[i]).data
                pictures.append(render_surface(volume, map_set.level, camera, color=colors[i]))
                done += 1
                update(done)
            tiles[map_set.name] = _tiles_and_montage(folder, results, map_set, camera, pictures)
    return tiles


def _shown(map_set: MapSet) -> list[int]:
    """Which maps of a folder are rendered; similar clusters have similar numbers, so even steps tell most."""
    n = len(map_set.paths)
    return [int(i) for i in np.unique(np.linspace(0, n - 1, min(n, MAX_RENDERED)).round())]


def _common_camera(map_set: MapSet) -> Camera:
    """A view on the mean of the maps, wide enough for each of them."""
    mean = np.zeros(read_volume(map_set.paths[0]).data.shape, dtype=np.float32)
    envelope = np.full(mean.shape, -np.inf, dtype=np.float32)
    for path in map_set.paths:
        volume = read_volume(path).data
        mean += volume / np.float32(len(map_set.paths))
        np.maximum(envelope, volume, out=envelope)
    return principal_camera(mean, map_set.level, envelope=envelope)


def _partition(map_set: MapSet, results: Results) -> Partition | None:
    """The clusters whose centres the maps are of; None for those along a path."""
    return next((p for p in results.partitions if p.folder == map_set.name), None)


def _map_colors(map_set: MapSet, results: Results) -> list[tuple[float, float, float]]:
    """The colour of its cluster for each centre, one colour along a path."""
    partition = _partition(map_set, results)
    if partition is None:
        return [DEFAULT_COLOR] * len(map_set.paths)
    # a little lighter than on the plots, where small points need more contrast
    mixed = 0.68 * cluster_colors(partition.clusters.k) + 0.24
    return [(float(r), float(g), float(b)) for r, g, b in mixed]


def _tiles_and_montage(
    folder: Path, results: Results, map_set: MapSet, camera: Camera, pictures: list[np.ndarray]
) -> tuple[ReportTile, ...]:
    shown, partition = _shown(map_set), _partition(map_set, results)
    stems = [map_set.paths[i].stem.removeprefix("vol_") for i in shown]
    names = [stem.lstrip("0") or "0" for stem in stems]
    swatches = None
    if partition is not None:
        clusters = partition.clusters
        captions = [f"{clusters.counts[i]:,} particles" for i in shown]
        some = f"{len(shown)} of " if len(shown) < clusters.k else ""
        title, counted = f"{partition.method}: maps at the centres of {some}{clusters.k} clusters", ""
        swatches = cluster_colors(clusters.k)[shown]
    else:
        path = next(p for p in results.paths if f"pc{p.component}" == map_set.name)
        captions = [f"{path.support.particles[i]:,} near" for i in shown]
        title = f"Maps along principal component {path.component}"
        counted = f"; near: particles {path.support.measure}"
    montage = plot_montage(
        pictures,
        names,
        captions,
        title=title,
        subtitle=f"one contour level, {map_set.level:.3g}{counted}",
        n_columns=5 if len(shown) <= 25 else 8,
        swatches=swatches,
        scale_bar=nice_scale_bar(2 * camera.half_width * map_set.pixel_size_angstrom),
    )
    write_bytes(folder / map_set.name / "maps.png", figure_png(montage, 150))
    css = [to_hex(tuple(c)) for c in swatches] if swatches is not None else [None] * len(names)
    return tuple(
        ReportTile(rgba_png(picture), name, caption, swatch)
        for picture, name, caption, swatch in zip(pictures, names, captions, css, strict=True)
    )
