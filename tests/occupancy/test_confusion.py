"""Classes against labels, against counts made by hand and invariants."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from cryoscape.occupancy.confusion import confusion


def test_counts_by_hand() -> None:
    labels = np.array(["C10", "C2", "C2", None, "C10", "C2"], dtype=object)
    found = confusion(np.array([0, 3, 3, 3, 0, 0]), labels)
    assert found.labels == ("C2", "C10")
    assert found.classes.tolist() == [3, 0]
    np.testing.assert_array_equal(found.counts, [[2, 0], [1, 2]])
    np.testing.assert_allclose(found.share_of_label, [[2 / 3, 0], [1 / 3, 1]])
    assert found.unlabelled == 1


def test_the_best_match_lies_on_the_diagonal() -> None:
    truth = np.repeat(np.arange(5), 20)
    classes = np.array([3, 0, 4, 1, 2])[truth]
    found = confusion(classes, np.array([f"s{i}" for i in truth], dtype=object))
    np.testing.assert_array_equal(found.counts, 20 * np.eye(5))
    assert found.classes.tolist() == [3, 0, 4, 1, 2]
    assert found.adjusted_rand == 1.0


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["a", "b", "c", None])), min_size=2))
def test_no_particle_is_lost(pairs: list[tuple[int, str | None]]) -> None:
    classes, labels = np.array([k for k, _ in pairs]), np.array([name for _, name in pairs], dtype=object)
    known = np.array([name is not None for name in labels])
    if not known.any():
        return
    found = confusion(classes, labels)
    assert found.counts.sum() + found.unlabelled == len(pairs)
    assert sorted(found.classes.tolist()) == sorted(set(classes.tolist()))
    for k, row in zip(found.classes, found.counts, strict=True):
        for name, count in zip(found.labels, row, strict=True):
            assert count == sum(c == k and n == name for c, n in pairs)
    expected = adjusted_rand_score(labels[known].astype(str), classes[known])
    assert np.isclose(found.adjusted_rand, expected)
