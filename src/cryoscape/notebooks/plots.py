"""Pictures of a run for a notebook's cells: the library's figures, several side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cryoscape.analysis.iteration_log import parse_iterations
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.notebooks.analysis import center_ind
from cryoscape.plotting import curves, embedding, panels
from cryoscape.plotting.iterations import plot_states_course, plot_subspace_course
from cryoscape.plotting.selection import DROPPED, KEPT, Group, plot_groups
from cryoscape.plotting.style import figure_png
from cryoscape.typing import PathLikeStr
from cryoscape.workflows.analyze_pictures import learning_curve as read_learning_curve
from cryoscape.workflows.filter_columns import RunColumns
from cryoscape.workflows.filter_pictures import landscape_planes
from cryoscape.workflows.run_particles import run_particles
from cryoscape.workflows.selection_images import ImageGroup, picture_of_images

_DPI = 140
_SHOWN_DPI = 92
"""Dots an inch drawn, and shown: sharp also on fine screens."""
_NUMBERED = 60
"""Points with numbers beside them; more would hide each other."""


_QUANTITIES = (
    ("theta", "View: theta (tilt)", "°", False),
    ("phi", "View: phi (rot)", "°", True),
    ("psi", "In-plane angle: psi", "°", True),
    ("df1", "Defocus: df1", "Å", False),
    ("tx", "Shift: tx", "Å", False),
    ("ty", "Shift: ty", "Å", False),
    ("contrast", "Contrast", "", False),
    ("junk_score", "Junk score", "", False),
    ("log_likelihood", "Log-likelihood", "nats", False),
)
"""Columns of the table that latents should know nothing of, or that tell junk: title, unit, if an angle."""


@dataclass(frozen=True)
class Pictures:
    """Figures that a cell shows side by side; ``figures`` are matplotlib's."""

    figures: tuple[Figure, ...]

    def save(self, path: PathLikeStr) -> None:
        """Write them as one PNG file."""
        with replace_when_done(Path(path)) as partial:
            partial.write_bytes(self._repr_png_())

    def _repr_png_(self) -> bytes:
        from PIL import Image

        tiles = [Image.open(BytesIO(figure_png(figure, _DPI))).convert("RGB") for figure in self.figures]
        size = (sum(tile.width for tile in tiles), max(tile.height for tile in tiles))
        page, left = Image.new("RGB", size, "white"), 0
        for tile in tiles:
            page.paste(tile, (left, 0))
            left += tile.width
        buffer = BytesIO()
        page.save(buffer, format="png", optimize=True)
        return buffer.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        width = sum(figure.get_figwidth() for figure in self.figures)
        shown = {"width": round(width * _SHOWN_DPI)}
        return {"image/png": self._repr_png_()}, {"image/png": shown}


@dataclass(frozen=True)
class Note:
    """What a cell says in place of a picture that cannot be made: running all cells goes on."""

    text: str

    def _repr_markdown_(self) -> str:
        return f"*{self.text}*"


def training(run: RunColumns) -> Pictures | Note:
    """Losses by epoch, or the course of an engine without epochs; a note where neither was recorded."""
    folder = run.folder
    curve = read_learning_curve(folder.path)
    if curve is not None:
        drawn = curves.plot_learning_curve(
            curve.epoch, curve.total, curve.reconstruction, curve.kl, analysed=run.epoch
        )
        return Pictures((drawn,))
    path = folder.path / "metrics.jsonl"
    metrics = parse_iterations(path.read_text(errors="replace").splitlines()) if path.is_file() else {}
    box = int(folder.config()["lattice_args"]["D"]) - 1
    pixel_size = folder.pixel_size_angstrom()
    if {"radius", "held_out_information", "noise"} <= set(metrics):
        extent = None if pixel_size is None else pixel_size * box
        return Pictures((plot_subspace_course(metrics, box / 2, extent),))
    if {"n_states", "nats_a_particle"} <= set(metrics):
        return Pictures((plot_states_course(metrics),))
    return Note("There is no metrics.jsonl or run.log with losses in the run folder.")


def views(df: pd.DataFrame) -> Pictures | Note:
    """Viewing directions over the sphere, and shifts; a note where the poses are not known."""
    if not {"phi", "theta", "psi"} <= set(df.columns):
        return Note("The poses of the particles are not where the run found them.")
    figures = [panels.plot_views(df[["phi", "theta", "psi"]].to_numpy(np.float64), "Viewing directions")]
    if {"tx", "ty"} <= set(df.columns):
        points = df[["tx", "ty"]].to_numpy(np.float64)
        if np.ptp(points) > 0:
            figures.append(embedding.plot_hexbin(embedding.Plane(points, "tx (Å)", "ty (Å)"), "Shifts"))
    return Pictures(tuple(figures))


def latents(run: RunColumns, kind: Literal["points", "hexbin", "marginals"] = "hexbin") -> Pictures:
    """All particles, on UMAP where the analysis has it and on the first components."""
    draw = {
        "points": embedding.plot_points,
        "hexbin": embedding.plot_hexbin,
        "marginals": embedding.plot_marginals,
    }[kind]
    return Pictures(tuple(draw(plane) for plane in landscape_planes(run).values()))


def variance(run: RunColumns) -> Pictures:
    """Share of the variance of z along each principal component."""
    return Pictures((curves.plot_explained_variance(run.explained),))


def clusters(run: RunColumns, labels: np.ndarray, title: str = "") -> Pictures:
    """Particles coloured by cluster, numbered at the particle nearest to the mean of each."""
    numbers, compact = np.unique(labels, return_inverse=True)
    rows = center_ind(run.z, compact)
    named = title or f"{len(numbers)} clusters"
    return Pictures(
        tuple(
            embedding.plot_clusters(plane, compact, rows, named, [str(number) for number in numbers])
            for plane in landscape_planes(run).values()
        )
    )


def imaging(run: RunColumns, df: pd.DataFrame) -> Pictures | Note:
    """Latent space coloured by pose, shift, defocus and quality of fit; a note where none is known."""
    quantities = [
        panels.Quantity(title, df[name].to_numpy(np.float64), unit, is_angle)
        for name, title, unit, is_angle in _QUANTITIES
        if name in df and np.ptp(df[name].to_numpy(np.float64)) > 0
    ]
    if not quantities:
        return Note("Neither poses, CTF nor quality of fit are known of the particles.")
    plane = next(iter(landscape_planes(run).values()))
    return Pictures((panels.plot_panels(plane, quantities, "Means over the particles of each hexagon"),))


def colored(run: RunColumns, values: pd.Series) -> Pictures:
    """Particles coloured by a column of the table."""
    name, numbers = str(values.name), values.to_numpy(np.float64)
    planes = landscape_planes(run).values()
    return Pictures(tuple(embedding.plot_colored(plane, numbers, name, f"By {name}") for plane in planes))


def distribution(values: pd.Series, label: str = "", mark: float | None = None) -> Pictures:
    """Histogram of a column, with a mark where one is given."""
    shown = values.to_numpy(np.float64)
    drawn = embedding.plot_histogram(shown, label or str(values.name))
    if mark is not None:
        drawn.axes[0].axvline(mark, color=DROPPED, linewidth=1.4)
    return Pictures((drawn,))


def marked(run: RunColumns, ind: Sequence[int] | np.ndarray | pd.Index) -> Pictures:
    """Some particles over all others, numbered in their order as the maps made of them are."""
    mask = _mask(run, ind)
    if mask.sum() > _NUMBERED:
        return selection(run, ind)
    rows = np.asarray(ind, dtype=np.int64)
    planes = landscape_planes(run).values()
    title = f"{len(rows)} particles"
    return Pictures(
        tuple(embedding.plot_path(plane, plane.points[rows], title, connected=False) for plane in planes)
    )


def selection(run: RunColumns, ind: Sequence[int] | np.ndarray | pd.Index) -> Pictures:
    """Selected particles in blue and all others in vermilion."""
    mask = _mask(run, ind)
    groups = [Group("Selected", KEPT, mask), Group("Others", DROPPED, ~mask)]
    return Pictures((plot_groups(list(landscape_planes(run).values()), groups),))


def images(
    run: RunColumns,
    ind: Sequence[int] | np.ndarray | pd.Index,
    n: int = 9,
    low_pass_angstrom: float = 40.0,
    seed: int = 0,
) -> Pictures | Note:
    """Images of selected particles and of others, drawn at random, as recorded and low-passed.

    A note where the image files are gone: `load_run` takes a ``datadir``.
    """
    mask = _mask(run, ind)
    try:
        particles = run_particles(run.folder, run.rows, datadir=run.datadir, require_images=True)
    except (InputError, OSError) as error:
        return Note(f"No images: {error}. Give their folder as load_run(..., datadir=FOLDER).")
    groups = [
        ImageGroup("Selected", KEPT, run.rows[mask]),
        ImageGroup("Others", DROPPED, run.rows[~mask]),
    ]
    drawn = picture_of_images(particles, groups, n_images=n, low_pass_angstrom=low_pass_angstrom, seed=seed)
    return Pictures((drawn,))


def _mask(run: RunColumns, ind: Sequence[int] | np.ndarray | pd.Index) -> np.ndarray:
    rows = np.asarray(ind, dtype=np.int64)
    if len(rows) and not (rows.min() >= 0 and rows.max() < len(run.z)):
        raise InputError(f"row {rows.max()} is selected, but there are {len(run.z)} particles, from 0")
    mask = np.zeros(len(run.z), dtype=bool)
    mask[rows] = True
    return mask
