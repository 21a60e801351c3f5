"""What the demonstration found against what was simulated: states, particles, maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score

from cryoscape.analysis.clustering import cluster_kmeans
from cryoscape.typing import Latents

MOST_STATES = 9
_SAMPLE = 3000


@dataclass(frozen=True)
class FoundStates:
    """Clusters of the particles in latent space, found without the truth.

    Attributes
    ----------
    labels : (n,) cluster of each particle.
    centre_rows : (k,) the particle nearest to the centre of each cluster.
    """

    labels: Int[np.ndarray, " n"]
    centre_rows: Int[np.ndarray, " k"]

    @property
    def k(self) -> int:
        """Number of clusters."""
        return len(self.centre_rows)


@dataclass(frozen=True)
class Comparison:
    """Found clusters matched one to one with true states.

    Attributes
    ----------
    score : adjusted mutual information of the two partitions; 1 where they agree, 0 by chance.
    state_of_cluster : (k,) true state of each cluster, -1 where there are more clusters than states.
    confusion : (s, k) particles of each true state in each cluster.
    """

    score: float
    state_of_cluster: Int[np.ndarray, " k"]
    confusion: Int[np.ndarray, "s k"]

    def cluster_of(self, state: int) -> int | None:
        """The cluster that was matched with a true state."""
        found = np.flatnonzero(self.state_of_cluster == state)
        return int(found[0]) if len(found) else None


def find_states(z: Latents, seed: int = 0, most: int = MOST_STATES) -> FoundStates:
    """Group particles by k-means; the number of groups is that with the best mean silhouette.

    The silhouette (Rousseeuw 1987) says how much nearer a point is to its own group than to the next one, so
    it is best where groups are neither split nor merged.
    """
    clusterings = [cluster_kmeans(z, k, seed=seed) for k in range(2, most + 1)]
    scores = [
        silhouette_score(z, c.labels, sample_size=min(_SAMPLE, len(z)), random_state=seed)
        for c in clusterings
    ]
    best = clusterings[int(np.argmax(scores))]
    return FoundStates(best.labels, best.center_rows)


def compare(found: FoundStates, truth: Int[np.ndarray, " n"], n_states: int) -> Comparison:
    """Match clusters with states so that as many particles as possible agree (Kuhn 1955)."""
    confusion = np.zeros((n_states, found.k), dtype=np.int64)
    np.add.at(confusion, (truth, found.labels), 1)
    state_of_cluster = np.full(found.k, -1, dtype=np.int64)
    states, clusters = linear_sum_assignment(-confusion)
    state_of_cluster[clusters] = states
    return Comparison(float(adjusted_mutual_info_score(truth, found.labels)), state_of_cluster, confusion)


def map_correlations(
    recovered: Float[np.ndarray, "k z y x"], truth: Sequence[Float[np.ndarray, "z y x"]]
) -> Float[np.ndarray, "k s"]:
    """Correlation coefficient of every recovered map with every true one."""
    both = np.concatenate([recovered.reshape(len(recovered), -1), np.stack([t.ravel() for t in truth])])
    return np.asarray(np.corrcoef(both)[: len(recovered), len(recovered) :])
