"""The best possible answer on a simulated set, and the floor and the oracle between which maps lie.

    python benchmarks/bounds.py sets/assembly [--radius 31]

"Bayes" knows the true maps, the true shares of the states, the contrast of every particle and the noise: no
method can do better. "Floor" is one map for all particles, "oracle" the regularised least-squares maps with
the truth as latents. The result is kept in the set's folder, bounds-RADIUS.json.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.polynomial.legendre import legvander

from cryoscape.engines.subspace.moments import image_moments
from cryoscape.engines.subspace.readable import readable
from cryoscape.errors import InputError
from cryoscape.io.atomic import write_text
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.particles.preprocessing import window_of
from cryoscape.particles.store import open_store
from cryoscape.physics.slices import FourierGrid
from cryoscape.workflows.preprocess import preprocess
from datasets import Truth, load_truth
from scores import (
    MapScores,
    partition_agreement,
    per_image_auc,
    phase_error_degrees,
    r_squared,
)

_IMAGES_A_BATCH = 2000
_SAMPLE = 4000
_HARMONICS = 4


@dataclass(frozen=True)
class Calibration:
    """How true maps appear in the images of a store.

    Attributes
    ----------
    scale : factor from true maps to the store's coefficients, one for all images.
    noise_variance : (P,) E |noise|^2 of each frequency, the same in a shell.
    """

    scale: float
    noise_variance: torch.Tensor


@dataclass(frozen=True)
class Bayes:
    """The answer with true maps; r2 and median error of the posterior mean place on a path, else None."""

    radius: int
    accuracy: float
    ami: float
    ari: float
    r2: float | None = None
    median_error_degrees: float | None = None


@dataclass(frozen=True)
class Bounds:
    """All bounds of a set; floor and oracle are per-image AUC-FSC."""

    bayes: Bayes
    floor: float
    oracle: float
    seconds: float


def prepared_store(folder: Path) -> FourierStore:
    """Fourier store of a set, made beside its images where it is not there."""
    preprocess(folder / "particles.star", folder / "store")
    return open_store(folder / "store")


def calibrate(
    store: FourierStore, truth: Truth, radius: int, oversampling: int = 2, n_sample: int = _SAMPLE
) -> Calibration:
    """Scale by regression of images on their true projections, noise from what is left in each shell.

    Images are windowed, which takes part of the noise and none of the particle. A likelihood that counts all
    frequencies as independent is right with the variance before the window, hence the division by the mean of
    the window's square.
    """
    plane = store.plane.prefix(float(radius))
    rows = np.flatnonzero(truth.known[store.particles.row])[:n_sample]
    labels = truth.labels[store.particles.row]
    grid = FourierGrid(radius, oversampling)
    image_power, cross, power = (torch.zeros(plane.n_pixels, dtype=torch.float64) for _ in range(3))
    for label in np.unique(labels[rows]):
        one = readable(torch.from_numpy(truth.maps[label][None]), grid)
        own = torch.from_numpy(rows[labels[rows] == label])
        expected = one.slices(store.rotations[own], plane.k)[..., 0]
        expected = expected * store.ctf(own, plane.n_pixels) * _contrast(truth, store, own)[:, None]
        image = store.batch(own, plane.n_pixels)
        image_power += image.abs().double().square().sum(0)
        cross += (image * expected.conj()).real.double().sum(0)
        power += expected.abs().double().square().sum(0)
    scale = float(cross.sum() / power.sum())
    residual = (image_power - 2 * scale * cross + scale**2 * power) / len(rows)
    shell = plane.radius.round().long()
    mean = torch.bincount(shell, weights=residual) / torch.bincount(shell).clamp(min=1)
    window_power = float(window_of(store.config, store.box_size).double().square().mean())
    return Calibration(scale, (mean[shell] / window_power).float())


def _contrast(truth: Truth, store: FourierStore, rows: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(truth.contrast[store.particles.row[rows.numpy()]]).float()


def log_likelihoods(
    store: FourierStore,
    truth: Truth,
    calibration: Calibration,
    rows: np.ndarray,
    radius: int,
    oversampling: int = 2,
) -> np.ndarray:
    """Log-likelihood of each true map for the images at ``rows``, (n, K), less that of no particle at all."""
    plane, grid = store.plane.prefix(float(radius)), FourierGrid(radius, oversampling)
    out = np.empty((len(rows), len(truth.maps)))
    for state, volume in enumerate(truth.maps):
        one = readable(torch.from_numpy(volume[None]) * calibration.scale, grid)
        for start in range(0, len(rows), _IMAGES_A_BATCH):
            batch = torch.from_numpy(rows[start : start + _IMAGES_A_BATCH])
            moments = image_moments(
                one,
                store.batch(batch, plane.n_pixels),
                store.ctf(batch, plane.n_pixels),
                store.rotations[batch],
                plane.k,
                calibration.noise_variance,
            )
            contrast = _contrast(truth, store, batch)
            likelihood = contrast * moments[:, 0, 1] - contrast**2 * moments[:, 0, 0] / 2
            out[start : start + len(batch), state] = likelihood.numpy()
    return out


def bayes_answer(likelihoods: np.ndarray, truth: Truth, labels: np.ndarray, radius: int) -> Bayes:
    """Score the posterior over states, (n, K) log-likelihoods, prior the true shares.

    The classification is the most probable state; the place on a path is the posterior mean of its cosine and
    sine, or of the latent of an open path.
    """
    with np.errstate(divide="ignore"):
        joint = likelihoods + np.log(truth.fractions)
    found = joint.argmax(axis=1)
    ami, ari = partition_agreement(found, labels)
    accuracy = float((found == labels).mean())
    if truth.kind == "states":
        return Bayes(radius, accuracy, ami, ari)
    posterior = np.exp(joint - joint.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    place = place_of_states(truth)
    predicted, true = posterior @ place, place[labels]
    error = phase_error_degrees(predicted, true) if truth.kind == "closed" else None
    return Bayes(radius, accuracy, ami, ari, r_squared(predicted, true), error)


def place_of_states(truth: Truth) -> np.ndarray:
    """Place of each state along the motion: (K, 2) cosine and sine of its phase, or (K, 1) from -1 to 1."""
    t = np.arange(len(truth.names)) / (len(truth.names) - (truth.kind == "line"))
    if truth.kind == "line":
        return 2 * t[:, None] - 1
    return np.stack([np.cos(2 * np.pi * t), np.sin(2 * np.pi * t)], axis=1)


def bayes(store: FourierStore, truth: Truth, radius: int | None = None) -> Bayes:
    """Compute the Bayes answer of a set for the particles that are not junk; radius half the box - 1."""
    radius = store.box_size // 2 - 1 if radius is None else radius
    labels = truth.labels[store.particles.row]
    rows = np.flatnonzero(labels >= 0)
    calibration = calibrate(store, truth, radius)
    return bayes_answer(log_likelihoods(store, truth, calibration, rows, radius), truth, labels[rows], radius)


def true_latents(truth: Truth) -> np.ndarray:
    """Latents (K, q) of the states from which linear maps can be fitted, of mean 0 over the particles.

    For states, K - 1 one-hot contrasts. For a motion, smooth functions of the place: harmonics of the
    phase, or Legendre polynomials on a line, up to the fourth order or degree eight; a map a step would be
    fitted to a few hundred particles, and forget that neighbours are alike.
    """
    place = place_of_states(truth) if truth.kind != "states" else np.empty((0, 0))
    if truth.kind == "closed":
        phase = np.arctan2(place[:, 1], place[:, 0])
        columns = [f(order * phase) for order in range(1, _HARMONICS + 1) for f in (np.cos, np.sin)]
        latents = np.stack(columns, axis=1)
    elif truth.kind == "line":
        latents = legvander(place[:, 0], 2 * _HARMONICS)[:, 1:]
    else:
        latents = np.eye(len(truth.names))[:, 1:]
    return (latents - truth.fractions @ latents).astype(np.float32)


def floor_and_oracle(store: FourierStore, truth: Truth) -> tuple[MapScores, MapScores]:
    """Per-image AUC-FSC of one map for all, and of maps fitted with the true latents.

    Both are fitted to the particles that are not junk.
    """
    from cryoscape.engines.subspace.given_latents import maps_for_latents

    known = store.select_original(store.particles.row[truth.known[store.particles.row]])
    labels = truth.labels[known.particles.row]
    scores = []
    for z in (np.zeros((known.n, 0), dtype=np.float32), true_latents(truth)[labels]):
        scores.append(per_image_auc(maps_for_latents(known, z), z, labels, truth.maps))
    return scores[0], scores[1]


def bounds_of(folder: Path, radius: int | None = None) -> Bounds:
    """Read the bounds of a set, or compute them and keep them in its folder."""
    store = prepared_store(folder)
    radius = store.box_size // 2 - 1 if radius is None else radius
    kept = folder / f"bounds-{radius}.json"
    if kept.is_file():
        content = json.loads(kept.read_text())
        return Bounds(**{**content, "bayes": Bayes(**content["bayes"])})
    start, truth = time.perf_counter(), load_truth(folder)
    best = bayes(store, truth, radius)
    floor, oracle = floor_and_oracle(store, truth)
    found = Bounds(best, floor.mean, oracle.mean, time.perf_counter() - start)
    write_text(kept, json.dumps(asdict(found), indent=1))
    return found


def main() -> None:
    """Print the bounds of a set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path, help="folder of a simulated set")
    parser.add_argument("--radius", type=int, help="largest frequency, cycles per box [half the box - 1]")
    parser.add_argument("--bayes-only", action="store_true", help="do not fit the maps of floor and oracle")
    arguments = parser.parse_args()
    try:
        if arguments.bayes_only:
            store = prepared_store(arguments.set)
            found = asdict(bayes(store, load_truth(arguments.set), arguments.radius))
        else:
            found = asdict(bounds_of(arguments.set, arguments.radius))
    except InputError as error:
        sys.exit(str(error))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
