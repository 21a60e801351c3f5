"""All that is known of the particles of a run, column by column, read when it is asked for."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from cryoscape.analysis.clustering import cluster_kmeans
from cryoscape.analysis.embedding import check_latents, principal_components
from cryoscape.analysis.mixture import cluster_gmm
from cryoscape.analysis.selection import magnitude_z_score
from cryoscape.engines.latent_table import TABLE_FILE
from cryoscape.engines.run_folder import RunFolder
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles, read_latents
from cryoscape.particles.metadata import CtfTable, Particles, Poses
from cryoscape.workflows.filter_tables import read_table, table_columns
from cryoscape.workflows.run_particles import run_particles

logger = logging.getLogger("cryoscape")

ClusterMethod = Literal["kmeans", "gmm"]
Maker = Callable[[], np.ndarray]
ANGLES = ("rot_degrees", "tilt_degrees", "psi_degrees")
SHIFTS = ("shift_x_angstrom", "shift_y_angstrom")

FROM_FILES = frozenset({*ANGLES, *SHIFTS, *CtfTable.column_names(), "defocus_angstrom"})
"""Read from the particles' own files, unless a table of the analysis has them already."""


class RunColumns(Mapping[str, np.ndarray]):
    """Columns (n,) of the particles of one epoch, in the order of its latents.

    Latents, components and what the engine and `analyze` left are there at once; poses and CTF are read from
    the particles' own files when one of their columns is asked for. Tables of the user come last and stand
    before columns of the same name.

    Raises
    ------
    InputError
        For a run without usable latents, or a table that is not of its particles.
    """

    def __init__(
        self,
        run: Path,
        epoch: int | None = None,
        tables: Sequence[Path] = (),
        *,
        analysis: Path | None = None,
        datadir: Path | None = None,
    ) -> None:
        self.folder = RunFolder(run)
        self.epoch = self.folder.latest_epoch() if epoch is None or epoch < 0 else epoch
        latents = self.folder.latents(self.epoch)
        self.z, logvar = read_latents(latents)
        check_latents(self.z, str(latents))
        self.rows = self.folder.original_rows(len(self.z))
        self.datadir = datadir
        name = "analyze" if self.epoch is None else f"analyze.{self.epoch}"
        self.analysis = analysis if analysis is not None else run / name
        if analysis is not None and not analysis.is_dir():
            raise InputError(f"{analysis}: no such folder; give the folder of an analysis of {run}.")
        self._values: dict[str, np.ndarray] = {}
        self._makers: dict[str, Maker] = {}
        self._add_latents(logvar)
        self._add_tables()
        for path in tables:
            self._add_user_table(path)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._values:
            self._values[name] = self._makers[name]()
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers  # that of Mapping would read the column, from the user's files perhaps

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    @cached_property
    def particles(self) -> Particles:
        """Poses, CTF and image addresses, in the order of the latents."""
        return run_particles(self.folder, self.rows, datadir=self.datadir)

    def labels(self, method: ClusterMethod, k: int, seed: int = 0) -> np.ndarray:
        """Cluster of each particle, from the analysis where it has these clusters, else computed as there."""
        path = self.analysis / f"{method}{k}" / "labels.pkl"
        if path.is_file():
            labels = np.asarray(load_pickles(path)[0])
            if labels.shape == (len(self.z),) and labels.dtype.kind in "iu":
                return labels.astype(np.int64)
            raise InputError(f"{path}: not the clusters of these {len(self.z)} particles; run analyze again.")
        if not 1 <= k <= len(self.z):
            raise InputError(f"--{method}: give 1 to {len(self.z)} clusters, found {k}.")
        logger.info(
            "%s is not in %s: clusters are computed with seed %d", path.parent.name, self.analysis, seed
        )
        clusters = cluster_kmeans(self.z, k, seed=seed) if method == "kmeans" else None
        return (clusters or cluster_gmm(self.z, k, seed=seed).clusters).labels

    def _put(self, name: str, values: np.ndarray) -> None:
        self._makers[name] = lambda: values

    def _add_latents(self, logvar: np.ndarray | None) -> None:
        put = self._put
        put("row", np.arange(len(self.z)))
        put("original_row", self.rows)
        for i in range(self.z.shape[1]):
            put(f"z{i}", self.z[:, i])
        if logvar is not None:
            for i in range(self.z.shape[1]):
                put(f"z{i}_std", np.exp(0.5 * logvar[:, i]))
        components = principal_components(self.z)
        self.explained = components.explained
        for i in range(components.scores.shape[1]):
            put(f"pc{i + 1}", components.scores[:, i])
        self._makers["zscore"] = lambda: magnitude_z_score(self.z)
        for i, name in enumerate(ANGLES):
            self._makers[name] = partial(lambda i: _euler(self.particles)[:, i], i)
        for i, name in enumerate(SHIFTS):
            self._makers[name] = partial(self._shift_angstrom, i)
        for name in CtfTable.column_names():
            self._makers[name] = partial(lambda name: getattr(_ctf(self.particles), name), name)
        self._makers["defocus_angstrom"] = self._mean_defocus

    def _shift_angstrom(self, axis: int) -> np.ndarray:
        extent = (self.folder.pixel_size_angstrom() or 1.0) * (
            int(self.folder.config()["lattice_args"]["D"]) - 1
        )
        return np.asarray(_poses(self.particles).shift_fraction[:, axis] * extent)

    def _mean_defocus(self) -> np.ndarray:
        ctf = _ctf(self.particles)
        return np.asarray(ctf.defocus_u_angstrom + ctf.defocus_v_angstrom) / 2

    def _add_tables(self) -> None:
        """What the engine says of the particles, then what the analysis found."""
        engine = self.folder.path / TABLE_FILE
        if engine.is_file() and self.epoch in (None, self.folder.latest_epoch()):
            table = read_table(engine)
            self._add_own_table(table, "row", engine)
        path = self.analysis / "particles.parquet"
        if path.is_file():
            self._add_own_table(read_table(path), "original_row", path)

        for method in get_args(ClusterMethod):
            for labels in sorted(self.analysis.glob(f"{method}*/labels.pkl")):
                k = labels.parent.name.removeprefix(method)
                if k.isdecimal():
                    self._makers[labels.parent.name] = partial(self.labels, method, int(k))

    def _add_own_table(self, table: pd.DataFrame, key: str, path: Path) -> None:
        latents = [f"z{i}" for i in range(self.z.shape[1])]
        same = (
            {key, *latents} <= set(table.columns)
            and len(table) == len(self.z)
            and np.array_equal(table[key], self.rows)
            and np.allclose(table[latents], self.z, rtol=1e-4, atol=1e-5)
        )
        if not same:
            logger.warning("%s is not of these latents and is not used; run analyze again", path)
            return
        for name, values in table_columns(table).items():
            if name not in self._makers or name in FROM_FILES:
                self._put(name, values)

    def _add_user_table(self, path: Path) -> None:
        table = read_table(path)
        keys = [name for name in ("original_row", "row") if name in table.columns]
        if keys:
            table = table.set_index(keys[0])
            if not table.index.is_unique:
                raise InputError(
                    f"{path}: names a row in {keys[0]!r} more than once; give one line a particle."
                )
            n_there = int(np.isin(self.rows, table.index).sum())
            if n_there == 0:
                raise InputError(f"{path}: has none of the {len(self.rows)} original rows of the run.")
            if n_there < len(self.rows):
                logger.warning("%s has %d of %d particles of the run", path, n_there, len(self.rows))
            table = table.reindex(self.rows)
        elif len(table) != len(self.rows):
            raise InputError(
                f"{path}: {len(table)} lines for the {len(self.rows)} particles of the run, and no column "
                "'original_row' that says whose they are; add one, rows of the original input from 0."
            )
        else:
            logger.info("%s has no column original_row: its lines are taken in the order of the run", path)
        for name, values in table_columns(table).items():
            if name in self._makers and name not in ("row", "original_row"):
                logger.warning("%s: its column %r stands in place of the run's", path, name)
            if name not in ("row", "original_row"):
                self._put(name, values)


def _euler(particles: Particles) -> np.ndarray:
    """RELION's rot, tilt and psi (n, 3) in degrees."""
    import torch

    from cryoscape.physics.rotations import relion_euler_from_matrix

    return relion_euler_from_matrix(torch.from_numpy(_poses(particles).rotation)).numpy()


def _poses(particles: Particles) -> Poses:
    if particles.poses is None:
        raise InputError(f"{particles.source}: no poses are known of these particles.")
    return particles.poses


def _ctf(particles: Particles) -> CtfTable:
    if particles.ctf is None:
        raise InputError(f"{particles.source}: no CTF is known of these particles.")
    return particles.ctf
