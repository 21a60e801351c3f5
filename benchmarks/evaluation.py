"""Everything that can be said of a run on a simulated set: latents, maps, junk, states, against the truth."""

import json
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from bounds import Bounds, place_of_states
from cryoscape.analysis.leakage import leakage, truth_imbalance
from cryoscape.engines.run_folder import LoadedRun, RunFolder, load_run
from cryoscape.io.legacy_pickle import read_latents
from cryoscape.particles.readers import load_particles
from datasets import Truth
from scores import (
    PathScore,
    best_cluster,
    cluster_agreement,
    junk_auc,
    line_score,
    motion_in_maps,
    neighbourhood_purity,
    partition_agreement,
    per_image_auc,
    per_state_auc,
    phase_score,
    recovered_fraction,
)

_MAPS_TIMED = 20
_MAPS_A_STEP = 25
Scores = dict[str, Any]


def evaluate(run: LoadedRun, truth: Truth, bounds: Bounds | None = None) -> Scores:
    """All scores that apply to a run; those of latents and maps are over the particles that are not junk."""
    labels = truth.labels[run.original_rows]
    known = labels >= 0
    z, own = run.z[known], labels[known]
    scores: Scores = {"engine": run.engine, "particles": len(run.z), "zdim": run.z.shape[1]}
    scores |= _map_scores(run, z, own, truth, bounds)
    if truth.kind == "states":
        scores |= _state_scores(run, z, own, known, truth)
    else:
        scores |= _path_scores(run, z, own, truth, bounds)
    scores |= _leakage(run, truth)
    if not known.all():
        scores |= _junk_scores(run, truth)
    return scores


def _map_scores(
    run: LoadedRun, z: np.ndarray, labels: np.ndarray, truth: Truth, bounds: Bounds | None
) -> Scores:
    start = time.perf_counter()
    run.source.volumes(z[:: max(1, len(z) // _MAPS_TIMED)][:_MAPS_TIMED])
    seconds = time.perf_counter() - start
    image, state = (score(run.source, z, labels, truth.maps) for score in (per_image_auc, per_state_auc))
    scores = {
        "seconds_20_maps": seconds,
        "auc": image.mean,
        "auc_sd": image.sd,
        "auc_median": image.median,
        "auc_by_state": state.mean,
    }
    if bounds is not None:
        scores["phi"] = recovered_fraction(image.mean, bounds.floor, bounds.oracle)
    return scores


def _state_scores(
    run: LoadedRun, z: np.ndarray, labels: np.ndarray, known: np.ndarray, truth: Truth
) -> Scores:
    scores: Scores = {**asdict(cluster_agreement(z, labels)), "purity": neighbourhood_purity(z, labels)}
    clusters = KMeans(len(truth.names), random_state=0).fit_predict(z)
    if run.latents is not None and run.latents.state is not None:
        clusters = run.latents.state[known]
        scores["states_found"] = len(np.unique(run.latents.state))
        scores["states_ami"], scores["states_ari"] = partition_agreement(clusters, labels)
    rare = int(truth.fractions.argmin())
    found = best_cluster(clusters, labels, rare)
    scores |= {
        "rare_state": truth.names[rare],
        "rare_precision": found.precision,
        "rare_recall": found.recall,
    }
    return scores


def path_score(z: np.ndarray, labels: np.ndarray, truth: Truth) -> PathScore:
    """Score of the place along the motion, predicted from latents."""
    place = place_of_states(truth)[labels]
    if truth.kind == "closed":
        return phase_score(z, np.arctan2(place[:, 1], place[:, 0]))
    return line_score(z, place[:, 0])


def _path_scores(
    run: LoadedRun, z: np.ndarray, labels: np.ndarray, truth: Truth, bounds: Bounds | None
) -> Scores:
    place = place_of_states(truth)
    found = path_score(z, labels, truth)
    scores: Scores = {"r2": found.r2, "median_error_degrees": found.median_error_degrees}
    if bounds is not None and bounds.bayes.r2:
        scores["r2_of_bayes"] = found.r2 / bounds.bayes.r2
    scores["z_to_truth"], scores["truth_to_z"] = truth_imbalance(z, place[labels])
    maps = np.stack([_mean_map(run, z[labels == state]) for state in np.unique(labels)])
    scores["maps_r2"], scores["maps_slope"] = motion_in_maps(maps, truth.maps, place)
    return scores


def _mean_map(run: LoadedRun, z: np.ndarray) -> np.ndarray:
    """Mean of the maps at some of the latents: latents of one step may not lie about one point."""
    mean: np.ndarray = run.source.volumes(z[:: max(1, len(z) // _MAPS_A_STEP)]).mean(axis=0)
    return mean


def _leakage(run: LoadedRun, truth: Truth) -> Scores:
    particles = load_particles(truth.folder / "particles.star", require_poses=True)
    if particles.poses is None or particles.ctf is None:
        return {}
    rows = run.original_rows
    return asdict(leakage(run.z, particles.poses.rotation[rows], particles.ctf.as_legacy()[rows]))


def _junk_scores(run: LoadedRun, truth: Truth) -> Scores:
    if run.latents is None:
        return {}
    score, kind = run.latents.junk_score, truth.junk[run.original_rows]
    scores = {"junk_auc": junk_auc(score, kind != "")}
    for name in np.unique(kind[kind != ""]):
        chosen = (kind == "") | (kind == name)
        scores[f"junk_auc_{name}"] = junk_auc(score[chosen], kind[chosen] != "")
    return scores


def curve(folder: RunFolder, truth: Truth, bounds: Bounds | None = None) -> list[Scores]:
    """Scores after each stored epoch, with the seconds of training until then (of metrics.jsonl)."""
    lines = (folder.path / "metrics.jsonl").read_text().splitlines()
    seconds: dict[int, float] = {}
    total = 0.0
    for entry in map(json.loads, lines):
        total += entry.get("wall_seconds", 0.0)
        seconds[entry["epoch"]] = total
    found = []
    for epoch in sorted(set(folder.epochs("z")) & set(seconds)):
        run = load_run(folder.path, epoch)
        labels = truth.labels[run.original_rows]
        z, own = read_latents(folder.latents(epoch))[0][labels >= 0], labels[labels >= 0]
        entry = {"epoch": epoch, "seconds": seconds[epoch]}
        if truth.kind == "states":
            entry["ami"] = cluster_agreement(z, own, n_seeds=3).ami
        else:
            entry["r2"] = path_score(z, own, truth).r2
        entry["auc"] = per_image_auc(run.source, z, own, truth.maps, n=20).mean
        if bounds is not None:
            entry["phi"] = recovered_fraction(entry["auc"], bounds.floor, bounds.oracle)
        found.append(entry)
    return found
