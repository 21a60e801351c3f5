"""Conditions on columns, such as ``junk_score < 0.5 and (contrast > 0.7 or state in [0, 2])``.

The text is read by Python's own parser, and only comparisons, arithmetic and logic on columns, numbers and
texts are taken from it: nothing is executed.
"""

import ast
import difflib
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from cryoscape.errors import InputError

_LONGEST = 10_000
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_LOGIC: dict[type[ast.operator] | type[ast.boolop], Callable[[Any, Any], Any]] = {
    ast.BitAnd: np.logical_and,
    ast.And: np.logical_and,
    ast.BitOr: np.logical_or,
    ast.Or: np.logical_or,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"abs": np.abs, "log": np.log, "sqrt": np.sqrt}
_QUOTED = re.compile(r"`([^`]+)`")
_ALLOWED = "allowed are columns, numbers, < <= > >= == !=, in [...], and, or, not, + - * / %, abs, log, sqrt"


@dataclass(frozen=True)
class Condition:
    """A condition read and found well-formed; columns are looked up when it is evaluated.

    Attributes
    ----------
    text : as given.
    tree : its syntax.
    columns : name in the table of each name in the syntax.
    """

    text: str
    tree: ast.expr
    columns: Mapping[str, str]


def read_condition(text: str, known: Collection[str]) -> Condition:
    """Read a condition and find its columns among those known, in upper or lower case.

    Names that are no identifiers are written in backticks, as in `` `map 3` > 0 ``.

    Raises
    ------
    InputError
        For what is not a condition, or for a name that is not a column; the nearest are named.
    """
    quoted: dict[str, str] = {}

    def stand_in(match: re.Match[str]) -> str:
        return quoted.setdefault(match[1], f"_quoted_{len(quoted)}")

    where = f"--where {text!r}"
    if len(text) > _LONGEST:
        raise InputError(f"--where: the condition has {len(text)} characters, at most {_LONGEST} are read.")
    try:
        tree = ast.parse(_QUOTED.sub(stand_in, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "too deep or not text"
        raise InputError(
            f'{where}: not a condition ({reason}); write for example "z0 < 2 and z1 > 0".'
        ) from None
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    back = {name: original for original, name in quoted.items()}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}
    columns = {name: _find_column(back.get(name, name), known, where) for name in sorted(names)}
    if not columns:
        raise InputError(f'{where}: names no column; write for example "z0 < 2".')
    return Condition(text, tree, columns)


def evaluate_condition(condition: Condition, table: Mapping[str, np.ndarray]) -> Bool[np.ndarray, " n"]:
    """Where a condition holds; never where a column that it names has no value (NaN).

    Raises
    ------
    InputError
        For an operation that is not allowed, or that does not make true or false of each particle.
    """
    values = {name: np.asarray(table[column]) for name, column in condition.columns.items()}
    where = f"--where {condition.text!r}"
    try:
        with np.errstate(all="ignore"):
            found = _evaluate(condition.tree, values, where)
    except (TypeError, RecursionError) as error:  # texts and gaps in one column; brackets without end
        raise InputError(f"{where}: cannot be worked out ({error}).") from None
    if not isinstance(found, np.ndarray) or found.dtype != bool:
        raise InputError(f'{where}: gives a value, not true or false; compare it, as in "z0 < 2".')
    known = np.ones(len(found), dtype=bool)
    for column in values.values():
        known &= has_value(column)
    return found & known


def has_value(column: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Whether each entry of a column is there: neither NaN nor None."""
    if column.dtype.kind == "f":
        return ~np.isnan(column)
    if column.dtype == object:
        return np.array([entry is not None and entry == entry for entry in column], dtype=bool)
    return np.ones(len(column), dtype=bool)


def _find_column(name: str, known: Collection[str], where: str) -> str:
    if name in known:
        return name
    folded = {column.casefold(): column for column in known}
    if name.casefold() in folded:
        return folded[name.casefold()]
    near = difflib.get_close_matches(name.casefold(), list(folded), n=3)
    hint = f"did you mean {' or '.join(folded[n] for n in near)}?" if near else "--list-columns names all."
    raise InputError(f"{where}: there is no column {name!r}; {hint}")


def _evaluate(node: ast.expr, values: Mapping[str, np.ndarray], where: str) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.Compare():
            return _compare(node, values, where)
        case ast.BoolOp(op=op, values=parts):
            return _all_of(_LOGIC[type(op)], [_truth(part, values, where) for part in parts])
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as op, right=right):
            return _LOGIC[type(op)](_truth(left, values, where), _truth(right, values, where))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _ARITHMETIC[type(op)](_number(left, values, where), _number(right, values, where))
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            return np.logical_not(_truth(operand, values, where))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, values, where)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _number(operand, values, where)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_number(argument, values, where))
    raise InputError(f"{where}: {ast.unparse(node)!r} is not allowed; {_ALLOWED}.")


def _compare(node: ast.Compare, values: Mapping[str, np.ndarray], where: str) -> Any:
    """A chain of comparisons: 0 < z0 < 2 holds where each of them does."""
    found = []
    left = node.left
    for op, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, ast.In | ast.NotIn):
            inside = np.isin(_evaluate(left, values, where), _listed(right, where))
            found.append(~inside if isinstance(op, ast.NotIn) else inside)
        elif type(op) in _COMPARE:
            a, b = _evaluate(left, values, where), _evaluate(right, values, where)
            if _is_text(a) != _is_text(b):
                raise InputError(f"{where}: {ast.unparse(node)!r} compares a text with a number.")
            found.append(_COMPARE[type(op)](a, b))
        else:
            raise InputError(f"{where}: {ast.unparse(node)!r} is not allowed; {_ALLOWED}.")
        left = right
    return _all_of(np.logical_and, found)


def _listed(node: ast.expr, where: str) -> np.ndarray:
    """Values of a list of numbers or of texts."""
    try:
        listed = ast.literal_eval(node)
        array = np.asarray(sorted(listed) if isinstance(listed, set) else listed)
    except (ValueError, TypeError, SyntaxError):
        array = np.zeros((1, 1))
    if array.ndim != 1 or array.dtype.kind not in "biufU":
        raise InputError(f'{where}: {ast.unparse(node)!r} is no list; write for example "state in [0, 2]".')
    return array


def _truth(node: ast.expr, values: Mapping[str, np.ndarray], where: str) -> Any:
    found = _evaluate(node, values, where)
    if np.asarray(found).dtype != bool:
        raise InputError(
            f"{where}: {ast.unparse(node)!r} is neither true nor false; put brackets about each comparison "
            "beside & and |, or write and, or."
        )
    return found


def _number(node: ast.expr, values: Mapping[str, np.ndarray], where: str) -> Any:
    found = _evaluate(node, values, where)
    kind = np.asarray(found).dtype.kind
    if kind not in "iuf":
        raise InputError(f"{where}: {ast.unparse(node)!r} is no number.")
    # whole numbers would be refused by a negative power, and numbers of Python by a large one
    return np.asarray(found, dtype=np.float64)


def _is_text(value: Any) -> bool:
    return np.asarray(value).dtype.kind in "UOT"


def _all_of(logic: Callable[[Any, Any], Any], parts: list[Any]) -> Any:
    found = parts[0]
    for part in parts[1:]:
        found = logic(found, part)
    return found
