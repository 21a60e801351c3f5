"""What is wrong with a command line, in one line, with the nearest that would be right."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from cryoscape.cli.commands import BY_NAME, FAMILIES, PLANNED

_TYPE_WORDS: dict[type, str] = {int: "a whole number", float: "a number", str: "text", Path: "a path"}
_CUTOFF = 0.4


class UsageError(Exception):
    """The command line cannot be understood; the message is one line."""


def unknown_command(name: str) -> UsageError:
    """For a command that is not in the table."""
    if name in PLANNED:
        return UsageError(f"{name} is planned and not there yet; cryoscape --help lists what is")
    if name in FAMILIES:
        members = ", ".join(command for command in BY_NAME if command.startswith(f"{name} "))
        return UsageError(f"{name} is a family of commands: give one of {members}")
    return UsageError(f"no command {name!r}{_hint(name, BY_NAME, 'cryoscape --help lists all')}")


def describe(error: CycloptsError, command: str) -> UsageError:
    """One line for what the parser found wrong with the arguments of a command."""
    see = f"see cryoscape {command} --help"
    match error:
        case UnknownOptionError():
            option = (error.token.keyword or error.token.value).partition("=")[0]
            known = {name for argument in error.argument_collection for name in argument.names}
            return UsageError(f"unknown option {option}{_hint(option, known, see)}")
        case MissingArgumentError():
            return UsageError(_missing(error, see))
        case CoercionError():
            return UsageError(_wrong_value(error, see))
        case RepeatArgumentError():
            return UsageError(f"{error.token.keyword} is given more than once; give it once")
        case UnusedCliTokensError():
            extra = " ".join(error.unused_tokens or [])
            return UsageError(f"unexpected {extra!r}; {see}")
    return UsageError(f"{' '.join(str(error).split()).rstrip('.')}; {see}")


def _hint(given: str, known: Iterable[str], otherwise: str) -> str:
    """``; did you mean X?`` with the nearest of those known, or where to look."""
    plain = {name.lower(): name for name in sorted(known)}
    near = difflib.get_close_matches(given.lower(), plain, n=1, cutoff=_CUTOFF)
    return f"; did you mean {plain[near[0]]}?" if near else f"; {otherwise}"


def _missing(error: MissingArgumentError, see: str) -> str:
    argument = error.argument
    if argument is None:
        return f"an argument is missing; {see}"
    name = _shown_name(argument)
    if error.keyword is not None or argument.tokens:
        wanted, _ = argument.token_count()
        value = "a value" if wanted <= 1 else f"{wanted} values"
        return f"{error.keyword or argument.tokens[-1].keyword or name} needs {value}; {see}"
    return f"{name} is missing; {see}"


def _wrong_value(error: CoercionError, see: str) -> str:
    name = None if error.token is None else error.token.keyword
    if name is None and error.argument is not None:
        name = _shown_name(error.argument)
    if error.msg is not None or error.token is None or error.target_type is None:
        return f"{' '.join(str(error).split()).rstrip('.')}; {see}"
    return f"{name}: expected {_words(error.target_type)}, found {error.token.value!r}; {see}"


def _words(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if origin is tuple or origin is list:
        return _words(get_args(kind)[0])
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return " or ".join(_words(part) for part in get_args(kind) if part is not type(None))
    return _TYPE_WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def _shown_name(argument: Any) -> str:
    """An option as typed (the long form first), a positional argument in capitals."""
    long = [name for name in argument.names if name.startswith("--")]
    if long or argument.names:
        return str((long or list(argument.names))[0])
    return str(argument.field_info.name).upper()
