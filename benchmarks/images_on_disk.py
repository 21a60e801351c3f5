"""Time with images on disk (--lazy) against images in memory, page cache warm and cold.

    OMP_NUM_THREADS=1 python benchmarks/images_on_disk.py sets/assembly --images 5000 --radius 15

Work: reading alone, one subspace learned up to a radius, steps of the paper's network. In memory: float32 and
a stored CTF, as `train_subspace` and `train_vae` hold images that fit; on disk: float16, memory-mapped. The
three are run in turn and the least time of each is taken, so that other work on the machine counts little.
"Cold" starts without a page of the file in the page cache (Linux); later passes over it find them there.
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.fit import fit_subspace
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.vae.config import ModelConfig, TrainConfig
from cryoscape.engines.vae.fit import Trainer
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import ImageStack
from cryoscape.particles.store import COEFFICIENTS_NAME, build_store, open_store

Places = dict[str, Callable[[], FourierStore]]


@dataclass(frozen=True)
class Cost:
    """Seconds of the processor and of the clock."""

    processor: float
    clock: float


def places(folder: Path, n_images: int, cache: Path) -> Places:
    """Store the first images of a simulated set in memory and in a folder; how to get at each."""
    particles = load_particles(
        folder / "particles.star",
        poses=folder / "poses.pkl",
        ctf=folder / "ctf.pkl",
        ind=None,
        datadir=None,
        require_poses=True,
    )
    particles = particles.select(np.arange(min(n_images, len(particles))))
    stack = ImageStack.from_particles(particles)
    memory = build_store(particles, stack, PreprocessConfig(), None)
    memory.cache_ctf()
    build_store(particles, stack, PreprocessConfig(dtype="float16"), cache)

    def cold() -> FourierStore:
        gc.collect()  # pages that some map still holds are not dropped
        drop_pages(cache / COEFFICIENTS_NAME)
        return open_store(cache)

    return {"memory": lambda: memory, "disk, warm": lambda: open_store(cache), "disk, cold": cold}


def drop_pages(path: Path) -> None:
    """Leave no page of a file in the page cache."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def read_all(store: FourierStore, radius: int) -> None:
    """Read every image once, as a pass of the subspace does."""
    images = Images(store, radius)
    for rows in images.blocks():
        images.read(rows)


def train_steps(store: FourierStore, n_steps: int, batch_size: int = 8) -> None:
    """Steps of the paper's network on images in random order."""
    config = TrainConfig(batch_size=batch_size)
    trainer = Trainer(store, ModelConfig(store.box_size, 8), config, torch.device("cpu"))
    order = torch.randperm(store.n, generator=torch.Generator().manual_seed(0))
    for rows in order.split(batch_size)[:n_steps]:
        trainer._step(rows)


def learn(store: FourierStore, radius: int) -> None:
    """Learn a subspace of 8 components up to a radius."""
    fit_subspace(store, SubspaceConfig(zdim=8, max_radius=radius))


def costs(work: Callable[[FourierStore], None], stores: Places, repeats: int) -> dict[str, Cost]:
    """Least time of `work` in each place, after one run that is not counted: loops are compiled in it."""
    work(next(iter(stores.values()))())
    found = {name: Cost(float("inf"), float("inf")) for name in stores}
    for _ in range(repeats):
        for name, get in stores.items():
            store = get()
            processor, clock = time.process_time(), time.perf_counter()
            work(store)
            took = Cost(time.process_time() - processor, time.perf_counter() - clock)
            best = found[name]
            found[name] = Cost(min(best.processor, took.processor), min(best.clock, took.clock))
            del store
    return found


def report(name: str, found: dict[str, Cost]) -> str:
    """One line a place; ratios to the first."""
    first = next(iter(found.values()))
    return "\n".join(
        f"{name:16s} {place:12s} {cost.processor:8.2f} {cost.processor / first.processor:6.2f} "
        f"{cost.clock:8.2f} {cost.clock / first.clock:6.2f}"
        for place, cost in found.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="folder made by cryoscape simulate")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--radius", type=int, default=15)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as cache:
        stores = places(arguments.set, arguments.images, Path(cache) / "store")
        works: dict[str, Callable[[FourierStore], None]] = {
            "reading alone": lambda store: read_all(store, arguments.radius),
            "network's steps": lambda store: train_steps(store, arguments.steps),
            "subspace": lambda store: learn(store, arguments.radius),
        }
        print(f"{'work':16s} {'images in':12s} {'CPU s':>8s} {'ratio':>6s} {'wall s':>8s} {'ratio':>6s}")
        for name, work in works.items():
            print(report(name, costs(work, stores, arguments.repeats)), flush=True)


if __name__ == "__main__":
    main()
