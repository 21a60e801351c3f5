"""Speed of training: images a second, GFLOP/s, and the fraction of this machine's own matrix product peak.

    python benchmarks/bench_train_vae.py --box 64 --batch-size 8 --threads 2

The data are random numbers of the right shapes with poses and CTF; the arithmetic is that of real ones. The
peak is the best of several matrix products of the sizes of the network, measured just before and just after.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryoscape.engines.vae.checkpoint import pick_device
from cryoscape.engines.vae.config import ModelConfig, TrainConfig
from cryoscape.engines.vae.fit import Trainer
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.particles.metadata import CtfTable, Particles, Poses
from cryoscape.physics.grids import half_plane


def random_store(n: int, box: int) -> FourierStore:
    plane = half_plane(box)
    generator = np.random.default_rng(0)
    values = generator.standard_normal((n, plane.n_pixels, 2), dtype=np.float32)
    row = np.ones(n)
    ctf = CtfTable(
        row * box,
        row * 420 / box,
        generator.uniform(1e4, 3e4, n),
        generator.uniform(1e4, 3e4, n),
        row * 30,
        row * 300,
        row * 2.7,
        row * 0.1,
        row * 0,
    )
    particles = Particles(
        images=None,
        row=np.arange(n),
        uid=None,
        poses=Poses(Rotation.random(n, rng=generator).as_matrix(), np.zeros((n, 2))),
        ctf=ctf,
        data_sign=None,
        source=Path("random"),
        box_size_px=box,
        n_original=n,
    )
    return FourierStore(plane, values, 1.0, particles, PreprocessConfig())


def gflop_per_image(model: ModelConfig, n_pixels: int) -> float:
    """Multiply-adds count two; forward, weight gradients, and input gradients except to the encoding."""
    h, features = model.dec_dim, 6 * model.n_frequencies_per_axis
    forward = features * h + model.dec_layers * h * h + 2 * h
    inputs = model.dec_layers * h * h + 2 * h
    width = model.enc_dim
    encoder = 2 * n_pixels * width + model.enc_layers * width * width + 2 * width * model.zdim
    return (2 * n_pixels * (2 * forward + inputs) + 2 * (3 * encoder - 2 * n_pixels * width)) / 1e9


def peak_gflops(device: torch.device, dtype: torch.dtype, width: int, repeats: int = 30) -> float:
    best = 0.0
    for rows, columns in ((6400, width), (1600, width), (1024, 1024), (2048, 2048)):
        a = torch.randn(rows, columns, device=device).to(dtype)
        b = torch.randn(columns, columns, device=device).to(dtype)
        out = torch.empty(rows, columns, device=device, dtype=dtype)
        for _ in range(repeats):
            _wait(device)
            start = time.perf_counter()
            torch.mm(a, b, out=out)
            _wait(device)
            best = max(best, 2 * rows * columns**2 / (time.perf_counter() - start) / 1e9)
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


GROUPS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear"),
    "sines and cosines": ("aten::sin", "aten::cos", "aten::cos_"),
    "activations": ("aten::relu_", "aten::threshold_backward", "aten::clamp_min_"),
    "optimiser": ("aten::_fused_adam_", "aten::_foreach_norm"),
    "gather": ("aten::index_select", "aten::index", "aten::gather"),
}


def time_split(trainer: Trainer, steps: int) -> dict[str, float]:
    """Share of the time of each group of operations in `steps` training steps."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for i in range(steps):
            trainer._step(torch.arange(trainer.config.batch_size) + i)
    times = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    total = sum(times.values())
    split = {group: sum(times.get(key, 0) for key in keys) / total for group, keys in GROUPS.items()}
    split["other element-wise and overhead"] = 1 - sum(split.values())
    return split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--zdim", type=int, default=8)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--no-amp", action="store_true")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = pick_device(arguments.device)
    store = random_store(arguments.images, arguments.box)
    if device.type == "cuda":
        store = store.to(device)
    size = {"dec_dim": arguments.dim, "dec_layers": arguments.layers, "enc_dim": arguments.dim}
    model = ModelConfig(arguments.box, arguments.zdim, enc_layers=arguments.layers, **size)
    config = TrainConfig(batch_size=arguments.batch_size, amp=False if arguments.no_amp else None)
    trainer = Trainer(store, model, config, device)
    work = gflop_per_image(model, store.plane.n_pixels)
    print(
        f"box {arguments.box}, {arguments.dim}x{arguments.layers}, zdim {arguments.zdim}, batch "
        f"{arguments.batch_size}, {trainer.compute_dtype}, {device}, {torch.get_num_threads()} threads: "
        f"{store.plane.n_pixels} pixels, {work:.2f} GFLOP an image"
    )
    for i in range(4):
        trainer._step(torch.arange(arguments.batch_size) + i)
    peaks = [peak_gflops(device, trainer.compute_dtype, arguments.dim)]
    rates = [trainer.run_epoch().images_per_second for _ in range(3)]
    peaks.append(peak_gflops(device, trainer.compute_dtype, arguments.dim))
    peak, rate = max(peaks), max(rates)
    print(f"epochs: {', '.join(f'{r:.1f}' for r in rates)} images/s")
    print(
        f"best {rate:.1f} images/s = {rate * work:.0f} GFLOP/s, {rate * work / peak:.0%} of {peak:.0f} (peak)"
    )
    start = time.perf_counter()
    trainer.encode()
    print(f"encoding all: {arguments.images / (time.perf_counter() - start):.0f} images/s")
    for group, share in time_split(trainer, 10).items():
        print(f"  {share:6.1%} {group}")


if __name__ == "__main__":
    main()
