"""Find image files that a star or .cs file names, wherever the project has been moved to."""

from collections.abc import Sequence
from pathlib import Path

from cryoscape.errors import InputError

_PARENTS_SEARCHED = 3
"""A job's star file lies up to three folders below the project that its paths are relative to."""


def locate_files(names: Sequence[str], source: Path, datadir: Path | None) -> tuple[Path, ...]:
    """Existing file for each name.

    Looked for, in this order: in ``datadir`` (whole name, then last part); the name itself if absolute; in
    the folder of ``source`` and the three above it; the last part beside ``source``; the current folder.

    Raises
    ------
    InputError
        If any is missing: how many, the first names, and the places tried for the first.
    """
    found: list[Path] = []
    missing: list[str] = []
    for name in names:
        path = next((place for place in candidates(name, source, datadir) if place.is_file()), None)
        if path is None:
            missing.append(name)
        else:
            found.append(path)
    if missing:
        first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        tried = ", ".join(str(place) for place in candidates(missing[0], source, datadir)[:3])
        raise InputError(
            f"{source}: {len(missing)} of {len(names)} image files are missing (first: {first}; "
            f"tried {tried}): give their folder with --datadir"
        )
    return tuple(found)


def candidates(name: str, source: Path, datadir: Path | None) -> list[Path]:
    """Places where an image file may be, best first, without repetition."""
    named = Path(name)
    folder = source.resolve().parent
    places: list[Path] = []
    if datadir is not None:
        places += [datadir / _relative(named), datadir / named.name]
    if named.is_absolute():
        places.append(named)
    places.append(folder / _relative(named))
    places += [parent / _relative(named) for parent in list(folder.parents)[:_PARENTS_SEARCHED]]
    places += [folder / named.name, named]
    return list(dict.fromkeys(places))


def _relative(path: Path) -> Path:
    return path.relative_to(path.anchor) if path.is_absolute() else path
