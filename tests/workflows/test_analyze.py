"""Analysis of a run whose states are known: two blobs whose distance and weight follow the latent."""

import html
import json
import logging
import re
import shlex
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from cryoscape.analysis.maps import MapOptions, mirror_z
from cryoscape.cli.app import parse
from cryoscape.cli.arguments import split_command, tidy
from cryoscape.cli.commands import FAMILIES
from cryoscape.engines.latent_table import LatentTable, write_latents
from cryoscape.engines.run_folder import LoadedRun, RunFolder
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles, write_array_pickle
from cryoscape.io.mrc import read_volume
from cryoscape.workflows.analyze import AnalyzeOptions, analyze_loaded
from cryoscape.workflows.pc_traversal import pc_traversal

BOX, PIXEL = 16, 4.0
SMALL = AnalyzeOptions(ksample=4, n_per_pc=3)
NUMBERS_ONLY = replace(SMALL, skip_vol=True, skip_umap=True)


@dataclass(frozen=True)
class Blobs:
    """A volume source: a fixed blob, and one that moves with the first latent."""

    zdim: int
    box_size: int = BOX
    pixel_size_angstrom: float = PIXEL
    asked: list[np.ndarray] = field(default_factory=list)

    def volumes(self, z: np.ndarray) -> np.ndarray:
        self.asked.extend(np.asarray(z))
        grid_z, y, x = np.indices((BOX,) * 3) - BOX / 2
        out = [
            np.exp(-((x + 3) ** 2 + y**2 + grid_z**2) / 6)
            + np.exp(-((x - 3) ** 2 + y**2 + (grid_z - np.clip(row[0], -4, 4)) ** 2) / 6)
            for row in np.asarray(z)
        ]
        return np.stack(out).astype(np.float32)


@pytest.fixture
def make_run(tmp_path):
    """A loaded run of n particles in four planted clusters along the first latent."""

    def make(zdim=3, n=240, epoch=7):
        rng = np.random.default_rng(0)
        labels = rng.integers(4, size=n)
        z = 0.2 * rng.normal(size=(n, zdim))
        z[:, 0] += 4.0 * labels - 6.0
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        (folder / "metrics.jsonl").write_text(
            "".join(json.dumps({"epoch": e, "total_loss": 1 + 1 / (e + 1)}) + "\n" for e in range(8))
        )
        run = LoadedRun(
            folder=RunFolder(folder),
            source=Blobs(zdim),
            z=z.astype(np.float32),
            logvar=np.full((n, zdim), -2.0, dtype=np.float32),
            config={},
            epoch=epoch,
            pixel_size_angstrom=PIXEL,
            pixel_size_known=True,
            original_rows=3 * np.arange(n, dtype=np.int64) + 1,
        )
        return run, labels

    return make


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave plots and page away where a test is about numbers."""
    monkeypatch.setattr("cryoscape.workflows.analyze_report.write_pictures", lambda *_: None)


def warnings_in(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_everything_is_written_and_agrees(make_run, tmp_path, caplog):
    run, truth = make_run()
    out = tmp_path / "run" / "analyze.7"
    result = analyze_loaded(run, out, SMALL)
    unexpected = [w for w in warnings_in(caplog) if "points of the path" not in w]
    assert unexpected == []
    check_clusters(run, truth, out)
    check_maps(run, out)
    check_particles(run, out)
    check_commands_to_go_on_with(run, out)
    for name in [
        *("umap.png", "umap_marginals.png", "umap_hexbin.png"),
        *("z_pca.png", "z_pca_marginals.png", "z_pca_hexbin.png", "explained_variance.png"),
        *(f"kmeans4/{p}.png" for p in ("umap", "umap_hex", "z_pca", "z_pca_hex", "cluster_sizes", "maps")),
        *(f"pc1/{p}.png" for p in ("pca_traversal", "pca_traversal_hex", "scores", "maps")),
        *(f"pc2/{p}.png" for p in ("umap", "umap_traversal", "umap_traversal_connected")),
        "learning_curve_epoch7.png",
    ]:
        assert (out / name).read_bytes().startswith(b"\x89PNG"), name
    assert result.report == out / "report.html"
    page = result.report.read_text(encoding="utf-8")
    for words in ("240", "States", "PC1", "losses per epoch", "Row in original input"):
        assert words.lower() in page.lower()
    assert not [p for p in out.rglob("*") if "tmp" in p.name or p.name.startswith(".")]


def check_commands_to_go_on_with(run, out):
    """They are copied from the page into a terminal: names of this run, options that exist."""
    page = html.unescape((out / "report.html").read_text())
    lines = re.findall(r"cryoscape ([a-z_]+ [^<]*)", page)
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line)
        command, arguments = split_command(tidy(words), FAMILIES)
        parse(command, arguments)
        assert command != "filter" or "--keep" in words
        assert command not in ("filter", "analyze") or words[1:3] == [str(run.folder.path), "7"]


def check_clusters(run, truth, out):
    labels = load_pickles(out / "kmeans4" / "labels.pkl")[0]
    assert adjusted_mutual_info_score(truth, labels) == pytest.approx(1.0)
    rows = np.loadtxt(out / "kmeans4" / "centers_ind.txt", dtype=int)
    np.testing.assert_array_equal(labels[rows], np.arange(4))
    np.testing.assert_allclose(np.loadtxt(out / "kmeans4" / "centers.txt"), run.z[rows], rtol=1e-6)
    table = pd.read_parquet(out / "kmeans4" / "clusters.parquet")
    np.testing.assert_array_equal(table["particles"], np.bincount(labels))
    np.testing.assert_array_equal(table["center_original_row"], run.original_rows[rows])
    text = pd.read_csv(out / "kmeans4" / "clusters.txt", sep="\t")
    np.testing.assert_array_equal(text["center_row"], rows)


def check_maps(run, out):
    centers = np.loadtxt(out / "kmeans4" / "z_values.txt").astype(np.float32)
    for i in range(4):
        found = read_volume(out / "kmeans4" / f"vol_{i:03d}.mrc")
        assert found.pixel_size_angstrom == pytest.approx(PIXEL)
        np.testing.assert_allclose(found.data, run.source.volumes(centers[i][None])[0], atol=1e-5)
    path = np.loadtxt(out / "pc1" / "z_values.txt")
    steps = np.diff(path @ (path[-1] - path[0]))
    assert (steps > 0).all()
    assert (out / "pc2" / "vol_002.mrc").is_file()
    assert not (out / "pc2" / "vol_003.mrc").exists()
    assert "vol_003.mrc" in (out / "kmeans4" / "open_maps.cxc").read_text()


def check_particles(run, out):
    table = pd.read_parquet(out / "particles.parquet")
    np.testing.assert_array_equal(table["row"], np.arange(len(run.z)))
    np.testing.assert_array_equal(table["original_row"], run.original_rows)
    np.testing.assert_allclose(table[["z0", "z1", "z2"]], run.z, rtol=1e-6)
    np.testing.assert_allclose(table["z0_std"], np.exp(-1.0), rtol=1e-6)
    np.testing.assert_array_equal(table["cluster"], load_pickles(out / "kmeans4" / "labels.pkl")[0])
    layout = load_pickles(out / "umap.pkl")[0]
    assert layout.dtype == np.float32
    np.testing.assert_array_equal(table[["umap1", "umap2"]], layout)
    assert len(pd.read_csv(out / "particles.txt", sep="\t")) == len(run.z)


@pytest.mark.parametrize("knows_covariances", [True, False])
def test_points_of_paths_are_supported_as_pc_traversal_counts_them(
    make_run, tmp_path, no_pictures, knows_covariances
):
    run, _ = make_run(epoch=None)
    n, zdim = run.z.shape
    table = None
    if knows_covariances:
        wide = np.broadcast_to(0.09 * np.eye(zdim, dtype=np.float32), (n, zdim, zdim))
        ones = np.ones(n)
        table = LatentTable(run.z, np.ascontiguousarray(wide), ones, ones, ones)
        write_latents(run.folder.path, table, run.original_rows)
    else:
        write_array_pickle(run.folder.path / "z.pkl", run.z)
    analyze_loaded(replace(run, latents=table), tmp_path / "a", NUMBERS_ONLY)
    pc_traversal(run.folder.path / "z.pkl", tmp_path / "pc", components=[1], n_points=3)
    path = pd.read_parquet(tmp_path / "a" / "pc1" / "path.parquet")
    alone = pd.read_parquet(tmp_path / "pc" / "pc1_support.parquet")
    assert list(path["particles"]) == list(alone["particles"])
    assert len(set(path["particles"])) > 1


@pytest.mark.parametrize("zdim", [1, 2])
def test_few_dimensions_need_no_umap(make_run, tmp_path, caplog, zdim):
    run, truth = make_run(zdim)
    out = tmp_path / "a"
    result = analyze_loaded(run, out, replace(SMALL, pc=1))
    assert [w for w in warnings_in(caplog) if "points of the path" not in w] == []
    assert result.umap is None
    assert not (out / "umap.pkl").exists()
    assert adjusted_mutual_info_score(truth, result.clusters.labels) == pytest.approx(1.0)
    assert (out / ("z_hist.png" if zdim == 1 else "z_pca.png")).is_file()
    assert (out / "explained_variance.png").is_file() == (zdim > 1)
    assert (out / "pc1" / "vol_002.mrc").is_file()
    assert result.report is not None


def test_skipping_maps_and_umap_in_a_fresh_folder(make_run, tmp_path, caplog):
    run, _ = make_run()
    result = analyze_loaded(run, tmp_path / "a", NUMBERS_ONLY)
    assert [w for w in warnings_in(caplog) if "points of the path" not in w] == []
    assert run.source.asked == []
    assert result.map_sets == ()
    assert (tmp_path / "a" / "pc1" / "pca_traversal.png").is_file()
    assert not list((tmp_path / "a").rglob("*.mrc"))


@pytest.mark.usefixtures("no_pictures")
def test_maps_are_turned_to_the_other_hand_and_downsampled(make_run, tmp_path):
    run, _ = make_run()
    plain = replace(SMALL, skip_umap=True, pc=0)
    analyze_loaded(run, tmp_path / "plain", plain)
    changed = replace(plain, maps=MapOptions(flip=True, crop=8), vol_start_index=1)
    analyze_loaded(run, tmp_path / "flip", changed)
    before = read_volume(tmp_path / "plain" / "kmeans4" / "vol_002.mrc")
    after = read_volume(tmp_path / "flip" / "kmeans4" / "vol_003.mrc")
    np.testing.assert_array_equal(after.data, mirror_z(before.data)[4:12, 4:12, 4:12])
    assert after.origin_angstrom == pytest.approx((16.0, 16.0, 16.0))
    analyze_loaded(run, tmp_path / "small", replace(plain, maps=MapOptions(downsample=8)))
    small = read_volume(tmp_path / "small" / "kmeans4" / "vol_002.mrc")
    assert small.pixel_size_angstrom == pytest.approx(2 * PIXEL)
    assert small.data.sum() == pytest.approx(before.data.sum(), rel=1e-4)


@pytest.mark.usefixtures("no_pictures")
def test_a_pixel_size_that_disagrees_is_used_with_a_warning(make_run, tmp_path, caplog):
    run, _ = make_run()
    options = replace(SMALL, skip_umap=True, pc=0, pixel_size_angstrom=3.0)
    result = analyze_loaded(run, tmp_path / "a", options)
    assert read_volume(result.map_sets[0].paths[0]).pixel_size_angstrom == pytest.approx(3.0)
    assert any("--Apix 3" in w and "4 A" in w for w in warnings_in(caplog))


@pytest.mark.usefixtures("no_pictures")
def test_again_with_more_clusters_keeps_the_first_and_reuses_umap(make_run, tmp_path):
    run, _ = make_run()
    out = tmp_path / "a"
    first = analyze_loaded(run, out, replace(SMALL, skip_vol=True))
    written = (out / "umap.pkl").stat().st_mtime_ns
    second = analyze_loaded(run, out, replace(SMALL, skip_vol=True, ksample=6))
    assert (out / "umap.pkl").stat().st_mtime_ns == written
    np.testing.assert_array_equal(second.umap, first.umap)
    assert (out / "kmeans4" / "labels.pkl").is_file()
    assert (out / "kmeans6" / "labels.pkl").is_file()


@pytest.mark.usefixtures("no_pictures")
def test_other_results_are_not_overwritten_unless_forced(make_run, tmp_path):
    run, _ = make_run()
    out = tmp_path / "a"
    analyze_loaded(run, out, NUMBERS_ONLY)
    labels = (out / "kmeans4" / "labels.pkl").read_bytes()
    with pytest.raises(InputError, match=r"other settings \(seed\)"):
        analyze_loaded(run, out, replace(NUMBERS_ONLY, seed=3))
    other = replace(run, z=run.z + 1)
    with pytest.raises(InputError, match="other latents"):
        analyze_loaded(other, out, NUMBERS_ONLY)
    assert (out / "kmeans4" / "labels.pkl").read_bytes() == labels
    analyze_loaded(other, out, NUMBERS_ONLY, force=True)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not of this program"):
        analyze_loaded(run, foreign, NUMBERS_ONLY)


def test_a_failing_picture_costs_nothing_else(make_run, tmp_path, caplog, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("no ink")

    monkeypatch.setattr("cryoscape.plotting.embedding.plot_hexbin", broken)
    monkeypatch.setattr("cryoscape.workflows.analyze_pictures.render_surface", broken)
    run, _ = make_run()
    out = tmp_path / "a"
    result = analyze_loaded(run, out, replace(SMALL, skip_umap=True))
    assert any("z_pca_hexbin.png" in w and "no ink" in w for w in warnings_in(caplog))
    assert (out / "z_pca.png").is_file()
    assert (out / "kmeans4" / "vol_003.mrc").is_file()
    assert result.report is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (replace(SMALL, ksample=0), "at least 1"),
        (replace(SMALL, gmm=0), "--gmm"),
        (replace(SMALL, n_per_pc=0), "--n-per-pc"),
        (replace(SMALL, maps=MapOptions(downsample=32)), "at most 16"),
        (replace(SMALL, pixel_size_angstrom=-1.0), "--Apix"),
    ],
)
def test_unusable_settings_leave_no_folder(make_run, tmp_path, options, words):
    run, _ = make_run()
    with pytest.raises(InputError, match=words):
        analyze_loaded(run, tmp_path / "a", options)
    assert not (tmp_path / "a").exists()


def test_diverged_latents_are_refused(make_run, tmp_path):
    run, _ = make_run()
    run.z[3, 0] = np.nan
    with pytest.raises(InputError, match=r"z\.7\.pkl.*not finite"):
        analyze_loaded(run, tmp_path / "a", SMALL)


@pytest.mark.usefixtures("no_pictures")
def test_more_components_and_clusters_than_there_are(make_run, tmp_path, caplog):
    run, _ = make_run(zdim=2, n=5)
    result = analyze_loaded(run, tmp_path / "a", replace(NUMBERS_ONLY, ksample=20, pc=5))
    assert result.clusters.k == 5
    assert (tmp_path / "a" / "kmeans20" / "labels.pkl").is_file()
    text = " ".join(warnings_in(caplog))
    assert "Only 5 of 20 clusters" in text
    assert "Only 2 of 5 components" in text


@pytest.mark.usefixtures("no_pictures")
def test_maps_are_the_same_however_many_are_made_at_once(make_run, tmp_path, monkeypatch):
    run, _ = make_run()
    options = replace(SMALL, skip_umap=True, pc=0, ksample=5)
    analyze_loaded(run, tmp_path / "together", options)
    monkeypatch.setattr("cryoscape.workflows.analyze_maps.VOXELS_AT_ONCE", 2 * BOX**3)
    analyze_loaded(run, tmp_path / "two", options)
    for i in range(5):
        name = f"kmeans5/vol_{i:03d}.mrc"
        together, two = (read_volume(tmp_path / folder / name).data for folder in ("together", "two"))
        np.testing.assert_array_equal(together, two)


def test_of_many_maps_some_are_pictured_at_even_steps(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr("cryoscape.workflows.analyze_pictures.MAX_RENDERED", 3)
    run, _ = make_run()
    result = analyze_loaded(run, tmp_path / "a", replace(SMALL, skip_umap=True, pc=0, ksample=9))
    assert result.report is not None
    page = result.report.read_text(encoding="utf-8")
    assert [f'alt="map {i}"' in page for i in range(9)] == [i in (0, 4, 8) for i in range(9)]
    assert "Some of the maps are shown" in page


def test_the_course_of_networks_on_a_subspace_stands_for_their_losses(make_run, tmp_path):
    run, _ = make_run(epoch=2)
    lines = [
        {"epoch": e, "round": int(e > 1), "total_loss": -e, "training_bound": e, "held_out_bound": e}
        | {"held_out_log_likelihood": e, "kl_divergence": 2.0}
        for e in range(3)
    ]
    (run.folder.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run.folder.path / "run.json").write_text('{"result": {"held_out_log_likelihood_of_subspace": 1.5}}')
    result = analyze_loaded(run, tmp_path / "a", NUMBERS_ONLY)
    assert (tmp_path / "a" / "training.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a" / "learning_curve_epoch2.png").is_file()
    assert result.report is not None
    page = result.report.read_text(encoding="utf-8")
    assert "Where maps are made again" in page
    assert "Average losses per epoch" not in page
