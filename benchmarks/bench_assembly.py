"""Simulate the 14 assembly states of the 50S ribosome, train on them, and tell loss and agreement by epoch.

    python benchmarks/bench_assembly.py DATA/50s -o out --epochs 8 --lr 1e-3 --feat-sigma 2

DATA/50s holds the segmented models (*.pdb) and assembly_states.json. A simulation that is in the output
folder already is used again, and so is a training (with more epochs, continued). Agreement is the adjusted
mutual information of 20 k-means clusters with the 14 states ("all"), and of 4 with the super-classes B, C, D
and E ("classes").
"""

import argparse
import json
import logging
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score

from cryoscape.analysis.clustering import cluster_kmeans
from cryoscape.engines.run_folder import RunFolder
from cryoscape.io.legacy_pickle import read_latents
from cryoscape.particles.simulation_drawing import ImagingConfig
from cryoscape.workflows.simulate import SimulateRequest, simulate
from cryoscape.workflows.train_vae import TrainVaeRequest, train_vae

BOX_ANGSTROM = 420.0


def simulated(data: Path, folder: Path, n: int, box: int, snr: float) -> Path:
    models, states = tuple(sorted(data.glob("*.pdb"))), data / "assembly_states.json"
    if not models or not states.is_file():
        sys.exit(f"skipped: {data} does not hold *.pdb and assembly_states.json")
    if not (folder / "truth" / "simulation.yaml").is_file():
        start = time.perf_counter()
        pixel = BOX_ANGSTROM / box
        imaging = ImagingConfig(box, pixel, snr=snr, shift_sigma_px=0.01 * box)
        simulate(SimulateRequest(models, folder, n, imaging, pixel_size_angstrom=pixel, states=states))
        print(f"simulated {n} images of {box} px in {time.perf_counter() - start:.1f} s")
    return folder


def agreement(z: np.ndarray, labels: np.ndarray, names: np.ndarray) -> tuple[float, float]:
    found = cluster_kmeans(z, 20).labels
    classes = np.array([name[0] for name in names])[labels]
    return (
        float(adjusted_mutual_info_score(labels, found)),
        float(adjusted_mutual_info_score(classes, cluster_kmeans(z, 4).labels)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--outdir", type=Path, required=True)
    parser.add_argument("-n", type=int, default=20_000)
    parser.add_argument("-D", "--box-size", type=int, default=64)
    parser.add_argument("--snr", type=float, default=0.05)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--zdim", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--feat-sigma", type=float, default=0.5)
    parser.add_argument("--beta", type=float, default=None)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--enc-mask", type=int, default=None)
    parser.add_argument("--run", default="run", help="name of the run folder in the output folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    source = simulated(
        arguments.data, arguments.outdir / "simulated", arguments.n, arguments.box_size, arguments.snr
    )
    run = arguments.outdir / arguments.run
    request = TrainVaeRequest(
        particles=source / "particles.star",
        outdir=run,
        zdim=arguments.zdim,
        num_epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.lr,
        feat_sigma=arguments.feat_sigma,
        beta=arguments.beta,
        enc_mask=arguments.enc_mask,
        seed=0,
        load="latest" if run.is_dir() else None,
    )
    train_vae(request)
    labels = np.load(source / "truth" / "labels.npy")
    names = pd.read_csv(source / "truth" / "states.csv")["state"].to_numpy()
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = {entry["epoch"]: entry for entry in metrics}
    seconds = np.cumsum([entry["wall_seconds"] for entry in metrics])
    print(f"{'epoch':>5} {'loss':>9} {'seconds':>8} {'AMI all':>8} {'classes':>8}")
    for epoch in RunFolder(run).epochs("z"):
        z, _ = read_latents(RunFolder(run).latents(epoch))
        every, classes = agreement(z, labels, names)
        loss = losses[epoch]["total_loss"]
        print(f"{epoch:5d} {loss:9.6f} {seconds[epoch]:8.0f} {every:8.3f} {classes:8.3f}")


if __name__ == "__main__":
    main()
