"""Loops compiled by numba: how, for all of them."""

import inspect
from collections.abc import Callable
from typing import Any

import numba


def compiled(*, fastmath: bool | set[str] = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Compile a loop that lets go of the interpreter lock; run-time type checks of tests are peeled off.

    Parameters
    ----------
    fastmath
        Freedoms that the compiler may take, of LLVM; not all where numbers may be infinite or not a number.
    """

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        loop: Callable[..., None] = numba.njit(nogil=True, cache=True, fastmath=fastmath)(
            inspect.unwrap(function)
        )
        return loop

    return decorated


def part_of_loops(*, inline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile what compiled loops call, likewise."""
    return lambda function: numba.njit(
        nogil=True, cache=True, fastmath=True, inline="always" if inline else "never"
    )(inspect.unwrap(function))
