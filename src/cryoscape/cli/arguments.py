"""Command lines as people type and paste them, made uniform before they are parsed."""

import re
from collections.abc import Collection, Sequence

_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
"""Hyphen-minus, and what PDF readers and word processors put in its place."""
_LEADING = re.compile(rf"[{_DASHES}]+")
_NUMBER = re.compile(r"(\d|\.\d|inf$|nan$)", re.IGNORECASE)
_LONG_NAME = re.compile(r"[A-Za-z][A-Za-z_-]+")
_TO_HYPHEN = str.maketrans(_DASHES + "_", "-" * (len(_DASHES) + 1))
_TO_UNDERSCORE = str.maketrans(_DASHES, "_" * len(_DASHES))

_IGNORED = frozenset({"--relion31"})
"""Options that old command lines carry for what is recognised here by itself."""


def tidy(tokens: Sequence[str]) -> list[str]:
    """Arguments with ASCII dashes, long options with two of them and no underscores.

    ``–poses``, ``-poses`` and ``--poses`` are one, as are ``--enc_dim`` and ``--enc-dim``; numbers keep
    their minus. Options that are not needed any more are left out. What follows ``--`` stays as it is.
    """
    found: list[str] = []
    for place, token in enumerate(tokens):
        if token == "--":
            return [*found, *tokens[place:]]
        option = _tidy_token(token)
        if option not in _IGNORED:
            found.append(option)
    return found


def _tidy_token(token: str) -> str:
    leading = _LEADING.match(token)
    if leading is None:
        return token
    dashes, rest = leading.group(), token[leading.end() :]
    if _NUMBER.match(rest):
        return "-" + rest
    name, equals, value = rest.partition("=")
    if dashes.isascii() and len(dashes) == 1 and not _LONG_NAME.fullmatch(name):
        return token  # -o, -o=FILE, -n50
    name = name.translate(_TO_HYPHEN)
    return f"{'-' if len(name) < 2 else '--'}{name}{equals}{value}"


def split_command(tokens: Sequence[str], families: Collection[str] = ()) -> tuple[str | None, list[str]]:
    """Name of the command, underscores for dashes, and its arguments; None where an option comes first.

    Commands of a family have names of two words, ``occupancy maps``; one word alone is the family.
    """
    if not tokens or tokens[0].startswith("-"):
        return None, list(tokens)
    words = [token.translate(_TO_UNDERSCORE) for token in tokens[:2]]
    if words[0] in families and len(words) == 2 and not tokens[1].startswith("-"):
        return " ".join(words), list(tokens[2:])
    return words[0], list(tokens[1:])
