"""Scores of latents and maps against a known truth, as CryoBench (Jeon et al. 2024) and others define them.

Functions of arrays. Latents are z (N, zdim), labels (N,) states from 0; maps are (D, D, D), axes [z, y, x].
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.fft
from scipy.integrate import trapezoid
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, roc_auc_score
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

_MAPS_A_BATCH = 8


class MakesVolumes(Protocol):
    """What is asked of an engine here: `cryoscape.engines.volume_source.VolumeSource` has it."""

    def volumes(self, z: np.ndarray) -> np.ndarray:
        """Maps (n, D, D, D) at z (n, zdim)."""
        ...


@dataclass(frozen=True)
class MapScores:
    """AUC-FSC of several maps: one value a map, and their mean, population standard deviation and median."""

    values: np.ndarray

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return float(self.values.mean())

    @property
    def sd(self) -> float:
        """Population standard deviation."""
        return float(self.values.std())

    @property
    def median(self) -> float:
        """Median of the values."""
        return float(np.median(self.values))


@dataclass(frozen=True)
class Agreement:
    """Agreement of clusters with the truth, mean and standard deviation over seeds."""

    ami: float
    ami_sd: float
    ari: float
    ari_sd: float


@dataclass(frozen=True)
class PathScore:
    """How well latents tell the place along a motion, on particles that were not used for the prediction."""

    r2: float
    median_error_degrees: float | None
    """Of the phase; None for an open path."""


@dataclass(frozen=True)
class FoundState:
    """The cluster that matches a state best (largest F1), and how well."""

    cluster: int
    precision: float
    recall: float


def fsc_curve(
    volume: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fourier shell correlation of a map with the true one, in CryoBench's shells.

    Shell i holds the frequencies with i - 1 <= r < i, so shell 1 is the mean density alone. f_0 = 1; values
    are clipped to [0, 1]; 1 where a shell of either map is empty.

    Parameters
    ----------
    volume, truth : (D, D, D), D even.
    mask : (D, D, D), multiplies both.

    Returns
    -------
    x : (D / 2,) i / D, cycles per pixel.
    f : (D / 2,)
    """
    if mask is not None:
        volume, truth = volume * mask, truth * mask
    return _curve(_transform(volume), _transform(truth))


def auc_fsc(volume: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Area under `fsc_curve`, by trapezoids: at most (D / 2 - 1) / D."""
    x, f = fsc_curve(volume, truth, mask)
    return float(trapezoid(f, x))


def _transform(volume: np.ndarray) -> np.ndarray:
    """Transform in the order of the FFT: the phase of a centre common to two maps cancels between them."""
    return scipy.fft.fftn(np.asarray(volume, dtype=np.float64))


def _curve(transform: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    box = len(transform)
    if transform.shape != (box,) * 3 or truth.shape != transform.shape:
        raise ValueError(f"maps of shapes {transform.shape} and {truth.shape} cannot be compared")
    axis = np.fft.fftfreq(box, 1 / box)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    shell, n = np.floor(radius).astype(np.int64).ravel(), box // 2 - 1

    def per_shell(values: np.ndarray) -> np.ndarray:
        return np.bincount(shell, weights=values.ravel(), minlength=n)[:n]

    cross = per_shell((transform.conj() * truth).real)
    power = np.sqrt(per_shell(np.abs(transform) ** 2) * per_shell(np.abs(truth) ** 2))
    f = np.where(power > 0, cross / np.where(power > 0, power, 1), 1.0)
    return np.arange(n + 1) / box, np.concatenate([[1.0], np.clip(f, 0, 1)])


def per_image_auc(
    source: MakesVolumes, z: np.ndarray, labels: np.ndarray, truth_maps: np.ndarray, n: int = 100
) -> MapScores:
    """AUC-FSC of maps at the latents of particles 0, s, 2s ..., s = N // n, against those of their states.

    Parameters
    ----------
    labels : (N,) rows of ``truth_maps``; all 0 or more.
    truth_maps : (K, D, D, D)
    """
    rows = np.arange(0, len(z), max(1, len(z) // n))
    return _auc_of_pairs(source, z[rows], labels[rows], truth_maps)


def per_state_auc(
    source: MakesVolumes, z: np.ndarray, labels: np.ndarray, truth_maps: np.ndarray
) -> MapScores:
    """AUC-FSC of one map a state: at the particle of the state that is nearest to the mean of its latents."""
    states = np.unique(labels)
    rows = [
        members[np.argmin(((z[members] - z[members].mean(axis=0)) ** 2).sum(axis=1))]
        for members in (np.flatnonzero(labels == state) for state in states)
    ]
    return _auc_of_pairs(source, z[rows], states, truth_maps)


def _auc_of_pairs(
    source: MakesVolumes, z: np.ndarray, labels: np.ndarray, truth_maps: np.ndarray
) -> MapScores:
    values = np.empty(len(z))
    for label in np.unique(labels):
        truth, rows = _transform(truth_maps[label]), np.flatnonzero(labels == label)
        for start in range(0, len(rows), _MAPS_A_BATCH):
            batch = rows[start : start + _MAPS_A_BATCH]
            for row, volume in zip(batch, source.volumes(z[batch]), strict=True):
                x, f = _curve(_transform(volume), truth)
                values[row] = trapezoid(f, x)
    return MapScores(values)


def recovered_fraction(auc: float, floor: float, oracle: float) -> float:
    """Share of the recoverable range, (auc - floor) / (oracle - floor); NaN where the range is empty."""
    return (auc - floor) / (oracle - floor) if oracle > floor else float("nan")


def cluster_agreement(z: np.ndarray, labels: np.ndarray, n_seeds: int = 10) -> Agreement:
    """AMI and ARI of k-means clusters, as many as there are true states, over seeds."""
    k = len(np.unique(labels))
    found = [KMeans(k, random_state=seed).fit_predict(z) for seed in range(n_seeds)]
    ami = np.array([adjusted_mutual_info_score(labels, clusters) for clusters in found])
    ari = np.array([adjusted_rand_score(labels, clusters) for clusters in found])
    return Agreement(float(ami.mean()), float(ami.std()), float(ari.mean()), float(ari.std()))


def partition_agreement(clusters: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """AMI and ARI of clusters that an engine itself assigned."""
    return (
        float(adjusted_mutual_info_score(labels, clusters)),
        float(adjusted_rand_score(labels, clusters)),
    )


def neighbourhood_purity(
    z: np.ndarray, labels: np.ndarray, n_neighbours: int = 20, n_probes: int = 1000, seed: int = 0
) -> float:
    """Share of the nearest neighbours of a particle that are of its state; mean over a subset."""
    probes = np.random.default_rng(seed).permutation(len(z))[:n_probes]
    search = NearestNeighbors(n_neighbors=n_neighbours + 1).fit(z)
    found = search.kneighbors(z[probes], return_distance=False)
    own = found == probes[:, None]
    own[~own.any(axis=1), -1] = True  # among more duplicates than neighbours, a particle may not find itself
    others = found[~own].reshape(len(probes), n_neighbours)
    return float((labels[others] == labels[probes, None]).mean())


def phase_score(z: np.ndarray, phase_radians: np.ndarray, n_neighbours: int = 50) -> PathScore:
    """R2 of (cos, sin) of the phase of odd rows, predicted as the mean over their nearest even rows."""
    predicted, true = _predicted(z, np.stack([np.cos(phase_radians), np.sin(phase_radians)], 1), n_neighbours)
    return PathScore(r_squared(predicted, true), phase_error_degrees(predicted, true))


def line_score(z: np.ndarray, position: np.ndarray, n_neighbours: int = 50) -> PathScore:
    """R2 of the position along an open path, predicted as in `phase_score`."""
    return PathScore(r_squared(*_predicted(z, position[:, None], n_neighbours)), None)


def _predicted(z: np.ndarray, target: np.ndarray, n_neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    model = KNeighborsRegressor(min(n_neighbours, (len(z) + 1) // 2)).fit(z[::2], target[::2])
    return model.predict(z[1::2]), target[1::2]


def r_squared(predicted: np.ndarray, true: np.ndarray) -> float:
    """1 - residual sum of squares / total about the mean, over all columns of (N, m)."""
    return float(1 - ((predicted - true) ** 2).sum() / ((true - true.mean(axis=0)) ** 2).sum())


def phase_error_degrees(predicted: np.ndarray, true: np.ndarray) -> float:
    """Median absolute difference of the phases of (cos, sin) vectors (N, 2)."""
    difference = (predicted[:, 0] + 1j * predicted[:, 1]) * (true[:, 0] - 1j * true[:, 1])
    return float(np.degrees(np.median(np.abs(np.angle(difference)))))


def junk_auc(score: np.ndarray, is_junk: np.ndarray) -> float:
    """Area under the ROC curve of a score that should be higher for junk."""
    return float(roc_auc_score(is_junk, score))


def best_cluster(clusters: np.ndarray, labels: np.ndarray, state: int) -> FoundState:
    """Find the cluster that is most nearly one state, and its precision and recall."""
    inside, best = labels == state, FoundState(-1, 0.0, 0.0)
    best_f1 = -1.0
    for cluster in np.unique(clusters[inside]):
        members = clusters == cluster
        both = int((members & inside).sum())
        precision, recall = both / int(members.sum()), both / int(inside.sum())
        f1 = 2 * precision * recall / (precision + recall)
        if f1 > best_f1:
            best, best_f1 = FoundState(int(cluster), precision, recall), f1
    return best


def motion_in_maps(maps: np.ndarray, truth_maps: np.ndarray, position: np.ndarray) -> tuple[float, float]:
    """How far maps along a path move, against the true maps at the same steps.

    Each map, scaled to the true mean, is projected onto the changes of the true maps that are linear in
    ``position``; the coefficients are the motion seen. Returned are their R2 with those of the true maps, and
    the slope (1: all of the motion is there).

    Parameters
    ----------
    maps, truth_maps : (K, D, D, D)
    position : (K, m), such as (cos, sin) of the phase.
    """
    true, seen = (values.reshape(len(values), -1) for values in (truth_maps, maps))
    mean = true.mean(axis=0)
    # rows of the pseudo-inverse sum to 0, so the mean need not be taken off maps that may fill the memory
    change = np.linalg.pinv(position - position.mean(axis=0)).astype(true.dtype) @ true
    scale = float(seen.mean(axis=0) @ mean) / float(mean @ mean)
    gram = np.asarray(change @ change.T, dtype=np.float64)

    def coefficients(values: np.ndarray, factor: float) -> np.ndarray:
        along = np.asarray(values @ change.T, dtype=np.float64) / factor - np.asarray(mean @ change.T)
        return np.linalg.solve(gram, along.T).T

    measured, expected = coefficients(seen, scale), coefficients(true, 1.0)
    slope = float((measured * expected).sum() / (expected**2).sum())
    return r_squared(measured, expected), slope
