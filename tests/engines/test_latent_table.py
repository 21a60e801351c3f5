"""The table of latents, written and read, and by pandas as a user would."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryoscape.engines.latent_table import LatentTable, read_latents_table, write_latents
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_latents

N = 7
ROWS = np.arange(N, dtype=np.int64) * 3 + 1


def make(zdim: int = 3, states: bool = False, covariance: bool = True) -> LatentTable:
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(N, zdim, zdim))
    return LatentTable(
        mean=rng.normal(size=(N, zdim)).astype(np.float32),
        covariance=(factor @ factor.swapaxes(1, 2)).astype(np.float32) if covariance else None,
        log_likelihood=rng.normal(size=N).astype(np.float32),
        contrast=rng.uniform(0.5, 1.5, N).astype(np.float32),
        junk_score=rng.normal(size=N).astype(np.float32),
        state=np.arange(N) % 2 if states else None,
    )


@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("covariance", [False, True])
def test_a_table_comes_back_as_it_was(tmp_path: Path, states: bool, covariance: bool) -> None:
    table = make(states=states, covariance=covariance)
    write_latents(tmp_path, table, ROWS)
    found, rows = read_latents_table(tmp_path)
    np.testing.assert_array_equal(rows, ROWS)
    for name in ("mean", "covariance", "log_likelihood", "contrast", "junk_score", "state"):
        expected = getattr(table, name)
        if expected is None:
            assert getattr(found, name) is None
        else:
            np.testing.assert_array_equal(getattr(found, name), expected)
            assert getattr(found, name).dtype.kind == expected.dtype.kind


def test_upstream_readers_find_means_and_log_variances(tmp_path: Path) -> None:
    table = make()
    write_latents(tmp_path, table, ROWS)
    mean, logvar = read_latents(tmp_path / "z.pkl")
    np.testing.assert_array_equal(mean, table.mean)
    assert table.covariance is not None
    assert logvar is not None
    assert logvar.dtype == np.float32
    for i in range(N):
        np.testing.assert_allclose(np.exp(logvar[i]), np.diag(table.covariance[i]), rtol=1e-5)


def test_pandas_reads_plain_columns(tmp_path: Path) -> None:
    table = make(zdim=2, states=True)
    write_latents(tmp_path, table, ROWS)
    found = pd.read_parquet(tmp_path / "latents.parquet")
    names = ["row", "z0", "z1", "cov_0_0", "cov_0_1", "cov_1_1", "log_likelihood", "contrast", "junk_score"]
    assert list(found.columns) == [*names, "state"]
    assert table.covariance is not None
    np.testing.assert_array_equal(found["cov_0_1"], table.covariance[:, 1, 0])
    assert found["row"].tolist() == ROWS.tolist()


def test_no_components_and_no_variance_are_possible(tmp_path: Path) -> None:
    write_latents(tmp_path, make(zdim=0), ROWS)
    found, _ = read_latents_table(tmp_path)
    assert found.mean.shape == (N, 0)
    sure = make(zdim=1)
    certain = LatentTable(
        sure.mean, np.zeros((N, 1, 1), np.float32), sure.log_likelihood, sure.contrast, sure.junk_score
    )
    assert certain.log_variance is not None
    assert np.isfinite(certain.log_variance).all()


def test_what_is_no_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_latents_table(tmp_path)
    path = tmp_path / "latents.parquet"
    path.write_bytes(b"no table")
    with pytest.raises(InputError, match="not readable as Parquet"):
        read_latents_table(tmp_path)
    pd.DataFrame({"row": [1], "z0": [0.5]}).to_parquet(path)
    with pytest.raises(InputError, match="it lacks log_likelihood, contrast, junk_score"):
        read_latents_table(tmp_path)
