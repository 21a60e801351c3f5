"""Conditions against numpy, and what must never be taken for one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoscape.analysis.selection_expression import evaluate_condition, read_condition
from cryoscape.errors import InputError

A = np.array([-1.0, 0.0, 1.0, np.nan, 2.5])
B = np.array([3, 1, 4, 1, 5])
FLAG = np.array([True, False, True, True, False])
TEXT = np.array(["x", "y", None, "x", "z"], dtype=object)
TABLE = {"a": A, "b": B, "map 3": B * 2.0, "flag": FLAG, "text": TEXT, "UMAP1": A + 1}
KNOWN = ~np.isnan(A)


def where(text: str) -> list[int]:
    return np.flatnonzero(evaluate_condition(read_condition(text, TABLE), TABLE)).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 0", A > 0),
        ("a>0 and b<5", (A > 0) & (B < 5)),
        ("(a > 0) & (b < 5) | (b == 3)", (A > 0) & (B < 5) | KNOWN & (B == 3)),
        ("a < 0 or b == 1 and a >= 0", (A < 0) | (B == 1) & (A >= 0)),
        ("0 <= a < 2", (A >= 0) & (A < 2)),
        ("b in [1, 4]", np.isin(B, [1, 4])),
        ("b not in (1, 4)", ~np.isin(B, [1, 4])),
        ("b != 1", B != 1),
        ("`map 3` >= 8", B >= 4),
        ("abs(a) >= 1", np.abs(A) >= 1),
        ("a**2 + b/2 - 1 > 2.5", A**2 + B / 2 - 1 > 2.5),
        ("b ** -1 < 0.3", 1 / B < 0.3),
        ("sqrt(b) > 2 or log(b) <= 0", (B > 4) | (B == 1)),
        ("flag", FLAG),
        ("not flag", ~FLAG),
        ("flag and not (b > 3)", FLAG & (B <= 3)),
        ("text == 'x'", np.array([True, False, False, True, False])),
        ("text in ['y', 'z']", np.array([False, True, False, False, True])),
        ("umap1 > 0.5", A + 1 > 0.5),
        ("-a > 0", -A > 0),
    ],
)
def test_conditions_are_those_of_numpy(text: str, expected: np.ndarray) -> None:
    assert where(text) == np.flatnonzero(expected).tolist()


def test_a_particle_without_a_value_is_selected_by_neither_side() -> None:
    assert 3 not in where("a > 0")
    assert 3 not in where("not a > 0")
    assert 3 not in where("a > 0 or b == 1")
    assert 2 not in where("text != 'x'")


@given(st.floats(-3, 3), st.floats(-3, 3), st.sampled_from(["and", "or"]))
def test_ranges_of_any_numbers(low: float, high: float, word: str) -> None:
    join = np.logical_and if word == "and" else np.logical_or
    assert where(f"a > {low!r} {word} a < {high!r}") == np.flatnonzero(join(low < A, high > A)).tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a >", "not a condition"),
        ("", "not a condition"),
        ("a; b", "not a condition"),
        ("a = 3", "not a condition"),
        ("a > 0 & b < 5", "put brackets about each comparison"),
        ("a", "gives a value, not true or false"),
        ("1 < 2", "names no column"),
        ("bb > 1", "there is no column 'bb'; did you mean b?"),
        ("zzzz > 1", "--list-columns names all"),
        ("text > 3", "compares a text with a number"),
        ("text < 'y'", "cannot be worked out"),
        ("a and b > 1", "neither true nor false"),
        ("b in a", "is no list"),
        ("abs(text) > 1", "is no number"),
        ("flag + 1 > 1", "is no number"),
        ("(" * 150 + "a" + ")" * 150 + " > " + "-" * 5000 + "1", "cannot be worked out|not a condition"),
        ("a > " + "1" * 20_000, "at most 10000"),
    ],
)
def test_what_is_no_condition_is_told(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        where(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') == a",
        "a.__class__ == b",
        "(lambda: a)() > 1",
        "[x for x in a] == b",
        "a[0] > 1",
        "open('x') == a",
        "exec('a') > a",
        "abs(a, b) > 1",
        "abs(x=a) > 1",
        "f'{a}' == text",
        "(c := a) > 1",
        "a if flag else b > 1",
        "a is not None and a > 1",
        "a > (1).real",
    ],
)
def test_nothing_but_comparisons_is_taken_from_a_text(text: str) -> None:
    with pytest.raises(InputError):
        where(text)


def test_large_powers_cost_nothing() -> None:
    assert where("a < 9**9**9**9") == [0, 1, 2, 4]
