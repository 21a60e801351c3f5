"""Plots and the page of an analysis of convergence."""

import logging
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from cryoscape.analysis.convergence_verdict import (
    COSINE_DISTANCE,
    TOTAL_LOSS,
    part_converged,
    plateau_text,
    sentences,
)
from cryoscape.analysis.maps import MapOptions, finish_map
from cryoscape.io.mrc import read_volume
from cryoscape.plotting import convergence as curves
from cryoscape.plotting import convergence_planes as planes
from cryoscape.plotting.montage import nice_scale_bar, plot_montage
from cryoscape.plotting.style import cluster_colors
from cryoscape.plotting.surface import principal_camera, render_surface
from cryoscape.workflows.analyze_convergence_maps import MapComparison
from cryoscape.workflows.analyze_convergence_results import Convergence
from cryoscape.workflows.analyze_pictures import Album
from cryoscape.workflows.progress import progress
from cryoscape.workflows.report import (
    Block,
    ReportFacts,
    ReportFigure,
    ReportSection,
    ReportTable,
    ReportText,
    write_report,
)

logger = logging.getLogger("cryoscape")

_LARGEST_RENDERED = 96
"""Larger maps are cropped to this box for their pictures."""


def write_pictures(folder: Path, found: Convergence) -> Path | None:
    """All plots into plots/, and report.html; returns the page, or None where it failed."""
    (folder / "plots").mkdir(exist_ok=True)
    album = Album(folder / "plots")
    _plot_encoder(album, found)
    if found.maps is not None:
        _plot_decoder(album, found, found.maps)
    _plot_plateaus(album, found)
    try:
        title = f"Convergence of {found.run_name}"
        subtitle = f"epochs up to {found.last_epoch}, {len(found.history.rows):,} particles looked at"
        return write_report(folder / "report.html", title, _sections(album, found), subtitle)
    except Exception as error:
        logger.warning("No report: %s: %s", type(error).__name__, error)
        return None


def _plot_encoder(album: Album, found: Convergence) -> None:
    history, maxima = found.history, found.maxima
    if found.losses is not None:
        epoch, total = found.losses
        plateau = found.plateau_of(TOTAL_LOSS)
        album.add("00_total_loss.png", lambda: curves.plot_loss(epoch, total, plateau))
    layouts = [np.asarray(found.planes[e], dtype=np.float64) for e in history.used]
    album.add(
        "01_encoder_umaps.png", lambda: planes.plot_epoch_planes(layouts, history.used, found.plane_kind)
    )
    if len(history.shift_epochs):
        dot, magnitude, cosine = np.ascontiguousarray(history.shifts.T)
        starts = (
            found.plateau_of("dot product of shifts"),
            found.plateau_of("magnitude of shifts"),
            found.plateau_of(COSINE_DISTANCE),
        )
        album.add(
            "02_encoder_latent_vector_shifts.png",
            lambda: curves.plot_shifts(history.shift_epochs, dot, magnitude, cosine, starts, history.step),
        )
    album.add(
        "03_decoder_UMAP-sketching.png",
        lambda: planes.plot_sketch(
            layouts[-1],
            (maxima.counts, maxima.smoothed),
            (maxima.x_edges, maxima.y_edges),
            (maxima.centers(maxima.found), maxima.centers(maxima.bins)),
            maxima.members,
            np.ascontiguousarray(found.medians[:, -1]),
            maxima.labels,
        ),
    )
    album.add(
        "04_decoder_maxima-sketch-consistency.png",
        lambda: planes.plot_followed(layouts, history.used, found.medians, maxima.labels),
    )


def _plot_decoder(album: Album, found: Convergence, maps: MapComparison) -> None:
    labels, known = found.maxima.labels, maps.curves
    encoder = part_converged(found.verdict, "encoder")
    by_map = partial(curves.plot_by_map, known.epoch[1:], solid_from=encoder)
    dotted = (
        "dotted before the encoder has converged" if encoder is not None else "dotted: encoder not converged"
    )
    album.add(
        "05_decoder_CC.png",
        lambda: by_map(known.correlation, labels, "Correlation", f"Map-to-map correlation\n({dotted})"),
    )
    pairs = list(zip(known.epoch[:-1].tolist(), known.epoch[1:].tolist(), strict=True))
    album.add(
        "06_decoder_FSC.png",
        lambda: curves.plot_fsc_grid(maps.frequency, maps.fsc, pairs, labels, maps.pixel_size_angstrom),
    )
    album.add(
        "07_decoder_FSC-nyquist.png",
        lambda: by_map(known.fsc_nyquist, labels, "FSC at Nyquist", f"Map-to-map FSC at Nyquist\n({dotted})"),
    )
    try:
        montage = _montage(found, maps)
        album.add("08_decoder_maps.png", lambda: montage, dpi=110)
    except Exception as error:  # a picture must never cost the numbers
        logger.warning("No pictures of maps: %s: %s", type(error).__name__, error)
    album.add(
        "09_decoder_map-noise.png",
        lambda: curves.plot_map_noise(known.epoch, known.solvent_noise, known.high_frequency_noise, labels),
    )


def _plot_plateaus(album: Album, found: Convergence) -> None:
    verdict = found.verdict
    epochs = [int(m.epoch[0]) for m, _ in verdict.plateaus if len(m.epoch)]
    album.add(
        "10_plateaus.png",
        lambda: curves.plot_plateaus(
            [m.name for m, _ in verdict.plateaus],
            [p.epoch for _, p in verdict.plateaus],
            [p.judged for _, p in verdict.plateaus],
            min(epochs, default=0),
            found.last_epoch,
            verdict.first_converged_epoch,
        ),
    )


def _montage(found: Convergence, maps: MapComparison) -> Figure:
    """A column a particle set, a row an epoch, from one viewpoint at one contour level."""
    epochs = maps.curves.epoch.tolist()
    labels = found.maxima.labels
    final = [_small(path) for path in maps.paths[epochs[-1]]]
    mean, envelope = np.mean(final, axis=0), np.max(final, axis=0)
    camera = principal_camera(mean, maps.level, envelope=envelope)
    box, shown_box = len(read_volume(maps.paths[epochs[-1]][0]).data), len(mean)
    pixel_size = maps.pixel_size_angstrom * box / shown_box
    colors = 0.68 * cluster_colors(len(labels)) + 0.24
    pictures, names, captions = [], [], []
    with progress(len(labels) * len(epochs), "pictures of maps") as update:
        for epoch in epochs:
            for i, label in enumerate(labels):
                color = (float(colors[i, 0]), float(colors[i, 1]), float(colors[i, 2]))
                volume = _small(maps.paths[epoch][i])
                pictures.append(render_surface(volume, maps.level, camera, size_px=160, color=color))
                names.append(label)
                captions.append(f"epoch {epoch}")
                update(len(pictures))
    return plot_montage(
        pictures,
        names,
        captions,
        title="Maps of the particle sets at the compared epochs",
        subtitle=f"one contour level, {maps.level:.3g}",
        n_columns=len(labels),
        scale_bar=nice_scale_bar(2 * camera.half_width * pixel_size),
    )


def _small(path: Path) -> np.ndarray:
    found = read_volume(path)
    if len(found.data) <= _LARGEST_RENDERED:
        return found.data
    finished = finish_map(found.data, found.pixel_size_angstrom, MapOptions(downsample=_LARGEST_RENDERED))
    # Fourier cropping keeps the sum of a map; the contour level is that of the whole map
    return finished.volume * np.float32((_LARGEST_RENDERED / len(found.data)) ** 3)


_CAPTIONS = {
    "10_plateaus.png": "Bars: epochs in which a measure is flat.",
    "00_total_loss.png": "What training minimises, of networks on a subspace for images held out and the "
    "last maps; smooth, and level at its end.",
    "01_encoder_umaps.png": "Particles at the compared epochs. Number, size and relative place of clusters "
    "should stay; rotation and mirroring mean nothing.",
    "02_encoder_latent_vector_shifts.png": "Small shifts in random directions say that the encoder has "
    "converged: dot product near 0 or below, cosine distance 1 or more.",
    "03_decoder_UMAP-sketching.png": "Well-populated neighbourhoods, lettered by number of particles (local "
    "maxima method).",
    "04_decoder_maxima-sketch-consistency.png": "The particle nearest to the median latent of each set, at "
    "each compared epoch.",
    "08_decoder_maps.png": "Maps at these particles.",
    "05_decoder_CC.png": "Real-space correlation with the map of the compared epoch before.",
    "06_decoder_FSC.png": "Fourier shell correlation of maps of successive compared epochs.",
    "07_decoder_FSC-nyquist.png": "The last value of each of these curves.",
    "09_decoder_map-noise.png": "Both should stay level once maps have settled. Look at the maps for noise "
    "and streaks as well.",
}
_SECTIONS = {
    "Verdict": ("10_plateaus.png",),
    "Loss": ("00_total_loss.png",),
    "Encoder": ("01_encoder_umaps.png", "02_encoder_latent_vector_shifts.png"),
    "Decoder": (
        "03_decoder_UMAP-sketching.png",
        "04_decoder_maxima-sketch-consistency.png",
        "08_decoder_maps.png",
        "05_decoder_CC.png",
        "07_decoder_FSC-nyquist.png",
        "06_decoder_FSC.png",
    ),
    "Overtraining": ("09_decoder_map-noise.png",),
}
_WIDTHS: dict[str, Literal["half", "full", "tall"]] = {
    "05_decoder_CC.png": "half",
    "07_decoder_FSC-nyquist.png": "half",
    "08_decoder_maps.png": "tall",
}


def _sections(album: Album, found: Convergence) -> list[ReportSection]:
    sections = []
    for title, names in _SECTIONS.items():
        blocks: list[Block] = _verdict(found) if title == "Verdict" else []
        for name in names:
            if name in album.pictures:
                width = _WIDTHS.get(name, "full")
                blocks.append(ReportFigure(album.pictures[name], _CAPTIONS[name], width))
        sections.append(ReportSection(title, blocks))
    return [*sections, ReportSection("Files", [_files(found)])]


def _verdict(found: Convergence) -> list[Block]:
    verdict = found.verdict
    first, suggested = verdict.first_converged_epoch, verdict.suggested_epoch
    facts = ReportFacts(
        [
            ("Verdict", verdict.state),
            ("First converged epoch", "none yet" if first is None else str(first)),
            ("Epoch to analyse", "train further" if suggested is None else str(suggested)),
            ("Encoder flat since", _epoch(part_converged(verdict, "encoder"))),
            ("Decoder flat since", _epoch(part_converged(verdict, "decoder"), found.maps is not None)),
        ]
    )
    rows = [(m.name, m.part, plateau_text(m, p)) for m, p in verdict.plateaus]
    table = ReportTable(("Measure", "Tells about", "Flat since"), rows)
    return [facts, *(ReportText(text) for text in sentences(verdict, found.last_epoch)), table]


def _epoch(epoch: int | None, known: bool = True) -> str:
    if epoch is None:
        return "not yet" if known else "no maps to tell"
    return f"epoch {epoch}"


def _files(found: Convergence) -> ReportTable:
    rows = [
        ("verdict.txt, convergence.json", "the verdict; settings of this analysis"),
        ("epochs.parquet, .txt", "loss, shifts and relative positions by epoch"),
        ("vector_metrics.pkl", "medians of the shifts: dot product, magnitude, cosine distance"),
        ("ind_subset.pkl, umaps/", "rows of the particles looked at, their UMAP by epoch"),
        ("maxima.parquet, maxima_particles.parquet", "the particle sets A, B... and their particles"),
        ("repr_particles/", "latents of the followed particles by epoch"),
    ]
    if found.maps is not None:
        rows += [
            ("vols.E/vol_000.mrc...", "map of set A, B... at epoch E, also masked; open_maps.cxc opens them"),
            ("cc_masked.pkl, fsc_masked.pkl, fsc_xaxis.pkl", "agreement with the compared epoch before"),
            ("maps.parquet, .txt", "agreement and noise of each map"),
        ]
    return ReportTable(("File", "Content"), rows)
