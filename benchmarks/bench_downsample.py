"""Speed of `cryoscape downsample` beside a plain copy of the same bytes.

Run by hand: ``python benchmarks/bench_downsample.py [images] [box] [new box]``. The stack is in the page
cache, or with ``--cold`` dropped from it before each run; the copy reads the stack and writes as many bytes
as the downsampled one has.
"""

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cryoscape.io.mrc import StackWriter, open_mrc
from cryoscape.workflows.downsample import downsample

BLOCK_BYTES = 16 * 1024**2


def write_noise(path: Path, n: int, box: int) -> None:
    """A stack of white noise, made of a few blocks repeated: making it should not take long."""
    block = np.random.default_rng(0).standard_normal((500, box, box), dtype=np.float32)
    with StackWriter(path, n, box, 1.0) as writer:
        for start in range(0, n, 500):
            writer.append(block[: min(500, n - start)])


def copy(source: Path, target: Path, n_written: int) -> None:
    """Read all of the source and write the first ``n_written`` bytes of it."""
    buffer = bytearray(BLOCK_BYTES)
    with source.open("rb", buffering=0) as read, target.open("wb", buffering=0) as write:
        while n := read.readinto(buffer):
            write.write(memoryview(buffer)[: min(n, n_written)])
            n_written -= min(n, n_written)


def forget(path: Path) -> None:
    """Drop a file from the page cache."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def seconds(run: Callable[[], object], source: Path, cold: bool, repeats: int = 3) -> float:
    """Least time of several runs."""
    best = np.inf
    for _ in range(repeats):
        if cold:
            forget(source)
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return float(best)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=int, nargs="?", default=20_000)
    parser.add_argument("box", type=int, nargs="?", default=128)
    parser.add_argument("new_box", type=int, nargs="?", default=64)
    parser.add_argument(
        "--cold", action="store_true", help="drop the stack from the page cache before each run"
    )
    parser.add_argument("--profile", action="store_true", help="profile the main thread of one more run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        source, small, copied = (Path(name) / file for file in ("s.mrcs", "d.mrcs", "c.mrcs"))
        write_noise(source, options.images, options.box)
        n_bytes = source.stat().st_size

        def work() -> object:
            return downsample(source, options.new_box, small)

        work()
        plain = seconds(lambda: copy(source, copied, small.stat().st_size), source, options.cold)
        ours = seconds(work, source, options.cold)
        print(
            f"{options.images} images {options.box} -> {options.new_box} px, {n_bytes / 1e6:.0f} MB to read"
        )
        for label, taken in (("copy", plain), ("downsample", ours)):
            megabytes, rate = n_bytes / taken / 1e6, options.images / taken
            print(f"{label:>10}: {taken:.2f} s, {rate:.0f} images/s, {megabytes:.0f} MB/s read")
        print(f"downsample at {plain / ours:.2f} of the copy; last image: {open_mrc(small)[-1].mean():.3g}")
        if options.profile:
            with cProfile.Profile() as profile:
                work()
            pstats.Stats(profile).sort_stats("tottime").print_stats(12)


if __name__ == "__main__":
    main()
