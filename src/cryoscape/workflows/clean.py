"""Remove files of intermediate epochs, and maps of their analyses, from training runs."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoscape.errors import InputError

logger = logging.getLogger("cryoscape")

_EPOCH_FILE = re.compile(r"(weights|z|pose|reconstruct)\.(\d+)\.(pkl|mrc)")
_ANALYSIS = re.compile(r"(analyze|landscape|convergence)\.(\d+)")
_CONFIGURATIONS = ("config.yaml", "config.pkl")


@dataclass(frozen=True)
class CleanedRun:
    """What goes and what stays of one run.

    Attributes
    ----------
    kept_epochs : those whose files stay.
    removed : files that were removed, or would be, with their size in bytes.
    """

    folder: Path
    kept_epochs: tuple[int, ...]
    removed: tuple[tuple[Path, int], ...]

    @property
    def n_bytes(self) -> int:
        """Size of all that goes."""
        return sum(size for _, size in self.removed)


@dataclass(frozen=True)
class CleanResult:
    """Runs looked at; whether their files were removed or only listed."""

    runs: tuple[CleanedRun, ...]
    done: bool


def clean(
    folders: Sequence[Path], every_n_epochs: int = 5, maps: bool = False, remove: bool = False
) -> CleanResult:
    """Find, and with ``remove`` delete, the files of intermediate epochs of the runs in folders.

    The last epoch of a run stays, as do all that ``every_n_epochs`` divides and those with an analysis
    (analyze.E, landscape.E, convergence.E). Nothing but files named as runs name theirs is touched.

    Parameters
    ----------
    folders
        Runs, folders that hold runs at any depth, or patterns of them (``*``).
    maps
        Also the maps (vol_*.mrc) in analyses but those of the last epoch and of the last one analysed;
        `eval_vol` makes them again from z_values.txt.

    Raises
    ------
    InputError
        No such folder, no run in any, or a number of epochs below 1.
    """
    if every_n_epochs < 1:
        raise InputError(f"--every-n-epochs {every_n_epochs}: expected at least 1")
    runs = tuple(_plan(folder, every_n_epochs, maps) for folder in _run_folders(folders))
    for run in runs:
        for path, size in run.removed:
            logger.debug("%s (%.1f MB)", path, size / 1e6)
            if remove:
                path.unlink(missing_ok=True)
    return CleanResult(runs, remove)


def describe(result: CleanResult) -> list[str]:
    """What was done, or would be, a line a run and a total."""
    verb = "removed" if result.done else "would be removed"
    lines = []
    for run in result.runs:
        kept = ", ".join(map(str, run.kept_epochs)) or "no numbered ones"
        lines.append(
            f"{run.folder}: {len(run.removed)} files, {_size(run.n_bytes)}, {verb}; epochs kept: {kept}"
        )
    total = sum(run.n_bytes for run in result.runs)
    if len(result.runs) > 1:
        lines.append(f"in all: {sum(len(run.removed) for run in result.runs)} files, {_size(total)}, {verb}")
    if not result.done and total:
        lines.append("nothing was removed; --force removes these files, --verbose lists them")
    return lines


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.2f} MB"


def _run_folders(folders: Sequence[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for given in folders:
        places = _expanded(given)
        if not places:
            raise InputError(f"{given}: no such folder; give the -o folder of a training run")
        for place in places:
            runs = sorted({path.parent for name in _CONFIGURATIONS for path in place.rglob(name)})
            found |= dict.fromkeys(runs)
    if not found:
        named = ", ".join(map(str, folders))
        raise InputError(f"{named}: no training run found (a folder with config.yaml); give its -o folder")
    return list(found)


def _expanded(given: Path) -> list[Path]:
    if given.is_dir():
        return [given]
    if not any(sign in str(given) for sign in "*?["):
        return []
    start = Path(given.anchor) if given.is_absolute() else Path()
    pattern = str(given.relative_to(given.anchor)) if given.is_absolute() else str(given)
    return sorted(path for path in start.glob(pattern) if path.is_dir())


def _plan(folder: Path, every_n_epochs: int, maps: bool) -> CleanedRun:
    by_epoch: dict[int, list[Path]] = {}
    complete: dict[int, set[str]] = {}
    analyses: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = _EPOCH_FILE.fullmatch(path.name)
        if match and path.is_file():
            by_epoch.setdefault(int(match[2]), []).append(path)
            complete.setdefault(int(match[2]), set()).add(match[1])
        analysis = _ANALYSIS.fullmatch(path.name)
        if analysis and path.is_dir():
            analyses.setdefault(int(analysis[2]), []).append(path)
    # an epoch being written may have weights but no latents yet: the one before is then the last whole one
    whole = [epoch for epoch, kinds in complete.items() if {"weights", "z"} <= kinds]
    last = {max(epochs) for epochs in (by_epoch, whole) if epochs}
    kept = {e for e in by_epoch if e % every_n_epochs == 0 or e in analyses} | last
    removed = [path for epoch, paths in sorted(by_epoch.items()) if epoch not in kept for path in paths]
    if maps:
        for epoch, places in sorted(analyses.items()):
            if epoch not in last and epoch != max(analyses):
                removed += [path for place in places for path in sorted(place.rglob("vol_*.mrc"))]
    sizes = tuple((path, path.stat().st_size) for path in removed)
    return CleanedRun(folder, tuple(sorted(kept)), sizes)
