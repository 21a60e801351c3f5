from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cryoscape.errors import InputError
from cryoscape.io.mrc import write_volume
from cryoscape.workflows.direct_traversal import direct_traversal
from cryoscape.workflows.make_movies import MoviesRequest, make_movies
from cryoscape.workflows.movie_maps import series_of_folder
from cryoscape.workflows.movie_options import (
    MovieOptions,
    camera_axes,
    frame_positions,
    frames_a_second,
    read_camera,
)
from linear_run import BOX, PIXEL_SIZE_ANGSTROM, blob, write_linear_run

SMALL = MovieOptions(size_px=64)


def write_maps(folder: Path, names: list[str], box: int = BOX) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        volume = 2 * blob(0, 0, 0) + blob(i - 1.0, 3, 0)
        write_volume(folder / name, volume[:box, :box, :box], PIXEL_SIZE_ANGSTROM)


def n_frames(path: Path) -> int:
    with Image.open(path) as movie:
        return movie.n_frames


def test_maps_of_a_folder_come_by_number_with_their_particles(tmp_path):
    write_maps(tmp_path, ["vol_002.mrc", "vol_010.mrc", "vol_009.mrc", "vol_mean.mrc"])
    pd.DataFrame({"particles": [7, 8, 9]}).to_parquet(tmp_path / "path.parquet")
    series = series_of_folder(tmp_path)
    assert series.names == ("Map 2", "Map 9", "Map 10")
    assert series.pixel_size_angstrom == PIXEL_SIZE_ANGSTROM
    assert series.is_path
    assert series.counts is not None
    assert (list(series.counts.values), series.counts.words) == ([7, 8, 9], "particles near")
    np.testing.assert_array_equal(series.read(1), 2 * blob(0, 0, 0) + blob(1.0, 3, 0))


def test_clusters_and_states_are_no_path(tmp_path):
    write_maps(tmp_path / "kmeans2", ["vol_000.mrc", "vol_001.mrc"])
    pd.DataFrame({"particles": [30, 10]}).to_parquet(tmp_path / "kmeans2" / "clusters.parquet")
    clusters = series_of_folder(tmp_path / "kmeans2")
    assert (clusters.names, clusters.is_path) == (("Cluster 0", "Cluster 1"), False)
    write_maps(tmp_path / "run", ["state_000.mrc", "state_000_half_a.mrc", "state_001.mrc"])
    pd.DataFrame({"state": [0, 1], "particles": [3, 4]}).to_csv(tmp_path / "run" / "states.csv")
    states = series_of_folder(tmp_path / "run")
    assert (states.names, states.is_path) == (("State 0", "State 1"), False)
    assert states.counts is not None
    assert (list(states.counts.values), states.counts.words) == ([3, 4], "particles")


def test_folders_without_one_series_of_one_size_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no numbered maps"):
        series_of_folder(tmp_path / "empty")
    write_maps(tmp_path / "two", ["a_0.mrc", "b_0.mrc", "b_1.mrc"])
    with pytest.raises(InputError, match=r"several series of maps \(a_\*\.mrc, b_\*\.mrc\)"):
        series_of_folder(tmp_path / "two")
    assert series_of_folder(tmp_path / "two", prefix="b_").names == ("Map 0", "Map 1")
    write_maps(tmp_path / "sizes", ["vol_0.mrc"])
    write_maps(tmp_path / "more", ["vol_1.mrc"], box=BOX - 2)
    (tmp_path / "more" / "vol_1.mrc").rename(tmp_path / "sizes" / "vol_1.mrc")
    with pytest.raises(InputError, match="14 voxels"):
        series_of_folder(tmp_path / "sizes")


def test_frames_pass_evenly_between_maps_and_back():
    path = frame_positions(3, MovieOptions(between=1), is_path=True)
    np.testing.assert_allclose(path, [0, 0.5, 1, 1.5, 2])
    back = frame_positions(3, MovieOptions(between=1, back_and_forth=True), is_path=True)
    np.testing.assert_allclose(back, [0, 0.5, 1, 1.5, 2, 1.5, 1, 0.5])
    np.testing.assert_allclose(frame_positions(3, MovieOptions(), is_path=False), [0, 1, 2])
    assert len(frame_positions(3, MovieOptions(turn_degrees=-360.0), is_path=True)) >= 90
    turned = frame_positions(4, MovieOptions(turn_degrees=90.0), is_path=False)
    assert len(turned) >= 23
    assert set(turned) == {0, 1, 2, 3}
    assert len(frame_positions(1, MovieOptions(turn_degrees=40.0), is_path=True)) == 10
    assert frames_a_second(path, MovieOptions()) == 15
    assert frames_a_second(np.arange(4.0), MovieOptions()) == 3
    assert frames_a_second(np.arange(4.0), MovieOptions(fps=8.0)) == 8


def test_camera_of_chimerax_as_axes_of_the_view():
    # turned by 90 degrees about y: what was x now points away from the viewer, z to the right
    axes = camera_axes(read_camera("0,0,-1,-300, 0,1,0,10, 1,0,0,20"))
    np.testing.assert_allclose(axes, [[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    with pytest.raises(InputError, match="12 numbers"):
        camera_axes((1.0, 0.0))
    with pytest.raises(InputError, match="rotation"):
        camera_axes((2.0, *[0.0] * 11))
    with pytest.raises(InputError, match="numbers between commas"):
        read_camera("1,x")


def test_a_run_along_a_path_without_maps_on_disk(tmp_path):
    run = write_linear_run(tmp_path / "run")
    path = direct_traversal(run, ("0", "3"), tmp_path / "z.path.txt", n_points=3)
    request = MoviesRequest(run, zfile=path.z_file, output=tmp_path / "m.gif", options=SMALL)
    assert make_movies(request) == (tmp_path / "m.gif",)
    assert n_frames(tmp_path / "m.gif") == 11
    with Image.open(tmp_path / "m.gif") as movie:
        first = np.asarray(movie.convert("L")).astype(int)
        movie.seek(10)
        last = np.asarray(movie.convert("L")).astype(int)
    assert (np.abs(first - last) > 40).sum() > 20
    with pytest.raises(InputError, match=r"m\.gif: exists"):
        make_movies(request)
    assert not list(run.glob("*.mrc"))
    (tmp_path / "wrong.txt").write_text("1 2\n")
    with pytest.raises(InputError, match="2 values a line, the run has 3"):
        make_movies(
            MoviesRequest(run, zfile=tmp_path / "wrong.txt", output=tmp_path / "w.gif", options=SMALL)
        )


def test_each_folder_of_an_analysis_gets_its_movie(tmp_path, monkeypatch):
    monkeypatch.setattr("cryoscape.workflows.make_movies.best_suffix", lambda: ".gif")
    run = write_linear_run(tmp_path / "run")
    with pytest.raises(InputError, match="no folders of maps; run `cryoscape analyze "):
        make_movies(MoviesRequest(run, options=SMALL))
    write_maps(run / "analyze" / "kmeans3", ["vol_000.mrc", "vol_001.mrc", "vol_002.mrc"])
    pd.DataFrame({"particles": [3, 2, 1]}).to_parquet(run / "analyze" / "kmeans3" / "clusters.parquet")
    write_maps(run / "analyze" / "pc1", ["vol_000.mrc", "vol_001.mrc"])
    files = make_movies(MoviesRequest(run, options=SMALL, name="film"))
    assert [str(file.relative_to(run)) for file in files] == [
        "analyze/kmeans3/film.gif",
        "analyze/pc1/film.gif",
    ]
    assert [n_frames(file) for file in files] == [3, 6]


def test_all_maps_share_the_view_and_the_level(tmp_path):
    """The ball that all maps share does not move while another one does."""
    folder = tmp_path / "maps"
    for i in range(3):
        folder.mkdir(exist_ok=True)
        volume = np.maximum(2 * blob(-3, 0, 0), 2 * blob(4, 1.5 * i - 1.5, 0))
        write_volume(folder / f"vol_{i:03d}.mrc", volume, 2.0)
    options = MovieOptions(size_px=64, between=0, labels=False)
    make_movies(MoviesRequest(folder, options=options, output=tmp_path / "m.gif"))
    shapes = []
    with Image.open(tmp_path / "m.gif") as movie:
        assert movie.size == (64, 64)
        for i in range(3):
            movie.seek(i)
            shapes.append(np.asarray(movie.convert("L")) < 250)
    changed = (shapes[0] != shapes[1]) | (shapes[1] != shapes[2])
    half = slice(0, 24), slice(40, 64)
    moved = [max(changed[:, s].sum(), changed[s].sum()) for s in half]
    assert max(moved) > 20
    still = [min(changed[:, s].sum(), changed[s].sum()) for s in half]
    assert min(still) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (MovieOptions(fps=0.0), "--fps"),
        (MovieOptions(between=-1), "--between"),
        (MovieOptions(size_px=65), "--size"),
        (MovieOptions(level=100.0), "no map has density above it"),
    ],
)
def test_options_that_make_no_movie_are_refused(tmp_path, options, words):
    write_maps(tmp_path / "maps", ["vol_000.mrc", "vol_001.mrc"])
    with pytest.raises(InputError, match=words):
        make_movies(MoviesRequest(tmp_path / "maps", options=options, output=tmp_path / "m.gif"))
    assert not (tmp_path / "m.gif").exists()


def test_support_of_another_path_is_refused(tmp_path):
    write_maps(tmp_path / "maps", ["vol_000.mrc", "vol_001.mrc"])
    pd.DataFrame({"particles": [5, 6]}).to_parquet(tmp_path / "z_support.parquet")
    series = series_of_folder(tmp_path / "maps", tmp_path / "z.txt")
    assert series.counts is not None
    assert list(series.counts.values) == [5, 6]
    pd.DataFrame({"particles": [5, 6, 7]}).to_parquet(tmp_path / "z_support.parquet")
    with pytest.raises(InputError, match="3 points, but there are 2 maps"):
        series_of_folder(tmp_path / "maps", tmp_path / "z.txt")


def test_movies_of_an_analysis_of_maps_leave_out_its_many_maps(tmp_path, monkeypatch):
    monkeypatch.setattr("cryoscape.workflows.make_movies.best_suffix", lambda: ".gif")
    monkeypatch.setattr("cryoscape.workflows.make_movies.MAX_MAPS_OF_FOLDER", 3)
    run = write_linear_run(tmp_path / "run")
    states = run / "landscape" / "sketch_clustering_average_2"
    write_maps(states, ["state_000_mean.mrc", "state_000_std.mrc", "state_001_mean.mrc"])
    pd.DataFrame({"particles": [40, 20]}).to_parquet(states / "states.parquet")
    write_maps(run / "landscape" / "vol_pcs" / "pc1", [f"vol_{i:03d}.mrc" for i in range(4)])
    files = make_movies(MoviesRequest(run, kind="volume", options=SMALL))
    assert files == (states / "movie.gif",)
    assert n_frames(files[0]) == 2
