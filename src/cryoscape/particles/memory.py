"""How much memory there is, and what a set of images will need, known before anything is loaded."""

import os
from dataclasses import dataclass
from pathlib import Path

GIB = 1024**3
HEADROOM = 0.8
"""Share of the memory now available that one plan may use; the rest is for transforms and the system."""

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60


def _read_int(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _cgroup_headroom(root: Path = _CGROUP_ROOT, process: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes this process's control groups (v2 or v1) still allow: least of limit - use up the tree."""
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return _NO_LIMIT
    least = _NO_LIMIT
    for line in lines:
        _, controllers, inner = line.split(":", 2)
        if controllers == "":
            base, limit_name, use_name = root, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit_name, use_name = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = base / inner.lstrip("/")
        for level in (folder, *folder.parents):
            limit = _read_int(level / limit_name)
            if limit is not None and limit < _NO_LIMIT:
                # Cached file pages count as use but are given back on demand.
                use = (_read_int(level / use_name) or 0) - _reclaimable(level)
                least = min(least, max(limit - max(use, 0), 0))
            if level == base:
                break
    return least


def _reclaimable(folder: Path) -> int:
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    found = [
        int(value) for name, _, value in (line.partition(" ") for line in lines) if name == "inactive_file"
    ]
    return found[0] if found else 0


def _ram_available() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        # Not Linux: all physical memory is the best that the standard library can tell.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return kib * 1024


def available_memory_bytes() -> int:
    """Bytes that this process may still take: the smaller of free RAM and the cgroup limit (v1 or v2)."""
    return min(_ram_available(), _cgroup_headroom())


@dataclass(frozen=True)
class MemoryPlan:
    """Where a Fourier store will live. All sizes in bytes; ``in_memory`` False means memory-mapped."""

    n_images: int
    box_size: int
    source_bytes: int
    store_bytes: int
    working_bytes: int
    ctf_cache_bytes: int
    available_bytes: int
    in_memory: bool
    cache_ctf: bool

    def describe(self) -> str:
        """One line for the log, said before loading."""
        place = "kept in memory" if self.in_memory else "memory-mapped on disk"
        ctf = "cached" if self.cache_ctf else "computed on the fly"
        need = self.working_bytes + (self.store_bytes if self.in_memory else 0)
        need += self.ctf_cache_bytes if self.cache_ctf else 0
        return (
            f"memory plan: {self.n_images} images of {self.box_size} px, {_size(self.source_bytes)} to read; "
            f"coefficients {_size(self.store_bytes)}, {place}; CTF {ctf}; "
            f"need {_size(need)} of {_size(self.available_bytes)} available"
        )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / GIB:.1f} GiB" if n_bytes >= GIB // 10 else f"{n_bytes / 1024**2:.1f} MiB"


def plan_store(
    n_images: int,
    box_size: int,
    n_pixels: int,
    bytes_per_value: int = 4,
    source_bytes_per_value: int = 4,
    available_bytes: int | None = None,
) -> MemoryPlan:
    """Decide whether coefficients (n_images, n_pixels, 2) fit in memory, and a float16 CTF beside them.

    Parameters
    ----------
    n_images, box_size, n_pixels
        Size of the set, of an image, and of the half plane kept of its transform.
    bytes_per_value, source_bytes_per_value
        4 for float32, 2 for float16: of the store, and of the image files.
    available_bytes
        Default: what `available_memory_bytes` says.
    """
    available = available_memory_bytes() if available_bytes is None else available_bytes
    store = n_images * n_pixels * 2 * bytes_per_value
    ctf = n_images * n_pixels * 2
    working = working_batch(box_size) * box_size * box_size * 4 * 6
    budget = int(available * HEADROOM) - working
    in_memory = store <= budget
    return MemoryPlan(
        n_images=n_images,
        box_size=box_size,
        source_bytes=n_images * box_size**2 * source_bytes_per_value,
        store_bytes=store,
        working_bytes=working,
        ctf_cache_bytes=ctf,
        available_bytes=available,
        in_memory=in_memory,
        cache_ctf=in_memory and store + ctf <= budget // 2,
    )


def working_batch(box_size: int, target_bytes: int = 16 * 1024**2) -> int:
    """Images to treat at once so that one float32 block stays near ``target_bytes`` (cache-friendly)."""
    return max(1, min(4096, target_bytes // (4 * box_size * box_size)))
