"""Selections against sets of Python, and their files as other programs write and read them."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.particles.selection import Selection, provenance_path, read_selection, write_selection
from particle_files import write_pickle

ROWS = st.sets(st.integers(0, 30), max_size=20)


def selection(rows: set[int], n_original: int | None = 31) -> Selection:
    return Selection(np.array(list(rows), dtype=np.int64), n_original, {"by": "hand"})


@given(ROWS, ROWS, ROWS)
def test_algebra_is_that_of_sets(a: set[int], b: set[int], c: set[int]) -> None:
    found = (selection(a) & selection(b)) | (selection(c) - selection(a))
    assert found.rows.tolist() == sorted((a & b) | (c - a))
    assert found.n_original == 31
    assert found.holds(np.arange(31)).tolist() == [i in (a & b) | (c - a) for i in range(31)]


def test_a_combination_tells_what_it_is_of() -> None:
    found = selection({1, 2}) - selection({2, 3}, None)
    assert found.n_original == 31
    assert found.provenance == {"operation": "minus", "of": [{"by": "hand"}, {"by": "hand"}]}


def test_selections_of_different_inputs_do_not_mix() -> None:
    with pytest.raises(InputError, match=r"inputs of 31 and of 40 rows cannot be combined"):
        selection({1}) | selection({2}, 40)


@pytest.mark.parametrize(
    ("rows", "words"),
    [([3, 3], "names 1 rows more than once"), ([-1, 2], "negative row"), ([31], "belongs to another input")],
)
def test_rows_that_are_none_of_the_input(rows: list[int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Selection(np.array(rows), 31)


@given(rows=ROWS)
def test_written_selections_are_read_back(tmp_path_factory: pytest.TempPathFactory, rows: set[int]) -> None:
    path = tmp_path_factory.mktemp("selection") / "ind_keep.pkl"
    write_selection(path, selection(rows))
    as_upstream_reads = pickle.loads(path.read_bytes())
    assert as_upstream_reads.dtype == np.int64
    assert as_upstream_reads.tolist() == sorted(rows)
    found = read_selection(path)
    assert found.rows.tolist() == sorted(rows)
    assert (found.n_original, found.provenance) == (31, {"file": "ind_keep.pkl", "by": "hand"})


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_a_mask_is_the_rows_that_are_true(tmp_path_factory: pytest.TempPathFactory, mask: list[bool]) -> None:
    path = write_pickle(tmp_path_factory.mktemp("mask") / "mask.pkl", np.array(mask))
    found = read_selection(path)
    assert found.rows.tolist() == [i for i, chosen in enumerate(mask) if chosen]
    assert found.n_original == len(mask)


def test_rows_in_any_order_are_put_in_order(tmp_path: Path) -> None:
    assert read_selection(write_pickle(tmp_path / "ind.pkl", [7, 2, 5])).rows.tolist() == [2, 5, 7]


def test_the_record_of_other_rows_is_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "ind.pkl"
    write_selection(path, selection({1, 2}))
    write_pickle(path, np.array([1, 3]))  # by another program
    found = read_selection(path)
    assert found.rows.tolist() == [1, 3]
    assert (found.n_original, found.provenance) == (None, {"file": "ind.pkl"})
    provenance_path(path).write_text("{not json")
    assert read_selection(path).rows.tolist() == [1, 3]


def test_the_record_is_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "ind_keep.2_particles.pkl"
    write_selection(path, selection({4, 1}))
    record = json.loads((tmp_path / "ind_keep.2_particles.json").read_text())
    assert (record["n_selected"], record["n_original"], record["provenance"]) == (2, 31, {"by": "hand"})
