"""Whether latents know what is not structure: viewing direction, defocus, how a particle was centred.

Two measures. `foretold` says how much of a quantity the neighbours of a particle in latent space tell, in
shares of its variance with chance taken off, and which component carries it. The information imbalance
compares whole spaces by ranks of neighbours and serves comparisons with published figures.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from cryoscape.analysis.embedding import principal_components
from cryoscape.analysis.neighbours import nearest_neighbours
from cryoscape.typing import Latents

_JITTER = 0.1


@dataclass(frozen=True)
class Foretold:
    """How far the latents foretell one quantity of the images.

    Attributes
    ----------
    name : of the quantity.
    share : of the quantity's variance that the mean over neighbours in latent space tells, cross-validated;
        0 is chance, 1 all of it.
    chance : the largest share found with particles permuted; a share below it means nothing.
    component : principal component (1-based) that depends most on the quantity.
    component_share : of that component's variance that a linear fit to the quantity explains, adjusted.
    """

    name: str
    share: float
    chance: float
    component: int
    component_share: float


def foretold(
    z: Latents,
    quantities: Mapping[str, Float[np.ndarray, "n c"]],
    *,
    n_neighbors: int = 30,
    n_permutations: int = 20,
    max_particles: int = 20_000,
    seed: int = 0,
) -> tuple[Foretold, ...]:
    """What latents tell of each quantity, by leave-one-out regression on nearest neighbours.

    With k neighbours, independent quantities give R2 = -1/k on average; permutations of the particles
    measure this and its scatter, and share = (R2 - chance) / (1 - chance), which is the share of the
    variance that z determines if the neighbourhood is small.

    Parameters
    ----------
    z : array (n, zdim)
        Latent coordinates.
    quantities : arrays (n, c) by name
        Columns in which the quantity is looked for, see `scalar_columns`, `angle_columns`,
        `direction_columns`. One that does not vary is left out.
    max_particles : int
        Of more particles a random subset is taken.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(z))[:max_particles])
    points = np.asarray(z[rows], dtype=np.float64)
    index = nearest_neighbours(points, n_neighbors + 1).index[:, 1:]
    scores = principal_components(points).scores
    found = []
    for name, columns in quantities.items():
        values = _centred(np.asarray(columns[rows], dtype=np.float64))
        if not values.size or not index.size:
            continue
        by_chance = [_r2(rng.permutation(values), index) for _ in range(n_permutations)]
        null = float(np.mean(by_chance))
        share = (_r2(values, index) - null) / (1 - null)
        chance = (max(by_chance) - null) / (1 - null)
        by_component = _explained(scores, values)
        most = int(by_component.argmax())
        found.append(Foretold(name, share, chance, most + 1, float(by_component[most])))
    return tuple(found)


def _centred(columns: np.ndarray) -> np.ndarray:
    """Columns less their means; those that vary by no more than rounding are left out."""
    varies = np.ptp(columns, axis=0) > 1e-9 * np.abs(columns).max(axis=0)
    return np.asarray(columns[:, varies] - columns[:, varies].mean(axis=0))


def scalar_columns(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 1"]:
    """A number such as the defocus, as it is."""
    return np.asarray(values, dtype=np.float64)[:, None]


def angle_columns(angle_degrees: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 4"]:
    """An angle as cosine and sine, also of twice itself: what repeats after half a turn is seen too."""
    angle = np.deg2rad(angle_degrees)
    return np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=1)


def direction_columns(direction: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 8"]:
    """Unit vectors as real spherical harmonics of degree 1 and 2, each of mean square 1 over the sphere.

    The second degree sees what a direction shares with its opposite, whose view is a mirror image.
    """
    x, y, z = np.asarray(direction, dtype=np.float64).T
    first = np.sqrt(3) * np.stack([x, y, z])
    second = np.sqrt(15) * np.stack([x * y, y * z, x * z, (x**2 - y**2) / 2, (3 * z**2 - 1) / np.sqrt(12)])
    return np.concatenate([first, second]).T


def _r2(centred: np.ndarray, index: np.ndarray) -> float:
    """Coefficient of determination of the mean over neighbours, summed over columns."""
    residual = centred - centred[index].mean(axis=1)
    return float(1 - (residual**2).sum() / (centred**2).sum())


def _explained(scores: np.ndarray, centred: np.ndarray) -> np.ndarray:
    """Adjusted R2 (c,) of a linear fit of each column of scores (centred) to the columns given."""
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    left = left[:, singular > 1e-9 * singular[0]]
    total = (scores**2).sum(axis=0)
    explained = ((left.T @ scores) ** 2).sum(axis=0) / np.where(total > 0, total, np.inf)
    n, p = len(scores), left.shape[1]
    return np.asarray(1 - (1 - explained) * (n - 1) / max(n - p - 1, 1))


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
