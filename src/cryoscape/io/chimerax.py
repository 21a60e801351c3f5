"""Scripts that open maps in ChimeraX; the program itself is never needed."""

import os
from collections.abc import Sequence
from pathlib import Path

from cryoscape.io.atomic import write_text
from cryoscape.typing import PathLikeStr

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
"""Told apart with colour blindness too (Paul Tol's bright scheme)."""


def write_open_script(path: PathLikeStr, maps: Sequence[PathLikeStr], level: float) -> None:
    """Write a .cxc script that opens maps, each in its colour, as surfaces at one contour level.

    Maps are named relative to the folder of the script, so the folder can be moved; the first one is shown.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    path = Path(path)
    lines = ["# open in ChimeraX: all maps at one level, the first one shown", "close session"]
    for number, name in enumerate(maps, 1):
        relative = Path(os.path.relpath(name, path.parent)).as_posix()
        lines.append(f'open "{relative}" id {number}')
        lines.append(
            f"volume #{number} style surface level {level:.6g} step 1 "
            f"color {_COLOURS[(number - 1) % len(_COLOURS)]}"
        )
    if len(maps) > 1:
        lines.append(f"hide #2-{len(maps)} models")
    lines += ["lighting soft", "set bgColor white", "view"]
    write_text(path, "\n".join(lines) + "\n")
