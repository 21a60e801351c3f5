"""One pass of the subspace against the limits of this machine: arithmetic and memory.

    python benchmarks/limits.py --box 64 --radius 24 --threads 2
    python benchmarks/limits.py --store sets/assembly/store --radius 24

Without a store the data are random numbers of the right shapes. Limits are measured just before and after:
the best matrix product in single precision and the best copy of a large array. Operations and bytes of each
stage are counted from what the loops do (`stages`), not by the processor; bytes are those of the largest
array that a stage reads or changes, as if no cache held any of it, so a stage can pass the limit of memory.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench_train_vae import peak_gflops, random_store
from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.equations import Block, NormalEquations, precision_of
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.moments import image_moments
from cryoscape.engines.subspace.posterior import posterior
from cryoscape.engines.subspace.readable import readable
from cryoscape.engines.subspace.start import first_model, support_at
from cryoscape.engines.subspace.support import Support
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.particles.store import open_store
from cryoscape.physics.masks import soft_sphere

_REPEATS = 5


@dataclass(frozen=True)
class Stage:
    """Work of one stage for one pixel (or image, or voxel): operations, and bytes of the grid in use."""

    name: str
    seconds: float
    n: int
    flop: float
    bytes: float


@dataclass(frozen=True)
class Limits:
    """What this machine can do: arithmetic, and copying (bytes read and written)."""

    gflops: float
    copy_gb: float


def best_seconds(work: Callable[[], object]) -> float:
    """Least time of a few calls."""
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def limits_of() -> Limits:
    """Measure the machine."""
    large = torch.randn(1 << 26)
    other = torch.empty_like(large)
    copy = 2 * 4 * len(large) / best_seconds(lambda: other.copy_(large)) / 1e9
    return Limits(peak_gflops(torch.device("cpu"), torch.float32, 256), copy)


def model_of(store: FourierStore, radius: int, n_components: int) -> tuple[Images, Support, Model]:
    """Images, support and a first model, which costs as any other."""
    images = Images(store, radius)
    box = store.box_size
    support = support_at(soft_sphere(box, 0.37 * box, 0.05 * box), radius)
    return images, support, first_model(images, support, SubspaceConfig(zdim=n_components))


def stages(images: Images, support: Support, model: Model) -> list[Stage]:
    """Time the stages of a pass on one block, and count their work.

    Placing: each of 2q numbers a voxel is interpolated in 17 operations from 8 voxels; the mean map takes 27
    points of 2 numbers and three polynomials, 240; the Gram matrix of a pixel's two rows of q + 2 takes
    4 (q + 2)^2. Posteriors: about 15 q^3 for eigenvectors and covariances, 12 q for each of 22 contrasts, in
    double precision. Equations: 8 operations for each of n maps and 2 for each of m pairs, on a row of sums
    that is read and written. Solving: about n^3 + 8 n^2 operations a voxel, in double precision.
    """
    rows = next(images.blocks())
    data, ctf, rotations = images.read(rows)
    variance = model.noise[images.shells]
    maps = readable(model.maps[0], support.grid)
    n, q, pixels = maps.n, maps.n - 1, data.numel()
    m = n * (n + 1) // 2
    slices = torch.empty_like(data)

    def placed() -> Tensor:
        return image_moments(maps, data, ctf, rotations, images.k, variance, slices)

    moments = placed()
    found = posterior(moments, model.contrast_spread)
    block = Block(data, ctf, rotations, found.weighted, found.weighted_squares)
    equations = NormalEquations(support.grid, n, maps.mean)
    known = support.to_grid(model.maps[0, :1], correct_gridding=False)
    precision = precision_of(model.power, support)
    used = int((support.shell >= 0).sum())
    return [
        Stage(
            "placing: moments",
            best_seconds(placed),
            pixels,
            34 * q + 240 + 4 * (q + 2) ** 2,
            8 * 2 * q * 4 + 27 * 8,
        ),
        Stage(
            "placing: posteriors",
            best_seconds(lambda: posterior(moments, model.contrast_spread)),
            len(rows),
            15 * q**3 + 22 * 12 * q,
            4 * (q + 2) ** 2,
        ),
        Stage(
            "equations",
            best_seconds(lambda: equations.add(block, images.k, variance, slices)),
            pixels,
            8 * n + 2 * m,
            2 * 4 * (2 * n + m),
        ),
        Stage(
            "solving",
            best_seconds(lambda: equations.solve(precision, support, known)),
            used,
            n**3 + 8 * n**2,
            4 * (2 * n + m) + 2 * 8 * n,
        ),
    ]


def report(found: list[Stage], limits: Limits) -> str:
    """One line a stage."""
    lines = [
        f"limits: {limits.gflops:.0f} GFLOP/s (matrix product), {limits.copy_gb:.1f} GB/s (copy)",
        f"{'stage':22s} {'ns each':>8s} {'GFLOP/s':>8s} {'of peak':>8s} {'GB/s':>6s} {'of copy':>8s}",
    ]
    for one in found:
        each = one.seconds / one.n
        gflops, gb = one.flop / each / 1e9, one.bytes / each / 1e9
        lines.append(
            f"{one.name:22s} {each * 1e9:8.1f} {gflops:8.1f} {gflops / limits.gflops:8.0%} {gb:6.1f} "
            f"{gb / limits.copy_gb:8.0%}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--radius", type=int, default=24)
    parser.add_argument("--components", type=int, default=12)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    store = open_store(arguments.store) if arguments.store else random_store(arguments.images, arguments.box)
    images, support, model = model_of(store, arguments.radius, arguments.components)
    before = limits_of()
    found = stages(images, support, model)
    after = limits_of()
    best = Limits(*(max(getattr(before, name), getattr(after, name)) for name in vars(before)))
    print(
        f"{store.n} images of {store.box_size} px, radius {arguments.radius}, {arguments.components} "
        f"components, {torch.get_num_threads()} threads"
    )
    print(report(found, best))


if __name__ == "__main__":
    main()
