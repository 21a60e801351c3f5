"""Latents of the epochs of a run, read once, and the plane of particles at each compared epoch."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from cryoscape.analysis.convergence import shift_medians, shift_triples, spread, turned_onto
from cryoscape.analysis.embedding import principal_components, umap_embedding
from cryoscape.engines.run_folder import LoadedRun
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles, read_latents, write_array_pickle
from cryoscape.typing import Latents, Rows
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True, eq=False)
class LatentHistory:
    """What is kept of the latents of all epochs.

    Attributes
    ----------
    used : compared epochs whose latents could be used, ascending.
    rows : (s,) rows of z of the subset of particles that is looked at in detail, ascending.
    z : latents (s, zdim) of the subset, by used epoch.
    shift_epochs : (t,) last epoch of each pair of successive shifts.
    shifts : (t, 3) median dot product, magnitude, cosine distance, over all particles.
    step : epochs that a shift spans.
    spread : of the latents at the last epoch.
    """

    used: tuple[int, ...]
    rows: Rows
    z: dict[int, Latents]
    shift_epochs: Int[np.ndarray, " t"]
    shifts: Float[np.ndarray, "t 3"]
    step: int
    spread: float

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Successive used epochs."""
        return tuple(zip(self.used[:-1], self.used[1:], strict=True))


def read_history(
    run: LoadedRun, used: tuple[int, ...], last: int, rows: Rows, first: int = 0
) -> LatentHistory:
    """Read the latents of every saved epoch, `first` to `last`, once; those that do not fit are left out."""
    saved = [e for e in run.folder.epochs("z") if first <= e <= last]
    triples = {e: (a, b) for a, b, e in shift_triples(saved, last)}
    step = next((e - b for e, (_, b) in triples.items()), 1)
    recent: dict[int, Latents] = {}
    kept: dict[int, Latents] = {}
    epochs, medians = [], []
    with progress(len(saved), "latents of epochs") as update:
        for done, epoch in enumerate(saved):
            z = run.z if epoch == last else _read(run, epoch)
            if z is not None:
                recent[epoch] = z
                if epoch in used:
                    kept[epoch] = np.ascontiguousarray(z[rows])
            if epoch in triples and all(e in recent for e in (*triples[epoch], epoch)):
                a, b = triples[epoch]
                found = shift_medians(recent[b] - recent[a], recent[epoch] - recent[b])
                epochs.append(epoch)
                medians.append((found.dot, found.magnitude, found.cosine_distance))
            recent = {e: v for e, v in recent.items() if e > epoch - 2 * step}
            update(done + 1)
    if len(kept) < 2:
        raise InputError(
            f"{run.folder.path}: no latents but those of epoch {last} can be used (see the warnings above); "
            "two or more epochs are needed"
        )
    return LatentHistory(
        used=tuple(sorted(kept)),
        rows=rows,
        z=kept,
        shift_epochs=np.array(epochs, dtype=np.int64),
        shifts=np.array(medians, dtype=np.float64).reshape(-1, 3),
        step=step,
        spread=spread(kept[last]),
    )


def _read(run: LoadedRun, epoch: int) -> Latents | None:
    path = run.folder.latents(epoch)
    try:
        z = read_latents(path)[0]
    except InputError as error:
        logger.warning("epoch %d skipped: %s", epoch, error)
        return None
    if z.shape != run.z.shape:
        logger.warning(
            "epoch %d skipped: %s holds latents %s, those of the last epoch are %s: of another run?",
            epoch, path, z.shape, run.z.shape,
        )  # fmt: skip
        return None
    if not np.isfinite(z).all():
        logger.warning("epoch %d skipped: %s holds latents that are not finite", epoch, path)
        return None
    return np.asarray(z, dtype=np.float32)


def latent_planes(
    folder: Path, history: LatentHistory, seed: int, n_epochs: int | None, *, skip_umap: bool
) -> tuple[dict[int, np.ndarray], str]:
    """A plane (s, 2) of the subset for each used epoch, turned onto that of the last, and what it shows.

    UMAP for latents of three dimensions and more, written to umaps/umap.E.pkl; latents of one or two are the
    plane themselves; principal components where UMAP is left out.
    """
    zdim = history.z[history.used[-1]].shape[1]
    if zdim <= 2:
        flat = {e: np.pad(z, ((0, 0), (0, 2 - zdim))).astype(np.float32) for e, z in history.z.items()}
        return flat, "Latent coordinates"
    place = folder / "umaps"
    if skip_umap:
        stored = {e: _stored(place / f"umap.{e}.pkl", len(history.rows)) for e in history.used}
        there = {e: plane for e, plane in stored.items() if plane is not None}
        if len(there) == len(stored):
            return there, "UMAP"
        logger.info("No UMAP of an earlier analysis is there: principal components take its place")
        return _turned({e: _components(z) for e, z in history.z.items()}), "Principal components"
    planes = {}
    with progress(len(history.used), "UMAP of epochs") as update:
        for done, epoch in enumerate(history.used):
            planes[epoch] = umap_embedding(history.z[epoch], seed=seed, n_epochs=n_epochs)
            update(done + 1)
    planes = _turned(planes)
    place.mkdir(exist_ok=True)
    for epoch, plane in planes.items():
        write_array_pickle(place / f"umap.{epoch}.pkl", plane)
    return planes, "UMAP"


def _turned(planes: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    last = planes[max(planes)]
    return {e: planes[e] if e == max(planes) else turned_onto(planes[e], last) for e in sorted(planes)}


def _components(z: Latents) -> np.ndarray:
    return principal_components(z).scores[:, :2].astype(np.float32)


def _stored(path: Path, n: int) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        plane = np.asarray(load_pickles(path)[0], dtype=np.float32)
    except InputError:
        return None
    return plane if plane.shape == (n, 2) else None
