"""How latents change from epoch to epoch of training (Box 1 of the protocol), as functions of arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import pdist

from cryoscape.typing import Latents


@dataclass(frozen=True)
class ShiftMedians:
    """Medians over particles of a pair of successive shifts d1, d2 of the latents.

    Attributes
    ----------
    dot : of d1 . d2, latent units squared; positive while particles drift.
    magnitude : of |d2|, latent units.
    cosine_distance : of 1 - cos(d1, d2); 1 for random directions, below while particles drift.
    """

    dot: float
    magnitude: float
    cosine_distance: float


def shift_medians(first: Latents, second: Latents) -> ShiftMedians:
    """Medians of two successive shifts (n, zdim) of the same particles; no shift counts as unrelated."""
    d1, d2 = np.asarray(first, np.float64), np.asarray(second, np.float64)
    dot = (d1 * d2).sum(axis=1)
    length = np.linalg.norm(d2, axis=1)
    cosine = dot / np.maximum(length * np.linalg.norm(d1, axis=1), 1e-30)
    return ShiftMedians(float(np.median(dot)), float(np.median(length)), float(np.median(1.0 - cosine)))


def spread(z: Latents) -> float:
    """Median distance of the particles from their median latent, the scale of a latent space."""
    return float(np.median(np.linalg.norm(z - np.median(z, axis=0), axis=1)))


def distance_agreement(a: Latents, b: Latents, *, n_pairs_of: int = 1000, seed: int = 0) -> float:
    """Correlation of the distances between particles in two epochs; blind to rotation, mirroring and scale.

    A random subset of particles stands for all. Near 1 once particles keep their relative positions. NaN
    where all particles of an epoch coincide.
    """
    chosen = np.random.default_rng(seed).choice(len(a), size=min(len(a), n_pairs_of), replace=False)
    first, second = pdist(a[chosen].astype(np.float64)), pdist(b[chosen].astype(np.float64))
    if len(first) < 2 or first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def on_data_median(z: Latents, members: Int[np.ndarray, " m"]) -> int:
    """Row of z nearest to the median latent of some of its particles."""
    median = np.median(z[members], axis=0)
    return int(np.square(z - median).sum(axis=1).argmin())


def turned_onto(layout: Float[np.ndarray, "n 2"], reference: Float[np.ndarray, "n 2"]) -> np.ndarray:
    """A plane of particles rotated, mirrored and moved to lie best on another (orthogonal Procrustes).

    Neither means anything in UMAP, and pictures of successive epochs can then be compared by eye.
    """
    centred = layout - layout.mean(axis=0)
    goal = reference - reference.mean(axis=0)
    u, _, vt = np.linalg.svd(centred.T.astype(np.float64) @ goal)
    return np.asarray(centred @ (u @ vt) + reference.mean(axis=0), dtype=np.float32)


@dataclass(frozen=True)
class ComparedEpochs:
    """Epochs at intervals, the last of them the analysed one.

    Attributes
    ----------
    used : ascending.
    replaced : (wanted, taken instead) where an epoch was not saved.
    missing : wanted, with none saved near.
    """

    used: tuple[int, ...]
    replaced: tuple[tuple[int, int], ...]
    missing: tuple[int, ...]


def default_interval(first: int, last: int) -> int:
    """Five epochs, or a fifth of the epochs where they are fewer than 25."""
    return min(5, max(1, (last - first + 1) // 5))


def epochs_to_compare(saved: Sequence[int], first: int, last: int, interval: int) -> ComparedEpochs:
    """Every `interval` epochs counted back from `last`; for one that was not saved the nearest that was."""
    there = sorted({e for e in saved if first <= e <= last})
    used: list[int] = [last]
    replaced: list[tuple[int, int]] = []
    missing: list[int] = []
    for wanted in range(last - interval, first - 1, -interval):
        near = [e for e in there if e < used[-1] and abs(e - wanted) <= interval // 2]
        if not near:
            missing.append(wanted)
            continue
        taken = min(near, key=lambda e: (abs(e - wanted), e))
        if taken != wanted:
            replaced.append((wanted, taken))
        used.append(taken)
    return ComparedEpochs(tuple(used[::-1]), tuple(replaced[::-1]), tuple(missing[::-1]))


def shift_triples(saved: Sequence[int], last: int) -> tuple[tuple[int, int, int], ...]:
    """All (e - 2g, e - g, e) of saved epochs up to `last`, g the most frequent step between saved epochs."""
    there = sorted({e for e in saved if e <= last})
    if len(there) < 3:
        return ()
    steps, counts = np.unique(np.diff(there), return_counts=True)
    g = int(steps[counts.argmax()])
    known = set(there)
    return tuple((e - 2 * g, e - g, e) for e in there if e - g in known and e - 2 * g in known)
