"""Loops compiled by numba: how, for all of them."""

import inspect
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic


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


def _ask_for(typing_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Have the memory bring ``array[row, column]`` (2-dimensional) near; no place is out of bounds.

    Grids are larger than caches and slices cross them at random: a loop that waits for each voxel in turn
    spends most of its time so.
    """
    position = numba.types.intp

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        by_row, by_column = cgutils.unpack_tuple(builder, array.strides)  # type: ignore[no-untyped-call]
        offset = builder.add(builder.mul(arguments[1], by_row), builder.mul(arguments[2], by_column))
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.gep(builder.bitcast(array.data, byte), [offset])
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        read, keep, data = (number(value) for value in (0, 3, 1))
        builder.call(prefetch, [address, read, keep, data])
        return context.get_dummy_value()

    return numba.types.void(array, position, position), generate


ask_for: Any = intrinsic(_ask_for)
"""Called in compiled loops: ask_for(array, row, column), see `_ask_for`."""
