import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.workflows.direct_traversal import direct_traversal
from cryoscape.workflows.graph_traversal import GraphTraversalRequest, graph_traversal, name_files
from folders import listing
from linear_run import ZDIM, N, latent_table, write_linear_run


@pytest.fixture
def run(tmp_path):
    return write_linear_run(tmp_path / "run")


def request(latents, out, anchors=("0", "1"), **more):
    return GraphTraversalRequest(
        latents, anchors, z_file=out / "z.path.txt", rows_file=out / "path.txt", **more
    )


def test_path_rows_latents_and_support_agree(run, tmp_path):
    out = tmp_path / "out"
    written = graph_traversal(request(run, out, ("0", "1", "6"), max_neighbors=20, avg_neighbors=20.0))
    rows = np.loadtxt(out / "path.txt", dtype=int)
    z = latent_table().mean
    np.testing.assert_allclose(np.loadtxt(out / "z.path.txt"), z[rows], rtol=1e-6)
    table = pd.read_parquet(out / "z.path_support.parquet")
    assert list(table["nearest_row"]) == list(rows)
    assert list(table["nearest_original_row"]) == list(2 * rows)
    assert list(rows[table["anchor"]]) == [0, 1, 6]
    step = np.linalg.norm(np.diff(z[rows].astype(float), axis=0), axis=1)
    np.testing.assert_allclose(table["length"].iloc[-1], step.sum(), rtol=1e-5)
    # covariances of the run are 0.04 in each coordinate: 7.81 is the 95 % point of chi-square with 3 degrees
    near = [(np.square(z - point).sum(axis=1) / 0.04 <= 7.8147).sum() for point in z[rows]]
    assert list(table["particles"]) == near
    text = pd.read_csv(out / "z.path_support.txt", sep="\t")
    assert list(text["particles"]) == near
    assert (out / "z.path.png").stat().st_size > 10_000
    assert all(file.is_file() for file in written.files)


def test_anchors_from_a_file_as_analyze_writes_it(run, tmp_path):
    centers = tmp_path / "centers_ind.txt"
    centers.write_text("0\n1\n")
    out = tmp_path / "out"
    graph_traversal(request(run, out, (str(centers), "6"), max_neighbors=20, avg_neighbors=20.0))
    table = pd.read_parquet(out / "z.path_support.parquet")
    assert list(table["nearest_row"][table["anchor"]]) == [0, 1, 6]


def test_anchors_not_joined_are_named_with_what_joins_them(run, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(
        InputError, match=r"0 and 1\b.*the least that does is --max-neighbors (\d+)"
    ) as refusal:
        graph_traversal(request(run, out, max_neighbors=3, avg_neighbors=1.0))
    assert not out.exists()
    told = re.search(
        r"least that does is --max-neighbors (\d+) --avg-neighbors ([\d.]+);", str(refusal.value)
    )
    assert told is not None
    most, average = int(told[1]), float(told[2])
    found = graph_traversal(request(run, out, max_neighbors=most, avg_neighbors=average))
    assert len(found.points) >= 2
    joined = request(run, tmp_path / "joined", max_neighbors=3, avg_neighbors=1.0, join=True)
    np.testing.assert_array_equal(graph_traversal(joined).points, found.points)


def test_nothing_is_overwritten_without_force(run, tmp_path):
    out = tmp_path / "out"
    wanted = request(run, out, max_neighbors=20, avg_neighbors=20.0)
    graph_traversal(wanted)
    before = listing(out)
    with pytest.raises(InputError, match=r"z\.path\.txt: exists"):
        graph_traversal(wanted)
    (out / "z.path.txt").unlink()
    with pytest.raises(InputError, match=r"path\.txt: exists"):
        graph_traversal(wanted)
    assert before.keys() - listing(out).keys() == {"z.path.txt"}
    graph_traversal(request(run, out, max_neighbors=20, avg_neighbors=20.0, force=True))


@pytest.mark.parametrize(
    ("anchors", "words"),
    [
        (("0", str(N)), f"no row {N}"),
        (("-1", "3"), "no row -1"),
        (("0", "0"), "at least 2"),
        (("0", "nowhere.txt"), "neither a row number nor a file"),
        (("0", "words.txt"), "text file of row numbers"),
        (("0", "centers.txt"), "whole row numbers"),
    ],
)
def test_anchors_that_are_none(run, tmp_path, monkeypatch, anchors, words):
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("first second\n")
    Path("centers.txt").write_text("0.5 1.5\n")
    with pytest.raises(InputError, match=words):
        graph_traversal(request(run, tmp_path / "out", anchors))
    assert not (tmp_path / "out").exists()


def test_which_file_each_option_names():
    a, b, c = Path("a.txt"), Path("b.txt"), Path("c.txt")
    assert name_files(a, b, None) == (b, a)  # the protocol: rows, latents
    assert name_files(a, None, c) == (a, c)  # cryoDRGN 4: latents, rows
    assert name_files(None, b, c) == (b, c)
    assert name_files(a, None, None) == (a, Path("a-indices.txt"))
    assert name_files(None, b, None) == (b, Path("b-indices.txt"))
    assert name_files(None, None, None) == (Path("z-path.txt"), Path("z-path-indices.txt"))
    with pytest.raises(InputError, match="leave one out"):
        name_files(a, b, c)


def test_the_picture_shows_the_umap_of_an_analysis(run, tmp_path, monkeypatch):
    write_array_pickle(run / "analyze" / "umap.pkl", np.random.default_rng(0).normal(size=(N, 2)))
    panels = []
    monkeypatch.setattr(
        "cryoscape.workflows.path_files.plot_path_support", lambda planes, *rest: panels.append(planes)
    )
    graph_traversal(request(run, tmp_path / "out", max_neighbors=20, avg_neighbors=20.0))
    assert [plane.x_label.split()[0] for plane, _ in panels[0]] == ["PC1", "UMAP"]
    assert (tmp_path / "out" / "z.path.txt").is_file()


def test_latents_outside_a_run_have_no_original_rows(tmp_path):
    z = np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32)
    write_array_pickle(tmp_path / "latents.pkl", z)
    graph_traversal(request(tmp_path / "latents.pkl", tmp_path / "out", max_neighbors=30, avg_neighbors=30.0))
    table = pd.read_parquet(tmp_path / "out" / "z.path_support.parquet")
    assert "nearest_original_row" not in table
    assert (tmp_path / "out" / "z.path.png").is_file()


def test_direct_path_warns_where_no_particle_is(run, tmp_path, caplog):
    written = direct_traversal(run, ("0", "3"), tmp_path / "out" / "z.txt", n_points=7)
    z = latent_table().mean
    np.testing.assert_allclose(np.loadtxt(written.z_file), np.linspace(z[0], z[3], 7), rtol=1e-4)
    assert written.points.shape == (7, ZDIM)
    with pytest.raises(InputError, match="exists"):
        direct_traversal(run, ("0", "3"), tmp_path / "out" / "z.txt")
    far = np.concatenate([z[:30], z[30:] + 40]).astype(np.float32)
    write_array_pickle(tmp_path / "far.pkl", far)
    found = direct_traversal(tmp_path / "far.pkl", ("0", "40"), tmp_path / "far.txt", n_points=5)
    assert (found.support.particles[1:4] == 0).all()
    assert "no particle supports 3 of 5 points (first 1)" in caplog.text
