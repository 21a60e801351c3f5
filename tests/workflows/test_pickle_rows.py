"""Rows of pickles, and selections drawn or taken from clusters."""

import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_ctf, read_latents, read_poses, read_rows
from cryoscape.particles.keys import read_key_list
from cryoscape.workflows.parse import parse_ctf_star
from cryoscape.workflows.pickle_rows import concatenate_pickles, filter_pickle
from cryoscape.workflows.select_rows import select_clusters, select_random
from particle_files import (
    legacy_ctf,
    random_rotations,
    relion30_rows,
    write_pickle,
    write_poses_pickle,
    write_star31,
)

N = 9


def ind(folder: Path, rows: list[int]) -> Path:
    return write_pickle(folder / "ind.pkl", np.array(rows))


def test_poses_latents_and_tables_keep_their_form(tmp_path: Path) -> None:
    rotation, shift = random_rotations(N), np.full((N, 2), 0.1) * np.arange(N)[:, None]
    write_poses_pickle(tmp_path / "poses.pkl", rotation, shift)
    write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N))
    z, logvar = np.random.default_rng(0).standard_normal((2, N, 3)).astype(np.float32)
    (tmp_path / "z.pkl").write_bytes(pickle.dumps(z) + pickle.dumps(logvar))
    rows = [5, 0, 8]
    for name in ("poses", "ctf", "z"):
        assert filter_pickle(tmp_path / f"{name}.pkl", tmp_path / f"{name}.cut.pkl", ind(tmp_path, rows)) == 3
    found = read_poses(tmp_path / "poses.cut.pkl")
    np.testing.assert_array_equal(found[0], rotation[rows])
    np.testing.assert_array_equal(found[1], shift[rows])
    np.testing.assert_array_equal(read_ctf(tmp_path / "ctf.cut.pkl"), legacy_ctf(N)[rows])
    mean, spread = read_latents(tmp_path / "z.cut.pkl")
    np.testing.assert_array_equal(mean, z[rows])
    assert spread is not None
    np.testing.assert_array_equal(spread, logvar[rows])
    assert filter_pickle(tmp_path / "z.pkl", tmp_path / "first.pkl", first=4) == 4
    np.testing.assert_array_equal(read_latents(tmp_path / "first.pkl")[0], z[:4])


def test_rows_of_a_cut_pickle_are_those_of_the_original(tmp_path: Path) -> None:
    parse_ctf_star(write_star31(tmp_path / "a.star", relion30_rows(N, "s.mrcs"), 16), tmp_path / "ctf.pkl")
    filter_pickle(tmp_path / "ctf.pkl", tmp_path / "cut.pkl", ind(tmp_path, [2, 5, 7]))
    filter_pickle(tmp_path / "cut.pkl", tmp_path / "again.pkl", ind(tmp_path, [7]))
    whole = read_ctf(tmp_path / "ctf.pkl")
    np.testing.assert_array_equal(read_ctf(tmp_path / "again.pkl"), whole[[7]])
    keys = read_key_list(tmp_path / "again.pkl")
    assert keys is not None
    assert keys.row.tolist() == [7]
    with pytest.raises(InputError, match="1 of the 1 selected rows are not in"):
        filter_pickle(tmp_path / "cut.pkl", tmp_path / "third.pkl", ind(tmp_path, [3]))


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_parts_put_together_are_the_whole(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    n = sum(lengths)
    rotation, shift = random_rotations(n), np.arange(2.0 * n).reshape(n, 2) / 1e3
    write_poses_pickle(folder / "whole.pkl", rotation, shift)
    edges = np.cumsum([0, *lengths])
    parts = []
    for i, (start, stop) in enumerate(pairwise(edges.tolist())):
        parts.append(folder / f"{i}.pkl")
        filter_pickle(folder / "whole.pkl", parts[-1], ind(folder, list(range(start, stop))))
    assert concatenate_pickles(parts, folder / "all.pkl") == n
    found = read_poses(folder / "all.pkl")
    np.testing.assert_array_equal(found[0], rotation)
    np.testing.assert_array_equal(found[1], shift)


def test_pickles_that_cannot_be_cut_or_joined(tmp_path: Path) -> None:
    out = tmp_path / "out.pkl"
    poses = write_poses_pickle(tmp_path / "poses.pkl", random_rotations(N))
    ctf = write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N))
    with pytest.raises(InputError, match="exactly one of --ind and --first"):
        filter_pickle(ctf, out)
    with pytest.raises(InputError, match="--first 10: expected 1 to 9"):
        filter_pickle(ctf, out, first=10)
    with pytest.raises(InputError, match="largest row 9"):
        filter_pickle(ctf, out, ind(tmp_path, [9]))
    with pytest.raises(InputError, match="arrays of 2, 9 rows"):
        filter_pickle(write_pickle(tmp_path / "a.pkl", (np.zeros(9), np.zeros(2))), out, first=1)
    with pytest.raises(InputError, match="expected arrays"):
        filter_pickle(write_pickle(tmp_path / "a.pkl", {"a": 1}), out, first=1)
    with pytest.raises(
        InputError, match=r"holds \(N, 9\), but .*poses\.pkl \(N, 3, 3\) and \(N, 2\) as a tuple"
    ):
        concatenate_pickles([poses, ctf], out)
    with pytest.raises(InputError, match="two or more"):
        concatenate_pickles([poses], out)
    with pytest.raises(InputError, match="is the input"):
        concatenate_pickles([poses, poses], poses, force=True)
    assert not out.exists()


def test_a_random_selection_and_its_rest_are_all(tmp_path: Path) -> None:
    a, b = tmp_path / "a.pkl", tmp_path / "b.pkl"
    assert select_random(1000, a, n=300, rest=b, seed=4) == 300
    drawn, left = read_rows(a), read_rows(b)
    assert (np.diff(drawn) > 0).all()
    np.testing.assert_array_equal(np.sort(np.concatenate([drawn, left])), np.arange(1000))
    assert abs(drawn.mean() - 499.5) < 5 * 1000 / np.sqrt(12 * 300)
    select_random(1000, a, fraction=0.3, seed=4, force=True)
    np.testing.assert_array_equal(read_rows(a), drawn)
    for number in ({"n": 0}, {"n": 1001}, {"fraction": 1.5}, {}, {"n": 1, "fraction": 0.5}):
        with pytest.raises(InputError):
            select_random(1000, tmp_path / "c.pkl", **number)  # type: ignore[arg-type]


def test_clusters_of_a_run_are_rows_of_the_original_input(tmp_path: Path) -> None:
    """The trap: labels of a run on a selection count rows of the run."""
    folder = tmp_path / "run" / "analyze.3" / "kmeans2"
    folder.mkdir(parents=True)
    write_pickle(folder / "labels.pkl", np.array([0, 1, 2, 1]))
    out = tmp_path / "sel.pkl"
    assert select_clusters(folder / "labels.pkl", [1, 2], out) == 3
    assert read_rows(out).tolist() == [1, 2, 3]
    np.save(tmp_path / "run" / "rows.npy", np.array([10, 20, 30, 40]))
    select_clusters(folder / "labels.pkl", [1, 2], out, force=True)
    assert read_rows(out).tolist() == [20, 30, 40]
    parent = write_pickle(tmp_path / "parent.pkl", np.array([5, 6, 7, 8]))
    select_clusters(folder / "labels.pkl", [0], out, parent, n_original=9, force=True)
    assert read_rows(out).tolist() == [5]


def test_clusters_of_an_upstream_run_count_by_its_selection(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "analyze.1" / "kmeans2").mkdir(parents=True)
    labels = write_pickle(run / "analyze.1" / "kmeans2" / "labels.pkl", np.array([0, 1, 1]))
    write_pickle(tmp_path / "ind.pkl", np.array([4, 6, 9]))
    (run / "weights.1.pkl").write_bytes(b"")
    settings_of_run = {
        "lattice_args": {},
        "model_args": {},
        "dataset_args": {"ind": str(tmp_path / "ind.pkl")},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(settings_of_run))
    select_clusters(labels, [1], tmp_path / "sel.pkl")
    assert read_rows(tmp_path / "sel.pkl").tolist() == [6, 9]


def test_clusters_that_are_not_there(tmp_path: Path) -> None:
    labels, out = write_pickle(tmp_path / "labels.pkl", np.array([0, 1, 2, 1])), tmp_path / "sel.pkl"
    with pytest.raises(InputError, match=r"no cluster 3; .* holds 3, 0 to 2"):
        select_clusters(labels, [1, 3], out)
    parent = write_pickle(tmp_path / "parent.pkl", np.array([5, 6, 7]))
    with pytest.raises(InputError, match=r"3 rows, but .* holds 4"):
        select_clusters(labels, [1], out, parent)
    with pytest.raises(InputError, match="--N-orig 3: the selection has row 3"):
        select_clusters(labels, [1], out, n_original=3)
    with pytest.raises(InputError, match="does not hold labels"):
        select_clusters(write_pickle(tmp_path / "a.pkl", np.array(["a"])), [1], out)
    assert not out.exists()
