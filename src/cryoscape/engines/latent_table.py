"""What an engine says of every particle: where it lies in latent space, how surely, and how well it fits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.typing import Latents, Rows

LATENTS_FILE = "z.pkl"
TABLE_FILE = "latents.parquet"
HALF_TABLE_FILE = "latents_by_half.parquet"
"""Latents by maps of each particle's own half set: they owe nothing to the other."""

_SCALARS = ("log_likelihood", "contrast", "junk_score")
_SMALLEST_VARIANCE = 1e-30  # the logarithm of a variance that is 0 would not be finite


@dataclass(frozen=True, eq=False)
class LatentTable:
    """Posterior and fit of each particle, one row a particle.

    Attributes
    ----------
    mean : (N, q) float32, posterior means.
    covariance : (N, q, q) float32, posterior covariances; None where the engine has none.
    log_likelihood : (N,) gain over the mean map, natural logarithm.
    contrast : (N,) amplitude of the image relative to the maps.
    junk_score : (N,) higher for images that are less like particles.
    state : (N,) number of the state, from 0; None where the engine has no states.
    """

    mean: Float[np.ndarray, "n q"]
    covariance: Float[np.ndarray, "n q q"] | None
    log_likelihood: Float[np.ndarray, " n"]
    contrast: Float[np.ndarray, " n"]
    junk_score: Float[np.ndarray, " n"]
    state: Int[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def zdim(self) -> int:
        """Dimension of the latent space, q."""
        return self.mean.shape[1]

    @property
    def log_variance(self) -> Latents | None:
        """Logarithm (N, q) of the covariances' diagonals; None where there are no covariances."""
        if self.covariance is None:
            return None
        variance = np.diagonal(self.covariance, axis1=1, axis2=2)
        return np.log(np.maximum(variance, _SMALLEST_VARIANCE)).astype(np.float32)


def write_latents(folder: Path, table: LatentTable, rows: Rows) -> None:
    """Write z.pkl (means, then log variances, as upstream's z files) and latents.parquet.

    Parameters
    ----------
    rows : (N,) row of the original input of each particle.
    """
    log_variance = table.log_variance
    values = (table.mean.astype(np.float32),) + (() if log_variance is None else (log_variance,))
    write_array_pickle(folder / LATENTS_FILE, *values)
    write_latents_table(folder / TABLE_FILE, table, rows)


def write_latents_table(path: Path, table: LatentTable, rows: Rows) -> None:
    """Write a table of latents, Parquet, and the original row (N,) of each particle."""
    with replace_when_done(path) as temporary:
        pq.write_table(pa.table(_columns(table, rows)), temporary)


def _columns(table: LatentTable, rows: Rows) -> dict[str, np.ndarray]:
    """Columns of the table: plain numbers only, which every reader of Parquet takes one by one."""
    columns = {"row": rows.astype(np.int64)}
    columns |= {f"z{j}": table.mean[:, j].astype(np.float32) for j in range(table.zdim)}
    if table.covariance is not None:
        for i, j in _upper_triangle(table.zdim):
            columns[f"cov_{i}_{j}"] = table.covariance[:, i, j].astype(np.float32)
    columns |= {name: getattr(table, name).astype(np.float32) for name in _SCALARS}
    if table.state is not None:
        columns["state"] = table.state.astype(np.int32)
    return columns


def _upper_triangle(zdim: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(zdim) for j in range(i, zdim)]


def read_latents_table(folder: Path, name: str = TABLE_FILE) -> tuple[LatentTable, Rows]:
    """A table of a run folder and the original row (N,) of each particle.

    Raises
    ------
    InputError : no such file, not readable, or without the columns of a table of latents.
    """
    path = folder / name
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the folder of a run that has a table of latents")
    try:
        stored = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not readable as Parquet ({str(error).splitlines()[0]})") from error
    names = set(stored.column_names)
    missing = [name for name in ("row", *_SCALARS) if name not in names]
    if missing:
        raise InputError(f"{path}: not a table of latents, it lacks {', '.join(missing)}; train again")

    def column(name: str) -> np.ndarray:
        return np.asarray(stored.column(name).to_numpy())

    zdim = 0
    while f"z{zdim}" in names:
        zdim += 1
    n = stored.num_rows
    mean = np.empty((n, zdim), np.float32)
    for j in range(zdim):
        mean[:, j] = column(f"z{j}")
    complete = all(f"cov_{i}_{j}" in names for i, j in _upper_triangle(zdim))
    table = LatentTable(
        mean=mean,
        covariance=_covariance(column, n, zdim) if complete else None,
        log_likelihood=column("log_likelihood"),
        contrast=column("contrast"),
        junk_score=column("junk_score"),
        state=column("state").astype(np.int64) if "state" in names else None,
    )
    return table, column("row").astype(np.int64)


def _covariance(column: Callable[[str], np.ndarray], n: int, zdim: int) -> Float[np.ndarray, "n q q"]:
    found = np.empty((n, zdim, zdim), np.float32)
    for i, j in _upper_triangle(zdim):
        found[:, i, j] = found[:, j, i] = column(f"cov_{i}_{j}")
    return found
