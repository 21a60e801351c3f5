"""What can be done with a latent space: commands to type, with the names of this run filled in."""

import shlex
from dataclasses import replace
from pathlib import Path

from cryoscape.engines.run_folder import LoadedRun
from cryoscape.particles.store import is_store
from cryoscape.workflows.analyze_results import Results
from cryoscape.workflows.reconstruct import ReconstructRequest
from cryoscape.workflows.report import ReportCommands


def next_steps(run: LoadedRun, results: Results, folder: Path) -> ReportCommands:
    """Tasks and the commands for them, for copying into a terminal; folder is that of the analysis."""
    path, clusters = run.folder.path, results.clusters
    epoch = [] if run.epoch is None else [str(run.epoch)]
    which = [str(path), *epoch]
    z, weights = str(run.folder.latents(run.epoch)), str(run.folder.weights(run.epoch))
    ends = [str(clusters.center_rows[0]), str(clusters.center_rows[-1])]
    k = str(clusters.requested)
    lines = [
        (
            "Keep the particles of some clusters",
            ["filter", *which, "--kmeans", k, "--clusters", "0", "1", "--keep"],
        ),
        ("Find junk as a cluster of its own", ["analyze", *which, "--gmm", "5"]),
        ("Make 500 maps, for an occupancy analysis", ["analyze", *which, "--ksample", "500"]),
        (
            f"Find a path from the centre of cluster 0 to that of cluster {clusters.k - 1}",
            ["graph_traversal", z, "--anchors", *ends, "--join", "--out-z", "path.txt"],
        ),
        ("Make maps along it", ["eval_vol", weights, "--zfile", "path.txt", "-o", "path"]),
        ("Make a film of maps", ["make_movies", "path", "--zfile", "path.txt"]),
        ("Group states by the likeness of their maps", ["analyze_landscape", *which]),
    ]
    images = _images(run)
    if run.engine == "subspace" and images is not None:
        points = folder / results.kmeans.folder / "z_values.txt"
        task = "Reconstruct the clusters from images, with half maps and FSC of each"
        lines.insert(3, (task, replace(images, run=path, zfile=points).words()[1:]))
    return ReportCommands([(task, shlex.join(["cryoscape", *words])) for task, words in lines])


def _images(run: LoadedRun) -> ReconstructRequest | None:
    """A reconstruction from the images the run was trained on; none from those of a store."""
    known = run.config.get("dataset_args", {})
    particles = known.get("particles")
    if not particles or is_store(Path(particles)):
        return None
    poses, ctf, datadir = (
        Path(str(known[name])) if known.get(name) else None for name in ("poses", "ctf", "datadir")
    )
    inverted = bool(known.get("invert_data", True))
    return ReconstructRequest(Path(particles), Path("maps"), poses, ctf, datadir=datadir, invert=inverted)
