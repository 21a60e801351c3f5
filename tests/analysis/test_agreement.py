"""Counts of what selections share against sets of Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoscape.analysis.agreement import compare_selections
from cryoscape.errors import InputError

ROWS = st.sets(st.integers(0, 25), max_size=20)


@given(st.lists(ROWS, min_size=2, max_size=4))
def test_regions_and_jaccard_are_those_of_sets(sets: list[set[int]]) -> None:
    names = [str(i) for i in range(len(sets))]
    found = compare_selections(names, [np.array(sorted(s), dtype=np.int64) for s in sets])
    assert found.sizes.tolist() == [len(s) for s in sets]
    for places, count in found.regions.items():
        inside = set.intersection(*(sets[i] for i in places))
        outside = set().union(*(s for i, s in enumerate(sets) if i not in places))
        assert count == len(inside - outside)
    assert len(found.regions) == 2 ** len(sets) - 1
    assert found.in_any == len(set().union(*sets))
    for i, a in enumerate(sets):
        for j, b in enumerate(sets):
            assert found.common[i, j] == len(a & b)
            assert found.jaccard[i, j] == pytest.approx(len(a & b) / len(a | b) if a | b else 1.0)


def test_one_selection_agrees_with_nothing() -> None:
    with pytest.raises(InputError, match="2 to 8 selections"):
        compare_selections(["a"], [np.arange(3)])
