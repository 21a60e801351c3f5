"""What cells call: tables, clusters, maps and selections, against the run they are of."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_rows
from cryoscape.io.mrc import read_volume
from cryoscape.notebooks import analysis, dataframe, generate_volumes, load_run, plots, save_selection, utils
from cryoscape.notebooks.plots import Note, Pictures
from cryoscape.workflows.filter_columns import RunColumns
from linear_run import BOX, PIXEL_SIZE_ANGSTROM, N, linear_maps, write_linear_run
from particle_files import noise_images, write_stack

K = 4


@pytest.fixture
def run(tmp_path: Path) -> RunColumns:
    """Clusters along z0; the run holds every other row of a stack of 2 N images."""
    folder = write_linear_run(tmp_path / "run")
    write_stack(folder / "s.mrcs", noise_images(2 * N, BOX), PIXEL_SIZE_ANGSTROM)
    return load_run(folder)


def test_the_table_is_that_of_the_latents(run: RunColumns) -> None:
    df = dataframe(run, K)
    np.testing.assert_array_equal(df.index, np.arange(N))
    np.testing.assert_array_equal(df[["z0", "z1", "z2"]], run.z)
    np.testing.assert_array_equal(df["original_row"], 2 * np.arange(N))
    centred = run.z - run.z.mean(axis=0)
    np.testing.assert_allclose(df["PC1"] ** 2, (centred @ np.linalg.svd(centred)[2][0]) ** 2, atol=1e-5)
    length = np.linalg.norm(run.z.astype(float), axis=1)
    np.testing.assert_allclose(df["znorm"], (length - length.mean()) / length.std(), rtol=1e-6)
    assert {"contrast", "log_likelihood", "junk_score"} <= set(df)
    assert not {"theta", "df1", "UMAP1"} & set(df)  # neither poses, CTF nor an analysis are there
    truth = np.arange(N) % 4
    assert pd.crosstab(df["labels"], truth).gt(0).sum().sum() == K


def test_clusters_and_their_centres(run: RunColumns) -> None:
    labels, centers = analysis.cluster_kmeans(run.z, K)
    on_data, rows = analysis.get_nearest_point(run.z, centers)
    np.testing.assert_array_equal(on_data, centers)
    np.testing.assert_array_equal(labels[rows], np.arange(K))
    np.testing.assert_array_equal(analysis.center_ind(run.z, labels), rows)
    queries = np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
    distance = np.linalg.norm(run.z[None] - queries[:, None], axis=2)
    np.testing.assert_array_equal(analysis.get_nearest_point(run.z, queries)[1], distance.argmin(axis=1))
    gaussians, _ = analysis.cluster_gmm(run.z, K)
    assert pd.crosstab(gaussians, labels).gt(0).sum().sum() == K
    table = analysis.cluster_table(dataframe(run), labels)
    assert table["particles"].tolist() == [N // K] * K


def test_particles_by_clusters_scores_and_conditions(run: RunColumns) -> None:
    df = dataframe(run, K)
    labels = df["labels"].to_numpy()
    np.testing.assert_array_equal(
        analysis.get_ind_for_cluster(labels, [0, 3]), df.index[df["labels"].isin([0, 3])]
    )
    np.testing.assert_array_equal(analysis.ind_beyond_zscore(run.z, 1.0), df.index[df["znorm"] > 1])
    np.testing.assert_array_equal(analysis.ind_beyond_zscore(run.z, -1.0), df.index[df["znorm"] < -1])
    np.testing.assert_array_equal(
        analysis.ind_where(df, "z0 > 2 and PC2 < 0"), df.query("z0 > 2 & PC2 < 0").index
    )
    with pytest.raises(InputError, match="there is no cluster 7"):
        analysis.get_ind_for_cluster(labels, [7])
    with pytest.raises(InputError, match=r"UMAP9.*columns are"):
        analysis.ind_where(df, "UMAP9 > 1")


def test_the_cells_of_the_protocol(run: RunColumns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps 24 and 37 as printed, but for a missing quote, K, and one spelling of the column."""
    monkeypatch.chdir(tmp_path)
    df, z = dataframe(run, K).assign(UMAP1=lambda t: t["z0"]), run.z
    names = {"df": df, "z": z, "analysis": analysis, "utils": utils, "pd": pd}
    step_24 = """
sub = df[df['UMAP1'] < 2.5]
sub_z = z[sub.index]
K = 3
kmeans_labels, centers = analysis.cluster_kmeans(sub_z, K)
centers, centers_ind = analysis.get_nearest_point(sub_z, centers)
centers_ind_df = sub.index[centers_ind]
sub = sub.copy()
sub.loc[:, 'kmeans500'] = kmeans_labels
sub.to_csv('kmeans500_df.csv')
utils.save_pkl(centers_ind_df, 'kmeans500_labels.pkl')
"""
    step_37 = """
df = pd.read_csv('kmeans500_df.csv', index_col = 0)
c4 = [1, 2]
df_c4 = df[df['kmeans500'].isin(c4)]
ind_selected = df_c4.index
"""
    exec(step_24, names)
    exec(step_37, names)
    truth = np.arange(N) % 4
    np.testing.assert_array_equal(names["ind_selected"], np.flatnonzero((truth == 1) | (truth == 2)))
    centers = read_rows(tmp_path / "kmeans500_labels.pkl")
    np.testing.assert_array_equal(truth[centers], [0, 1, 2])
    np.testing.assert_array_equal(utils.load_pkl("kmeans500_labels.pkl"), names["centers_ind_df"])


def test_pickles_are_not_replaced_by_accident(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    utils.save_pkl([1, 2, 3], path)
    utils.save_pkl(pd.Series([1, 2, 3]), path)
    with pytest.raises(InputError, match="force=True"):
        utils.save_pkl([1, 2], path)
    utils.save_pkl(np.array([1.5]), path, force=True)
    np.testing.assert_array_equal(utils.load_pkl(path), [1.5])
    with pytest.raises(InputError, match="expected numbers"):
        utils.save_pkl(["a", None], tmp_path / "b.pkl")


def test_maps_of_particles(run: RunColumns) -> None:
    made = generate_volumes(run, pd.Index([5, 17]), flip=True)
    assert made.folder == (run.analysis / "reconstruct_000000").resolve()
    assert [path.name for path in made.files] == ["vol_000.mrc", "vol_001.mrc"]
    maps = linear_maps()
    for path, row in zip(made.files, (5, 17), strict=True):
        expected = maps.mean + np.tensordot(run.z[row], maps.bases, 1)
        found = read_volume(path)
        np.testing.assert_allclose(found.data[1:], expected[:0:-1], atol=1e-5)
        assert found.pixel_size_angstrom == pytest.approx(PIXEL_SIZE_ANGSTROM)
    np.testing.assert_array_equal(np.loadtxt(made.folder / "rows.txt"), [5, 17])
    assert "vol_001.mrc" in (made.folder / "open_maps.cxc").read_text()
    assert isinstance(made.show(), Pictures)
    assert generate_volumes(run, [3], Apix=4.0).pixel_size_angstrom == pytest.approx(4.0)
    assert (run.analysis / "reconstruct_000001" / "vol_000.mrc").is_file()
    for ind, more, words in (
        ([], {}, "expected rows of z"),
        ([N], {}, "expected rows of z"),
        ([1], {"outdir": made.folder}, "holds maps already"),
    ):
        with pytest.raises(InputError, match=words):
            generate_volumes(run, ind, **more)


def test_a_selection_in_rows_of_the_original_input(run: RunColumns) -> None:
    kept = np.array([7, 3, 11])
    saved = save_selection(run, pd.Index(kept), note="by eye")
    assert saved.keep == run.folder.path.resolve() / "ind_keep.3_particles.pkl"
    assert saved.bad == run.folder.path.resolve() / f"ind_bad.{N - 3}_particles.pkl"
    np.testing.assert_array_equal(read_rows(saved.keep), [6, 14, 22])
    assert saved.bad is not None
    both = np.concatenate([read_rows(saved.keep), read_rows(saved.bad)])
    np.testing.assert_array_equal(np.sort(both), 2 * np.arange(N))
    assert json.loads(saved.keep.with_suffix(".json").read_text())["provenance"]["note"] == "by eye"
    save_selection(run, kept)  # the same once more
    with pytest.raises(InputError, match="with other particles"):
        save_selection(run, [1, 2, 3])
    np.testing.assert_array_equal(read_rows(saved.keep), [6, 14, 22])
    with pytest.raises(InputError, match="nothing is selected"):
        save_selection(run, [])
    with pytest.raises(InputError, match=f"row {N} is selected"):
        save_selection(run, [N])


def test_pictures_and_notes(run: RunColumns, tmp_path: Path) -> None:
    df = dataframe(run, K)
    labels = df["labels"].to_numpy()
    for drawn in (
        plots.latents(run),
        plots.latents(run, "points"),
        plots.variance(run),
        plots.clusters(run, labels),
        plots.imaging(run, df),
        plots.colored(run, df["contrast"]),
        plots.distribution(df["znorm"], mark=1.0),
        plots.selection(run, [1, 2]),
        plots.marked(run, [1, 2]),
        plots.images(run, [1, 2], n=2),
    ):
        assert isinstance(drawn, Pictures)
        data, shown = drawn._repr_mimebundle_()
        assert data["image/png"].startswith(b"\x89PNG")
        assert shown["image/png"]["width"] > 200
    plots.latents(run).save(tmp_path / "a.png")
    assert imread(tmp_path / "a.png").ndim == 3
    assert isinstance(plots.training(run), Note)
    assert isinstance(plots.views(df), Note)
    posed = df.assign(phi=10.0 * df.index, theta=3.0 * df.index, psi=0.0, tx=df["z0"], ty=df["z1"])
    assert isinstance(plots.views(posed), Pictures)
    (run.folder.path / "s.mrcs").unlink()
    missing = plots.images(run, [1])
    assert isinstance(missing, Note)
    assert "s.mrcs" in missing._repr_markdown_()
    with pytest.raises(InputError, match="is selected, but"):
        plots.selection(run, [N])
