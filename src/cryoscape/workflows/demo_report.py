"""The page of the demonstration: what was simulated, what was found, and how to go on with own data."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex

from cryoscape.plotting.style import figure_png, rgba_png
from cryoscape.plotting.surface import contour_level
from cryoscape.workflows.analyze_pictures import write_bytes
from cryoscape.workflows.backproject import BackprojectResult
from cryoscape.workflows.demo_compare import Comparison, FoundStates
from cryoscape.workflows.demo_pictures import (
    StatePicture,
    demo_camera,
    plot_confusion,
    plot_layout,
    plot_overview,
    render_states,
    state_colors,
)
from cryoscape.workflows.report import (
    Block,
    ReportFacts,
    ReportFigure,
    ReportGallery,
    ReportSection,
    ReportTable,
    ReportText,
    ReportTile,
    write_report,
)

REPORT, PICTURE = "report.html", "demo.png"
GOOD_SCORE = 0.8
_IMAGES_SHOWN = 25


@dataclass(frozen=True)
class DemoFindings:
    """All that the page shows.

    Attributes
    ----------
    names : of the true states; ``truth`` (n,) the state of each particle.
    true_maps, recovered_maps : (D, D, D) each, a recovered one for each cluster.
    correlations : (k, s) of recovered with true maps.
    layout : (n, 2) the latent space in a plane; ``layout_name`` says how.
    images : (m, D, D) some particle images.
    settings, steps : names and values; names and seconds.
    check : the back-projection made before training.
    """

    names: tuple[str, ...]
    truth: np.ndarray
    found: FoundStates
    comparison: Comparison
    true_maps: Sequence[np.ndarray]
    recovered_maps: np.ndarray
    correlations: np.ndarray
    layout: np.ndarray
    layout_name: str
    images: np.ndarray
    settings: Sequence[tuple[str, str]]
    steps: Sequence[tuple[str, str, float]]
    analysis_report: Path | None
    check: BackprojectResult


def write_demo_report(folder: Path, findings: DemoFindings, seconds: float) -> tuple[Path, Path]:
    """Draw the pictures, write report.html and demo.png, and return their paths."""
    states = _state_pictures(findings)
    picture = folder / PICTURE
    overview = plot_overview(
        findings.images[:_IMAGES_SHOWN], findings.layout, findings.truth, states, findings.comparison.score
    )
    overview_png = figure_png(overview, 150)
    write_bytes(picture, overview_png)
    sections = [
        ReportSection("Result", [*_result(findings, seconds), ReportFigure(overview_png, _OVERVIEW, "full")]),
        ReportSection("States", _states(findings, states)),
        ReportSection("Latent space", _latent_space(folder, findings, states)),
        ReportSection("Check before training", _check(findings.check)),
        ReportSection("Steps", _steps(findings)),
        ReportSection("Your own data", _own_data()),
    ]
    n, k = len(findings.truth), len(findings.names)
    subtitle = f"{n:,} simulated particle images, {k} states, found without being told"
    return write_report(folder / REPORT, "cryoscape demonstration", sections, subtitle), picture


_OVERVIEW = (
    "From images to structures: each particle is one noisy view of one molecule; the latent space sorts the "
    "molecules by structure; a map is decoded for each group found there."
)


def _state_pictures(findings: DemoFindings) -> list[StatePicture]:
    colors = state_colors(len(findings.names))
    level = contour_level(list(findings.true_maps))
    camera = demo_camera(findings.true_maps, level)
    true = render_states(findings.true_maps, colors, camera)
    clusters = [findings.comparison.cluster_of(state) for state in range(len(findings.names))]
    matched = [c for c in clusters if c is not None]
    shown = render_states(
        [findings.recovered_maps[c] for c in matched],
        [colors[s] for s, c in enumerate(clusters) if c is not None],
        camera,
    )
    recovered = dict(zip(matched, shown, strict=True))
    counts = np.bincount(findings.found.labels, minlength=findings.found.k)
    return [
        StatePicture(
            name=name,
            color=colors[s],
            true=true[s],
            recovered=None if cluster is None else recovered[cluster],
            n_true=int((findings.truth == s).sum()),
            n_found=0 if cluster is None else int(counts[cluster]),
            correlation=float("nan") if cluster is None else float(findings.correlations[cluster, s]),
        )
        for s, (name, cluster) in enumerate(zip(findings.names, clusters, strict=True))
    ]


def _result(findings: DemoFindings, seconds: float) -> list[Block]:
    score = findings.comparison.score
    agree = sum(
        int(findings.comparison.confusion[s, c])
        for c, s in enumerate(findings.comparison.state_of_cluster)
        if s >= 0
    )
    verdict = (
        f"The {len(findings.names)} states were recovered: {findings.found.k} groups were found in latent "
        f"space, and {agree:,} of {len(findings.truth):,} particles lie in that of their state."
        if score >= GOOD_SCORE
        else f"Agreement is {score:.2f}, below the {GOOD_SCORE} expected of this demonstration: train longer."
    )
    return [
        ReportText(verdict),
        ReportFacts(
            [
                ("Agreement (AMI)", f"{score:.3f}"),
                ("States found", f"{findings.found.k} (simulated {len(findings.names)})"),
                ("Particles", f"{len(findings.truth):,}"),
                ("Time", f"{seconds / 60:.1f} min"),
                *findings.settings,
            ]
        ),
    ]


def _states(findings: DemoFindings, states: Sequence[StatePicture]) -> list[Block]:
    true = [ReportTile(rgba_png(s.true), s.name, f"{s.n_true:,}", to_hex(s.color)) for s in states]
    found = [
        ReportTile(rgba_png(s.recovered), s.name, f"{s.n_found:,}", to_hex(s.color))
        for s in states
        if s.recovered is not None
    ]
    rows = [
        (
            s.name,
            s.n_true,
            round(100 * s.n_true / len(findings.truth), 1),
            s.n_found,
            round(100 * s.n_found / len(findings.truth), 1),
            "no group" if s.recovered is None else f"{s.correlation:.3f}",
        )
        for s in states
    ]
    columns = ("State", "Particles", "Share (%)", "Found", "Share found (%)", "Correlation of the maps")
    return [
        ReportText("The maps that the images were simulated from, with the number of particles of each."),
        ReportGallery(true),
        ReportText(
            "The maps decoded from latent space at the centre of the group matched with each state, with the "
            "number of particles in it. The truth was used for that matching only."
        ),
        ReportGallery(found),
        ReportTable(columns, rows, swatches=[to_hex(s.color) for s in states]),
    ]


def _latent_space(folder: Path, findings: DemoFindings, states: Sequence[StatePicture]) -> list[Block]:
    colors = [s.color for s in states]
    by_truth = plot_layout(findings.layout, findings.truth, findings.names, colors, "True states")
    grey = (0.6, 0.6, 0.6)
    matched = findings.comparison.state_of_cluster
    cluster_colors = [colors[s] if s >= 0 else grey for s in matched]
    cluster_names = [f"group {c}" for c in range(findings.found.k)]
    by_cluster = plot_layout(
        findings.layout, findings.found.labels, cluster_names, cluster_colors, "Groups found"
    )
    order = sorted(range(findings.found.k), key=lambda c: (matched[c] < 0, matched[c]))
    confusion = plot_confusion(
        findings.comparison.confusion[:, order], findings.names, [f"group {c}" for c in order]
    )
    blocks: list[Block] = [
        ReportFigure(figure_png(by_truth, 150), f"{findings.layout_name}, coloured by the simulated state."),
        ReportFigure(
            figure_png(by_cluster, 150),
            "The same, coloured by group: k-means in latent space, the number of groups by the silhouette.",
        ),
        ReportFigure(figure_png(confusion, 150), "Where the particles of each state went."),
    ]
    if findings.analysis_report is not None:
        blocks.append(
            ReportText(
                "The analysis of the same latent space as for real data, with maps of all clusters and along "
                f"the main motions, beside this page: {os.path.relpath(findings.analysis_report, folder)}"
            )
        )
    return blocks


def _check(check: BackprojectResult) -> list[Block]:
    blocks: list[Block] = [
        ReportText(
            "Back-projection averages all particles, whatever their state. Each assumption on the data was "
            "tried against what it might wrongly be:"
        ),
        ReportTable(
            ("Checked", "Found", "Evidence"),
            [(finding.subject, finding.outcome, finding.sentence) for finding in check.findings],
        ),
    ]
    if check.files is not None:
        blocks.append(ReportFigure(check.files.overview.read_bytes(), "The average map.", "full"))
        blocks.append(ReportFigure(check.files.fsc_plot.read_bytes(), "Agreement of its half maps."))
    return blocks


def _steps(findings: DemoFindings) -> list[Block]:
    rows = [
        (command, what, f"{seconds:.1f}" if seconds >= 0.1 else "< 0.1")
        for command, what, seconds in findings.steps
    ]
    return [
        ReportText("What ran, in this order; each step but the last is a command of its own."),
        ReportTable(("Command", "What it did", "Seconds"), rows),
    ]


def _own_data() -> list[Block]:
    rows = [
        ("cryoscape parse_pose_star run_data.star -o poses.pkl", "poses of a RELION refinement"),
        ("cryoscape parse_ctf_star run_data.star -o ctf.pkl", "its CTF parameters"),
        ("cryoscape parse_pose_csparc particles.cs -o poses.pkl", "or poses of cryoSPARC"),
        ("cryoscape parse_ctf_csparc particles.cs -o ctf.pkl", "and its CTF"),
        (
            "cryoscape downsample run_data.star -D 128 -o particles.128.mrcs",
            "smaller images for a first look",
        ),
        (
            "cryoscape backproject_voxel particles.128.mrcs --poses poses.pkl --ctf ctf.pkl -o check",
            "is the map right? checks poses, CTF and sign before any training",
        ),
        (
            "cryoscape train_vae particles.128.mrcs --poses poses.pkl --ctf ctf.pkl --zdim 8 -o run",
            "learn the latent space",
        ),
        ("cryoscape analyze run", "maps of the states, plots and a page like this one"),
    ]
    return [
        ReportText("With a consensus refinement of your particles, the same steps:"),
        ReportTable(("Command", "What it does"), rows),
        ReportText("Every command explains itself with --help."),
    ]
