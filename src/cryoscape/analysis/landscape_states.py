"""States of a landscape: a tree of maps, cut into groups of alike maps, and the state of every particle."""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from cryoscape.errors import InputError

Linkage = Literal["average", "ward", "complete", "single"]
"""Distance of two groups: mean, growth of the squared spread, largest, or smallest of their maps."""

MAX_SUGGESTED = 30
_NEAR_TIE = 0.95


@dataclass(frozen=True, eq=False)
class MapTree:
    """Hierarchical clustering of maps.

    Attributes
    ----------
    links : (k - 1, 4) the merges, as scipy's linkage writes them.
    linkage : which distance of groups was used.
    order : (k,) maps along the tree, alike ones side by side.
    """

    links: Float[np.ndarray, "m 4"]
    linkage: Linkage
    order: Int[np.ndarray, " k"]

    def cut(self, n_states: int) -> Int[np.ndarray, " k"]:
        """Group (k,) of each map, numbered from 0 along the tree; fewer groups where maps are equal.

        Raises
        ------
        InputError
            If there are fewer than 1 or more groups than maps.
        """
        from scipy.cluster.hierarchy import fcluster

        if not 1 <= n_states <= len(self.order):
            raise InputError(
                f"-M: give 1 to {len(self.order)} states, the number of maps compared; found {n_states}."
            )
        found = fcluster(self.links, n_states, criterion="maxclust")
        _, first = np.unique(found[self.order], return_index=True)
        rank = np.empty(len(first), dtype=np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        return np.asarray(rank[found - 1])


@dataclass(frozen=True, eq=False)
class Suggestion:
    """How well the tree parts into each number of states.

    Attributes
    ----------
    numbers : (m,) of states tried, rising from 2.
    silhouette : (m,) mean silhouette of the particles' maps, -1 to 1; higher is parted more clearly.
    chosen : the number suggested.
    """

    numbers: Int[np.ndarray, " m"]
    silhouette: Float[np.ndarray, " m"]
    chosen: int


@dataclass(frozen=True, eq=False)
class Assignment:
    """States of particles.

    Attributes
    ----------
    labels : (n,) the likeliest state of each.
    probability : (n,) of that state.
    """

    labels: Int[np.ndarray, " n"]
    probability: Float[np.ndarray, " n"]


def map_tree(coordinates: Float[np.ndarray, "k r"], linkage: Linkage) -> MapTree:
    """Tree of maps from their coordinates along all components, which keep the distances of the maps."""
    from scipy.cluster.hierarchy import leaves_list
    from scipy.cluster.hierarchy import linkage as link

    # the best order of the leaves costs the cube of their number
    links = link(coordinates, method=linkage, optimal_ordering=len(coordinates) <= 1500)
    return MapTree(np.asarray(links), linkage, np.asarray(leaves_list(links), dtype=np.int64))


def suggest_number(
    tree: MapTree, coordinates: Float[np.ndarray, "k r"], counts: Int[np.ndarray, " k"]
) -> Suggestion:
    """Number of states by the silhouette (Rousseeuw 1987), each map counted with its particles.

    From the best number on, states are added while the silhouette stays within 5 % of it: states that are
    too many are seen to be alike, those that were never parted are not seen. A hint only; where particles
    vary without gaps no number is right.
    """
    from sklearn.metrics import silhouette_samples

    numbers, scores = [], []
    for number in range(2, min(MAX_SUGGESTED, len(coordinates) - 1) + 1):
        labels = tree.cut(number)
        if labels.max() + 1 < number:
            break
        numbers.append(number)
        scores.append(float(np.average(silhouette_samples(coordinates, labels), weights=counts)))
    if not numbers:
        return Suggestion(np.array([1]), np.array([0.0]), 1)
    silhouette = np.array(scores)
    last = int(silhouette.argmax())
    least = silhouette[last] - (1 - _NEAR_TIE) * abs(silhouette[last])
    while last + 1 < len(silhouette) and silhouette[last + 1] >= least:
        last += 1
    return Suggestion(np.array(numbers), silhouette, numbers[last])


def assign_particles(
    coordinates: Float[np.ndarray, "n c"],
    start: Int[np.ndarray, " n"],
    *,
    max_fitted: int = 200_000,
    seed: int = 0,
) -> Assignment:
    """States of particles by a mixture with one Gaussian a state and one covariance common to all.

    The covariance is mostly the uncertainty of single particles, which is alike in all states, so the
    mixture parts particles by what tells the states apart and not by where they spread. Learned by
    expectation maximisation from the states given, above `max_fitted` particles on a random part.

    Parameters
    ----------
    coordinates : array (n, c)
        In latent or volume space; any linear change of them leaves the result as it is.
    start : array (n,)
        State of each particle to begin with, from 0; states keep their numbers.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    n_states = int(start.max()) + 1
    x = _whitened(np.asarray(coordinates, np.float64), start, n_states)
    if n_states == 1:
        return Assignment(np.zeros(len(x), dtype=np.int64), np.ones(len(x)))
    counts = np.bincount(start, minlength=n_states)
    means = np.stack([np.bincount(start, weights=c, minlength=n_states) for c in x.T], axis=1)
    mixture = GaussianMixture(
        n_states,
        covariance_type="tied",
        means_init=means / np.maximum(counts, 1)[:, None],
        weights_init=np.maximum(counts, 1) / np.maximum(counts, 1).sum(),
        precisions_init=np.eye(x.shape[1]),
        max_iter=200,
        random_state=seed,
    )
    fitted = x
    if len(x) > max_fitted:
        fitted = x[np.random.default_rng(seed).choice(len(x), size=max_fitted, replace=False)]
    with warnings.catch_warnings():  # the last steps hardly move any particle
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(fitted)
    labels, probability = [], []
    for block in np.array_split(x, -(-len(x) // 100_000)):
        p = mixture.predict_proba(block)
        labels.append(p.argmax(axis=1))
        probability.append(p.max(axis=1))
    return Assignment(np.concatenate(labels).astype(np.int64), np.concatenate(probability))


def _whitened(x: np.ndarray, labels: np.ndarray, n_states: int) -> np.ndarray:
    """Coordinates in which the covariance within states is 1, so that scales do not matter."""
    counts = np.maximum(np.bincount(labels, minlength=n_states), 1)
    means = np.stack([np.bincount(labels, weights=c, minlength=n_states) for c in x.T], axis=1)
    within = x - (means / counts[:, None])[labels]
    variance, turn = np.linalg.eigh(within.T @ within / len(x))
    floor = max(1e-9 * float(variance.max(initial=0.0)), np.finfo(float).tiny)
    return np.asarray((x - x.mean(axis=0)) @ (turn / np.sqrt(np.maximum(variance, floor))))
