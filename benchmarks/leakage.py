"""What latents know that they should not, and what they should: information imbalance of two spaces."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

_JITTER = 0.1


@dataclass(frozen=True)
class Leakage:
    """Information imbalance between latents and what they should not know; 1 is independent, 0 determined."""

    z_to_pose: float
    pose_to_z: float
    z_to_ctf: float
    ctf_to_z: float


def information_imbalance(a: np.ndarray, b: np.ndarray, k_max: int = 30) -> tuple[float, float]:
    """How well distances in one space foretell neighbours in another (Glielmo et al. 2022).

    Delta(A -> B) = (2 / N) x mean over points of the mean rank in B of their k nearest neighbours in A,
    averaged over k = 1 .. k_max. 0: B follows from A; 1: independent.

    Returns
    -------
    Delta(A -> B), Delta(B -> A).
    """
    order_a, order_b = _neighbour_order(a), _neighbour_order(b)
    return _imbalance(order_a, _ranks(order_b), k_max), _imbalance(order_b, _ranks(order_a), k_max)


def _neighbour_order(points: np.ndarray) -> np.ndarray:
    """Neighbours of each point, nearest first, without itself: (N, N - 1)."""
    distance = cdist(points, points)
    np.fill_diagonal(distance, -1)
    return np.argsort(distance, axis=1, kind="stable")[:, 1:]


def _ranks(order: np.ndarray) -> np.ndarray:
    """Rank from 1 of each point j among the neighbours of i, (N, N); 0 for i itself."""
    n = len(order)
    ranks = np.zeros((n, n), dtype=np.int64)
    np.put_along_axis(ranks, order, np.arange(1, n)[None], axis=1)
    return ranks


def _imbalance(order: np.ndarray, ranks: np.ndarray, k_max: int) -> float:
    nearest = np.take_along_axis(ranks, order[:, :k_max], axis=1)
    by_k = nearest.mean(axis=0).cumsum() / np.arange(1, nearest.shape[1] + 1)
    return float(2 / len(order) * by_k.mean())


def leakage(z: np.ndarray, rotations: np.ndarray, ctf: np.ndarray, n: int = 2000, seed: int = 0) -> Leakage:
    """Information imbalance between latents and pose (R as 9 numbers), and CTF (z-scored), on a subset.

    Parameters
    ----------
    rotations : (N, 3, 3)
    ctf : (N, c) parameters; columns that are the same for all particles tell nothing and are left out.
    """
    chosen = _subset(z, n, np.random.default_rng(seed))
    pose = rotations[chosen].reshape(len(chosen), 9)
    columns = ctf[chosen]
    varies = np.ptp(columns, axis=0) > 0
    to_pose = information_imbalance(z[chosen], pose)
    if not varies.any():
        return Leakage(*to_pose, float("nan"), float("nan"))
    scored = (columns[:, varies] - columns[:, varies].mean(axis=0)) / columns[:, varies].std(axis=0)
    return Leakage(*to_pose, *information_imbalance(z[chosen], scored))


def truth_imbalance(z: np.ndarray, truth: np.ndarray, n: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Delta(z -> truth), Delta(truth -> z); truth (N, t) is jittered by U(-0.1, 0.1) to part duplicates."""
    rng = np.random.default_rng(seed)
    chosen = _subset(z, n, rng)
    jittered = truth[chosen] + rng.uniform(-_JITTER, _JITTER, (len(chosen), truth.shape[1]))
    return information_imbalance(z[chosen], jittered)


def _subset(z: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of up to n particles whose latents differ: ranks of duplicates would be arbitrary."""
    chosen = rng.permutation(len(z))[:n]
    _, first = np.unique(z[chosen], axis=0, return_index=True)
    return chosen[first]
