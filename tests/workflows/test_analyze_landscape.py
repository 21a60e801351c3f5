"""Landscapes of runs whose maps are known: linear ones, and a decoder of blobs that move and come and go."""

import json
import logging
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from cryoscape.analysis.maps import MapOptions, mirror_z
from cryoscape.engines.run_folder import LoadedRun, RunFolder, load_run
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles
from cryoscape.io.mrc import read_volume, write_volume
from cryoscape.workflows.analyze_landscape import analyze_landscape, analyze_loaded_landscape
from cryoscape.workflows.analyze_landscape_full import (
    LandscapeFullOptions,
    analyze_landscape_full,
    analyze_loaded_full,
)
from cryoscape.workflows.analyze_landscape_maps import MaskOptions
from cryoscape.workflows.analyze_landscape_results import read_model
from cryoscape.workflows.analyze_landscape_settings import LandscapeOptions
from folders import listing
from linear_run import BOX, PIXEL_SIZE_ANGSTROM, N, linear_maps, write_linear_run

SMALL = LandscapeOptions(sketch_size=20, n_states=4, pc_dim=3, plot_dim=3, pc=1, n_per_pc=3, skip_umap=True)
FEW = LandscapeFullOptions(training_volumes=40, skip_umap=True)


@dataclass(frozen=True)
class Blobs:
    """A decoder: a ball that stays, and one that moves with z0 and grows with the square of z1."""

    zdim: int = 3
    box_size: int = BOX
    pixel_size_angstrom: float = 4.0
    asked: list[np.ndarray] = field(default_factory=list)

    def volumes(self, z: np.ndarray) -> np.ndarray:
        self.asked.extend(np.asarray(z))
        grid_z, y, x = np.indices((BOX,) * 3) - BOX / 2
        out = [
            np.exp(-((x + 3) ** 2 + y**2 + grid_z**2) / 6)
            + (1 + 0.1 * row[1] ** 2)
            * np.exp(-((x - 3) ** 2 + y**2 + (grid_z - np.clip(row[0], -4, 4)) ** 2) / 6)
            for row in np.asarray(z)
        ]
        return np.stack(out).astype(np.float32)


@pytest.fixture
def decoder_run(tmp_path):
    """A loaded run of a decoder with four planted groups along z0, and the groups."""
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=200)
    z = 0.2 * rng.normal(size=(200, 3))
    z[:, 0] += 2.4 * truth - 3.6
    (tmp_path / "run").mkdir()
    run = LoadedRun(
        folder=RunFolder(tmp_path / "run"),
        source=Blobs(),
        z=z.astype(np.float32),
        logvar=None,
        config={},
        epoch=7,
        pixel_size_angstrom=4.0,
        pixel_size_known=True,
        original_rows=3 * np.arange(200, dtype=np.int64) + 1,
    )
    return run, truth


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave plots and pages away where a test is about numbers."""
    for name in ("landscape_report.write_landscape_pictures", "landscape_full_report.write_full_pictures"):
        monkeypatch.setattr(f"cryoscape.workflows.analyze_{name}", lambda *_: None)


def warnings_in(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_linear_run_from_its_folder(tmp_path, caplog):
    run = write_linear_run(tmp_path / "run")
    result = analyze_landscape(run, options=SMALL)
    out = run / "landscape"
    assert result.folder == out
    assert warnings_in(caplog) == []
    labels = load_pickles(out / "kmeans20" / "labels.pkl")[0]
    states = load_pickles(out / "sketch_clustering_ward_4" / "state_labels.pkl")[0]
    table = pd.read_parquet(out / "particles.parquet")
    np.testing.assert_array_equal(table["state"], states[labels])
    np.testing.assert_array_equal(table["original_row"], 2 * np.arange(N))
    assert adjusted_mutual_info_score(np.arange(N) % 4, table["state"]) == pytest.approx(1.0)
    counts = pd.read_parquet(out / "sketch_clustering_ward_4" / "states.parquet")
    np.testing.assert_array_equal(counts["particles"], np.bincount(table["state"]))
    assert counts["share"].sum() == pytest.approx(1.0)
    for state in range(4):
        rows = load_pickles(out / "sketch_clustering_ward_4" / f"state_{state:03d}_particle_ind.pkl")[0]
        np.testing.assert_array_equal(rows, table["original_row"][table["state"] == state])
    for name in (
        *("report.html", "mask.mrc", "mask_slices.png", "landscape.json", "vol_pca_20.pkl"),
        *("vol_pca_variance.png", "kmeans20/vol_mean.mrc", "kmeans20/centers_ind.txt"),
        *("vol_pcs/pc1/vol_002.mrc", "vol_pcs/pc1/open_maps.cxc"),
        *(f"sketch_clustering_ward_4/{n}.png" for n in ("tree", "states", "state_particle_counts")),
        *(f"sketch_clustering_ward_4/vol_pca_20_{pair}.png" for pair in ("1_2", "2_3", "all")),
    ):
        assert (out / name).is_file(), name
    assert "state_003_mean.mrc" in (out / "sketch_clustering_ward_4" / "open_maps.cxc").read_text()
    assert not list((out / "kmeans20").glob("vol_0*.mrc"))
    assert not [p for p in out.rglob("*") if p.name.startswith(".")]


@pytest.mark.usefixtures("no_pictures")
def test_maps_of_states_are_the_mean_maps_of_their_particles(tmp_path):
    run = write_linear_run(tmp_path / "run")
    result = analyze_landscape(run, options=SMALL)
    z, maps = load_run(run).z, linear_maps()
    for state, path in enumerate(result.states.means):
        own = maps.volumes(z[result.found.particle_states == state])
        stored = read_volume(path)
        np.testing.assert_allclose(stored.data, own.mean(axis=0), atol=1e-5)
        assert stored.pixel_size_angstrom == pytest.approx(PIXEL_SIZE_ANGSTROM)
    mean = read_volume(result.folder / "kmeans20" / "vol_mean.mrc").data
    np.testing.assert_allclose(mean, maps.volumes(z).mean(axis=0), atol=1e-5)


@pytest.mark.usefixtures("no_pictures")
def test_all_particles_of_a_linear_run_lie_where_their_maps_do(tmp_path):
    run = write_linear_run(tmp_path / "run")
    options = replace(SMALL, maps=MapOptions(flip=True, low_pass_angstrom=8.0))
    landscape = analyze_landscape(run, options=options)
    full = analyze_landscape_full(run, options=FEW)
    z = load_run(run).z
    stored = load_pickles(run / "landscape" / "landscape_full" / "vol_pca_all.pkl")[0]
    np.testing.assert_allclose(stored, full.found.coordinates, rtol=1e-5, atol=1e-6)
    # the slow way: every particle's map, filtered and mirrored, times the mask
    from cryoscape.workflows.analyze_landscape_maps import finished_maps

    maps = finished_maps(Plain(), PIXEL_SIZE_ANGSTROM, options.maps)
    assert maps.linear is None
    projected = read_model(run / "landscape" / "vol_pca.npz").project(maps.volumes(z))
    np.testing.assert_allclose(full.found.coordinates, projected, atol=1e-4)
    masked = maps.volumes(z).reshape(N, -1) * landscape.found.mask.ravel()
    apart = np.linalg.norm(masked[:, None] - masked[None], axis=2)
    found = np.linalg.norm(full.found.coordinates[:, None] - full.found.coordinates[None], axis=2)
    np.testing.assert_allclose(found, apart, atol=1e-3)


class Plain:
    """The maps of the linear run, as of an engine that is not known to be linear."""

    zdim, box_size, pixel_size_angstrom = 3, BOX, PIXEL_SIZE_ANGSTROM

    def volumes(self, z):
        return linear_maps().volumes(z)


@pytest.mark.usefixtures("no_pictures")
def test_both_routes_find_the_same_landscape(tmp_path):
    folder = write_linear_run(tmp_path / "run")
    run = load_run(folder)
    linear = analyze_loaded_landscape(run, tmp_path / "a", replace(SMALL, sketch_size=N))
    decoded = analyze_loaded_landscape(
        replace(run, source=Plain()), tmp_path / "b", replace(SMALL, sketch_size=N)
    )
    assert decoded.found.linear is None
    np.testing.assert_array_equal(decoded.found.states, linear.found.states)
    np.testing.assert_allclose(
        decoded.found.components.coordinates[:, :3], linear.found.components.coordinates, atol=1e-4
    )
    np.testing.assert_array_equal(decoded.found.mask, linear.found.mask)
    for a, b in zip(linear.states.means, decoded.states.means, strict=True):
        np.testing.assert_allclose(read_volume(a).data, read_volume(b).data, atol=1e-5)
    for a, b in zip(linear.states.deviations, decoded.states.deviations, strict=True):
        np.testing.assert_allclose(read_volume(a).data, read_volume(b).data, atol=1e-4)


def test_a_decoder_and_all_its_particles(decoder_run, tmp_path, caplog):
    run, truth = decoder_run
    out = tmp_path / "run" / "landscape.7"
    result = analyze_loaded_landscape(run, out, SMALL)
    assert adjusted_mutual_info_score(truth, result.found.particle_states) == pytest.approx(1.0)
    rows = np.loadtxt(out / "kmeans20" / "centers_ind.txt", dtype=int)
    third = read_volume(out / "kmeans20" / "vol_003.mrc").data
    np.testing.assert_allclose(third, run.source.volumes(run.z[rows[3:4]])[0], atol=1e-6)
    full = analyze_loaded_full(run, out, out / "landscape_full", FEW)
    assert warnings_in(caplog) == []
    assert full.found.held_out_r2 is not None
    assert full.found.held_out_r2[0] > 0.99
    exact = read_model(out / "vol_pca.npz").project(run.source.volumes(run.z))
    spread = exact[:, 0].std()
    assert np.abs(full.found.coordinates[:, 0] - exact[:, 0]).mean() < 0.05 * spread
    assert adjusted_mutual_info_score(truth, full.found.assignment.labels) > 0.95
    place = out / "landscape_full"
    for name in ("held_out_r2.png", "volpca_landscape.png", "full_clustering/states.png"):
        assert (place / name).read_bytes().startswith(b"\x89PNG"), name
    page = (place / "report.html").read_text(encoding="utf-8")
    assert "would be free energies in units of kT only if" in page
    assert "predicted" in page


@pytest.mark.usefixtures("no_pictures")
def test_another_number_of_states_decodes_nothing_again(decoder_run, tmp_path):
    run, _ = decoder_run
    out = tmp_path / "out"
    analyze_loaded_landscape(run, out, SMALL)
    asked = len(run.source.asked)
    again = replace(SMALL, n_states=2, linkage="average", skip_vol=True)
    assert analyze_loaded_landscape(run, out, again).found.n_states == 2
    assert len(run.source.asked) == asked
    assert (out / "sketch_clustering_ward_4").is_dir()
    assert (out / "sketch_clustering_average_2" / "state_001_mean.mrc").is_file()
    full = analyze_loaded_full(run, out, out / "landscape_full", FEW)
    asked = len(run.source.asked)
    same = analyze_loaded_full(run, out, out / "landscape_full", replace(FEW, skip_vol=True))
    # a decoder is asked for the maps of the states only
    assert len(run.source.asked) == asked + full.found.n_states
    np.testing.assert_allclose(same.found.coordinates, full.found.coordinates)


@pytest.mark.usefixtures("no_pictures")
def test_hand_box_and_pixel_size_of_maps(tmp_path):
    run = write_linear_run(tmp_path / "run")
    plain = analyze_landscape(run, options=SMALL)
    other = replace(SMALL, maps=MapOptions(downsample=12, flip=True), pixel_size_angstrom=3.0)
    changed = analyze_landscape(run, options=other, output=tmp_path / "other")
    stored = read_volume(changed.states.means[0])
    assert stored.data.shape == (12, 12, 12)
    assert stored.pixel_size_angstrom == pytest.approx(3.0 * BOX / 12)
    whole = replace(SMALL, maps=MapOptions(flip=True))
    mirrored = analyze_landscape(run, options=whole, output=tmp_path / "mirrored")
    np.testing.assert_allclose(mirrored.found.mean, mirror_z(plain.found.mean), atol=1e-6)


@pytest.mark.usefixtures("no_pictures")
def test_a_mask_of_the_user_hides_the_rest(tmp_path):
    run = write_linear_run(tmp_path / "run")
    # z0, which parts the groups, moves density at x = +4: cover it
    mask = np.ones((BOX,) * 3, dtype=np.float32)
    mask[:, :, BOX // 2 + 1 :] = 0
    write_volume(tmp_path / "mask.mrc", mask, PIXEL_SIZE_ANGSTROM)
    options = replace(SMALL, mask=MaskOptions(path=tmp_path / "mask.mrc"))
    found = analyze_landscape(run, options=options).found
    np.testing.assert_array_equal(found.mask, mask)
    assert adjusted_mutual_info_score(np.arange(N) % 4, found.particle_states) < 0.5
    coarse = np.kron(mask, np.ones((2, 2, 2), dtype=np.float32))
    write_volume(tmp_path / "fine.mrc", coarse, PIXEL_SIZE_ANGSTROM / 2)
    options = replace(SMALL, mask=MaskOptions(path=tmp_path / "fine.mrc"))
    fine = analyze_landscape(run, options=options, output=tmp_path / "fine").found
    assert np.abs(fine.mask - mask).mean() < 0.06


@pytest.mark.usefixtures("no_pictures")
def test_the_mask_holds_what_only_some_particles_have(tmp_path):
    found = analyze_landscape(write_linear_run(tmp_path / "run"), options=SMALL).found
    middle = BOX // 2
    assert found.mask[middle, middle, middle + 4] == 1.0
    assert found.mask[0, 0, 0] == 0.0


@pytest.mark.usefixtures("no_pictures")
def test_steps_along_a_component_change_the_map_by_it(tmp_path):
    run = write_linear_run(tmp_path / "run")
    found = analyze_landscape(run, options=SMALL).found
    place = run / "landscape" / "vol_pcs" / "pc1"
    steps = np.loadtxt(place / "coordinates.txt")
    first, last = (read_volume(place / f"vol_{i:03d}.mrc").data for i in (0, 2))
    difference = (last - first)[found.mask > 0]
    np.testing.assert_allclose(difference, (steps[2] - steps[0]) * found.components.axes[0], atol=1e-5)
    assert not (last - first)[found.mask == 0].any()


@pytest.mark.usefixtures("no_pictures")
def test_numbers_are_the_same_twice(tmp_path):
    run = write_linear_run(tmp_path / "run")
    first = analyze_landscape(run, options=replace(SMALL, n_states=None), output=tmp_path / "a").found
    second = analyze_landscape(run, options=replace(SMALL, n_states=None), output=tmp_path / "b").found
    np.testing.assert_array_equal(first.components.coordinates, second.components.coordinates)
    np.testing.assert_array_equal(first.states, second.states)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("zdim", [1, 2])
def test_few_dimensions(decoder_run, tmp_path, zdim):
    run, _ = decoder_run
    z = run.z.copy()
    z[:, zdim:] = 0
    small = replace(run, z=np.ascontiguousarray(z[:, :zdim]), source=Padded(zdim))
    result = analyze_loaded_landscape(small, tmp_path / "out", replace(SMALL, skip_umap=False))
    assert result.umap is None
    assert result.found.n_states == 4


class Padded(Blobs):
    """The same decoder with fewer latents."""

    def volumes(self, z: np.ndarray) -> np.ndarray:
        return super().volumes(np.pad(z, ((0, 0), (0, 3 - z.shape[1]))))


@pytest.mark.usefixtures("no_pictures")
def test_umap_of_an_analysis_is_used(tmp_path):
    run = write_linear_run(tmp_path / "run")
    from cryoscape.workflows.analyze_landscape_settings import latents_sha256
    from cryoscape.workflows.analyze_results import write_umap

    layout = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
    write_umap(run / "analyze", layout)
    settings = {"latents_sha256": latents_sha256(load_run(run).z)}
    (run / "analyze" / "analysis.json").write_text(json.dumps(settings))
    np.testing.assert_array_equal(analyze_landscape(run, options=SMALL).umap, layout)


def test_a_failed_picture_costs_nothing_else(tmp_path, monkeypatch, caplog):
    def fail(*_values, **_named):
        raise RuntimeError("no paint")

    monkeypatch.setattr("cryoscape.workflows.analyze_landscape_report.render_surface", fail)
    result = analyze_landscape(write_linear_run(tmp_path / "run"), options=SMALL)
    assert result.report is not None
    assert any("no paint" in line for line in warnings_in(caplog))
    assert (result.folder / "particles.parquet").is_file()


BAD = [
    ({"sketch_size": 2}, "-N"),
    ({"n_states": 0}, "-M"),
    ({"n_states": 21}, "-M"),
    ({"pc_dim": 1}, "--pc-dim"),
    ({"maps": MapOptions(downsample=18)}, "-d"),
    ({"maps": MapOptions(flip=True, flip_legacy=True)}, "--flip"),
    ({"pixel_size_angstrom": -1.0}, "--Apix"),
    ({"mask": MaskOptions(dilate_angstrom=-1.0)}, "--dilate"),
    ({"mask": MaskOptions(threshold=1e3)}, "--thresh"),
]


@pytest.mark.parametrize(("change", "said"), BAD, ids=[said + str(i) for i, (_, said) in enumerate(BAD)])
def test_settings_that_cannot_be_used(tmp_path, change, said):
    run = write_linear_run(tmp_path / "run")
    before = listing(tmp_path)
    with pytest.raises(InputError, match=said):
        analyze_landscape(run, options=replace(SMALL, **change))
    assert listing(tmp_path) == before


def test_masks_that_are_none(tmp_path):
    run = write_linear_run(tmp_path / "run")
    path = tmp_path / "mask.mrc"
    for data, size, said in (
        (np.full((BOX,) * 3, 7.0), PIXEL_SIZE_ANGSTROM, "from 0 to 1"),
        (np.ones((BOX, BOX, BOX + 2)), PIXEL_SIZE_ANGSTROM, "cube"),
        (np.ones((24,) * 3), PIXEL_SIZE_ANGSTROM, "the maps cover"),
    ):
        write_volume(path, data.astype(np.float32), size)
        with pytest.raises(InputError, match=said):
            analyze_landscape(run, options=replace(SMALL, mask=MaskOptions(path=path)))
        assert not (run / "landscape").exists()


@pytest.mark.usefixtures("no_pictures")
def test_nothing_is_overwritten_unasked(tmp_path):
    run = write_linear_run(tmp_path / "run")
    analyze_landscape(run, options=SMALL)
    with pytest.raises(InputError, match="--force"):
        analyze_landscape(run, options=replace(SMALL, maps=MapOptions(invert=True)))
    analyze_landscape(run, options=replace(SMALL, seed=5), force=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="something else"):
        analyze_landscape(run, options=SMALL, output=other)


@pytest.mark.usefixtures("no_pictures")
def test_full_needs_its_landscape(tmp_path):
    run = write_linear_run(tmp_path / "run")
    with pytest.raises(InputError, match="run `cryoscape analyze_landscape"):
        analyze_landscape_full(run)
    analyze_landscape(run, options=SMALL)
    for options, said in (
        (LandscapeFullOptions(training_volumes=2), "-N"),
        (LandscapeFullOptions(downsample=8), "-d 8"),
        (LandscapeFullOptions(flip=True), "--flip"),
    ):
        with pytest.raises(InputError, match=said):
            analyze_landscape_full(run, options=options)
    assert not (run / "landscape" / "landscape_full").exists()
    (run / "landscape" / "vol_pca.npz").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match="damaged"):
        analyze_landscape_full(run)
