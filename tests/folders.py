"""What is in a folder, to see that nothing was written."""

from pathlib import Path


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything below a folder: name, size and time of last change (of folders, only the name)."""
    return {
        str(path.relative_to(folder)): (0, 0)
        if path.is_dir()
        else (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }
