"""Scripts that open maps in ChimeraX; the program itself is never needed."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryoscape.io.atomic import write_text
from cryoscape.typing import PathLikeStr

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
"""Told apart with colour blindness too (Paul Tol's bright scheme)."""


def write_open_script(
    path: PathLikeStr, maps: Sequence[PathLikeStr], level: float, *, all_shown: bool = False
) -> None:
    """Write a .cxc script that opens maps, each in its colour, as surfaces at one contour level.

    Maps are named relative to the folder of the script, so the folder can be moved; the first one is shown,
    or all of them.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    path = Path(path)
    lines = [
        f"# open in ChimeraX: all maps at one level, {'all' if all_shown else 'the first one'} shown",
        "close session",
    ]
    for number, name in enumerate(maps, 1):
        relative = Path(os.path.relpath(name, path.parent)).as_posix()
        lines.append(f'open "{relative}" id {number}')
        lines.append(
            f"volume #{number} style surface level {level:.6g} step 1 "
            f"color {_COLOURS[(number - 1) % len(_COLOURS)]}"
        )
    if len(maps) > 1 and not all_shown:
        lines.append(f"hide #2-{len(maps)} models")
    lines += ["lighting soft", "set bgColor white", "view"]
    write_text(path, "\n".join(lines) + "\n")


def write_class_script(path: PathLikeStr, maps: Sequence[PathLikeStr]) -> None:
    """Write a Python script for ChimeraX that opens the maps of one class.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    _write_commands(path, [_open(name) for name in maps])


def write_block_script(
    path: PathLikeStr,
    models: Sequence[PathLikeStr],
    blocks: Mapping[str, Sequence[str]],
    placing: Sequence[Sequence[float]] | None = None,
) -> None:
    """Write a Python script for ChimeraX that opens models and colours parts of them.

    Parameters
    ----------
    path
        Script, .py.
    models
        In the order in which they are opened: the first is #1.
    blocks
        What to colour, as ChimeraX names it (``#1/A``, ``#3/R:10-60``), by colour (``#rrggbb``).
    placing
        (3, 4) rotation and translation in angstrom that moves the models into the maps.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    commands = [_open(name) for name in models]
    if placing is not None:
        numbers = ",".join(f"{value:.8g}" for row in placing for value in row)
        commands += [f"view matrix models #{n},{numbers}" for n in range(1, len(models) + 1)]
    commands += ["hide atoms", "show cartoons", "color #bbbbbb"]
    commands += [f"color {' '.join(parts)} {colour}" for colour, parts in blocks.items() if parts]
    _write_commands(path, [*commands, "lighting soft", "set bgColor white", "view"])


def _open(name: PathLikeStr) -> str:
    """Absolute, as ChimeraX does not tell a Python script where it lies."""
    return f'open "{Path(os.path.abspath(name)).as_posix()}"'


def _write_commands(path: PathLikeStr, commands: Sequence[str]) -> None:
    lines = ["# open in ChimeraX", "from chimerax.core.commands import run", ""]
    lines += [f"run(session, {command!r})" for command in commands]
    write_text(path, "\n".join(lines) + "\n")
