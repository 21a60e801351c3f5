"""Where a score has a group of its own, against mixtures whose parts are known."""

import numpy as np
import pytest

from cryoscape.analysis.selection_suggest import score_clusters, split_score


@pytest.mark.parametrize(("share", "mean"), [(0.02, 3.5), (0.2, 2.5), (0.6, 2.5)])
def test_the_split_lies_where_two_groups_are_equally_likely(share: float, mean: float) -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    n_high = int(share * n)
    score = np.concatenate([rng.normal(-0.5, 0.7, n - n_high), rng.normal(mean, 0.4, n_high)])
    split = split_score(score)
    assert split is not None
    grid = np.linspace(-0.5, mean, 5000)
    low = (1 - share) / 0.7 * np.exp(-0.5 * ((grid + 0.5) / 0.7) ** 2)
    high = share / 0.4 * np.exp(-0.5 * ((grid - mean) / 0.4) ** 2)
    assert split.threshold == pytest.approx(grid[np.argmax(high > low)], abs=0.1)
    assert split.share == pytest.approx(share, rel=0.1)
    assert split.separation == pytest.approx(np.sqrt(2) * (mean + 0.5) / np.hypot(0.7, 0.4), rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_a_score_of_one_group_is_not_split(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert split_score(rng.normal(size=5000)) is None
    assert split_score(rng.gamma(4.0, size=5000)) is None
    assert split_score(rng.uniform(size=5000)) is None
    assert split_score(rng.choice([-0.8, 0.0, 0.8], 5000) + 0.7 * rng.normal(size=5000)) is None


def test_scores_without_any_spread_or_value_are_not_split() -> None:
    assert split_score(np.ones(100)) is None
    assert split_score(np.full(100, np.nan)) is None
    assert split_score(np.array([1.0, 2.0])) is None


def test_clusters_by_their_median() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [500, 300, 200])
    score = rng.normal(0, 0.5, 1000)
    score[labels == 1] += 5
    score[:100] += 5  # a fifth of cluster 0
    score[999] = np.nan
    split = split_score(score)
    assert split is not None
    found = score_clusters(labels, score, split)
    assert found.numbers.tolist() == [0, 1, 2]
    assert found.counts.tolist() == [500, 300, 200]
    assert found.suggested.tolist() == [False, True, False]
    np.testing.assert_allclose(found.above, [0.2, 1.0, 0.0], atol=0.01)
    np.testing.assert_allclose(found.median[2], np.median(score[800:999]))
    assert not score_clusters(labels, score, None).suggested.any()
