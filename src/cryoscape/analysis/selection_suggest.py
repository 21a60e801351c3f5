"""Which clusters are junk, judged by a score of every particle."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

_MOST_FITTED = 50_000
_LEAST_SEPARATION = 2.5
_LEAST_SHARE = 0.005
_SHALLOWEST_VALLEY = 0.8


@dataclass(frozen=True)
class ScoreSplit:
    """A score that has a group of particles of its own at its upper end.

    Attributes
    ----------
    threshold : score above which a particle is more likely of the upper group.
    separation : distance of the two groups, Ashman's D = sqrt(2) |m1 - m2| / sqrt(s1^2 + s2^2).
    share : share of the particles in the upper group.
    """

    threshold: float
    separation: float
    share: float


@dataclass(frozen=True)
class ClusterScores:
    """Clusters by the scores of their particles; arrays (k,), in the order of `numbers`.

    Attributes
    ----------
    numbers, counts : the clusters and how many particles each has.
    median : median score.
    above : share of particles above the threshold; zeros where the score is of one group.
    suggested : median above the threshold.
    """

    numbers: Int[np.ndarray, " k"]
    counts: Int[np.ndarray, " k"]
    median: Float[np.ndarray, " k"]
    above: Float[np.ndarray, " k"]
    suggested: Bool[np.ndarray, " k"]


def split_score(score: Float[np.ndarray, " n"], seed: int = 0) -> ScoreSplit | None:
    """Where a score parts into two groups; None where it does not.

    Two Gaussians are fitted to the score. They count as two groups where they explain it better than one
    (Bayes' information criterion), the upper holds at least one particle in 200, Ashman's D (Ashman, Bird
    and Zepf 1994) is above 2.5, and scores where the two are equally likely are rarer than at both means.
    A score without junk is not normal either, and is then fitted by two Gaussians of D up to 2.1, so the
    usual bound of 2 would find junk where there is none.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    values = np.asarray(score[np.isfinite(score)], dtype=np.float64)
    if len(values) > _MOST_FITTED:
        values = np.random.default_rng(seed).choice(values, _MOST_FITTED, replace=False)
    if len(values) < 10 or np.ptp(values) == 0:
        return None
    column = values[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        one = GaussianMixture(1, random_state=seed).fit(column)
        two = GaussianMixture(2, n_init=3, random_state=seed).fit(column)
    low, high = np.argsort(two.means_[:, 0])
    means, variances = two.means_[:, 0], two.covariances_[:, 0, 0]
    separation = float(np.sqrt(2) * (means[high] - means[low]) / np.sqrt(variances.sum()))
    share = float(two.weights_[high])
    if two.bic(column) >= one.bic(column) or separation < _LEAST_SEPARATION or share < _LEAST_SHARE:
        return None
    between = np.linspace(means[low], means[high], 1000)
    upper = two.predict_proba(between[:, None])[:, high] > 0.5
    threshold = float(between[upper.argmax()])
    near = 0.25 * float(np.sqrt(variances.min()))
    at = [int((np.abs(values - x) < near).sum()) for x in (threshold, means[low], means[high])]
    if at[0] > _SHALLOWEST_VALLEY * min(at[1:]):
        return None
    return ScoreSplit(threshold, separation, share)


def score_clusters(
    labels: Int[np.ndarray, " n"], score: Float[np.ndarray, " n"], split: ScoreSplit | None
) -> ClusterScores:
    """Scores of each cluster; those whose median is above the split are suggested as junk."""
    numbers, compact, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(compact, kind="stable")
    parts = np.split(score[order], np.cumsum(counts)[:-1])
    median = np.array([_median(part) for part in parts])
    threshold = np.inf if split is None else split.threshold
    above = np.array([(part > threshold).mean() for part in parts])
    return ClusterScores(
        numbers.astype(np.int64), counts.astype(np.int64), median, above, np.asarray(median > threshold)
    )


def _median(values: Float[np.ndarray, " m"]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
