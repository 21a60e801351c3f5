"""Pictures of an analysis that need more than latents: how particles were imaged, how training went."""

from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cryoscape.analysis.clustering import cluster_means, on_data_centers
from cryoscape.analysis.iteration_log import parse_iterations
from cryoscape.engines.run_folder import LoadedRun
from cryoscape.plotting import embedding, iterations, panels
from cryoscape.plotting.panels import Quantity
from cryoscape.workflows.analyze_pictures import Album, planes
from cryoscape.workflows.analyze_results import Results

COURSE_FILE = "training.png"


def plot_quantities(album: Album, results: Results, layout: np.ndarray | None) -> None:
    """Latent space coloured by pose, shift and defocus, and by quality of fit; views; the engine's states."""
    drawn = planes(results, layout)
    for name, title, quantities in (
        ("imaging", "How the particles were imaged", imaging_quantities(results)),
        ("fit", "How the images fit the maps", fit_quantities(results)),
    ):
        if not quantities:
            continue
        for stem, plane in drawn.items():
            album.add(f"{stem}_{name}.png", partial(panels.plot_panels, plane, quantities, title))
        if not drawn:
            z = np.asarray(results.z[:, 0], dtype=np.float64)
            album.add(f"z_{name}.png", partial(panels.plot_against, z, quantities, title))
    for stem, plane in drawn.items():
        if results.latents is not None and results.latents.state is not None:
            album.add(f"{stem}_states.png", partial(_plot_states, plane, results))
    if results.imaging.euler_degrees is not None:
        album.add("views.png", partial(panels.plot_views, results.imaging.euler_degrees))


def imaging_quantities(results: Results) -> list[Quantity]:
    """Angles, shifts and defocus of the particles, where known and not the same for all."""
    imaging = results.imaging
    found = []
    if imaging.euler_degrees is not None:
        rot, tilt, psi = np.ascontiguousarray(imaging.euler_degrees.T)
        found += [
            Quantity("View: tilt", tilt, "°"),
            Quantity("View: rot", (rot + 180) % 360 - 180, "°", is_angle=True),
            Quantity("In-plane angle: psi", (psi + 180) % 360 - 180, "°", is_angle=True),
        ]
    if imaging.defocus_angstrom is not None:
        found.append(Quantity("Defocus", imaging.defocus_angstrom / 1e4, "µm"))
    if imaging.shift_angstrom is not None:
        x, y = np.ascontiguousarray(imaging.shift_angstrom.T)
        found += [Quantity("Shift x", x, "Å"), Quantity("Shift y", y, "Å")]
    if imaging.phase_shift_degrees is not None:
        found.append(Quantity("Phase shift", imaging.phase_shift_degrees, "°"))
    return [quantity for quantity in found if np.ptp(quantity.values) > 0]


def fit_quantities(results: Results) -> list[Quantity]:
    """Likelihood, contrast and junk score of the particles, where the engine gives them."""
    known = results.latents
    if known is None:
        return []
    found = [
        Quantity("Log-likelihood", np.asarray(known.log_likelihood, np.float64), "nats over the mean map"),
        Quantity("Contrast", np.asarray(known.contrast, np.float64)),
        Quantity("Junk score", np.asarray(known.junk_score, np.float64)),
    ]
    return [quantity for quantity in found if np.ptp(quantity.values) > 0]


def _plot_states(plane: embedding.Plane, results: Results) -> Figure:
    if results.latents is None or results.latents.state is None:
        raise ValueError("no states")
    numbers, labels = np.unique(results.latents.state, return_inverse=True)
    means = cluster_means(results.z, labels, len(numbers))
    rows = on_data_centers(results.z, labels, means)
    return embedding.plot_clusters(
        plane, labels, rows, f"{len(numbers)} states of the engine", [str(n) for n in numbers]
    )


def plot_course(album: Album, run: LoadedRun) -> None:
    """Course of training as the engine itself measures it, from metrics.jsonl where it is there."""
    path = Path(run.folder.path) / "metrics.jsonl"
    if not path.is_file():
        return
    lines = path.read_text(errors="replace").splitlines()
    if run.epoch is not None:
        by_epoch = parse_iterations(lines, "epoch")
        if {"round", "training_bound", "held_out_log_likelihood"} <= set(by_epoch):
            linear = run.folder.record().get("result", {}).get("held_out_log_likelihood_of_subspace")
            album.add(COURSE_FILE, lambda: iterations.plot_networks_course(by_epoch, linear, run.epoch))
        return
    metrics = parse_iterations(lines)
    if {"radius", "held_out_information", "noise"} <= set(metrics):
        extent = run.pixel_size_angstrom * run.source.box_size if run.pixel_size_known else None
        nyquist = run.source.box_size / 2
        album.add(COURSE_FILE, lambda: iterations.plot_subspace_course(metrics, nyquist, extent))
    elif {"n_states", "nats_a_particle"} <= set(metrics):
        album.add(COURSE_FILE, lambda: iterations.plot_states_course(metrics))
