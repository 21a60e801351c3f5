"""Convergence of made-up runs whose training is known: settled, cut short, gone on for too long."""

import json
import logging
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from cryoscape.analysis.convergence_maps import MaskOptions
from cryoscape.analysis.local_maxima import LocalMaximaOptions
from cryoscape.analysis.maps import MapOptions
from cryoscape.engines.run_folder import load_run
from cryoscape.engines.volume_source import SOURCE_READERS
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles, write_array_pickle
from cryoscape.io.mrc import read_volume
from cryoscape.workflows.analyze_convergence import ConvergenceOptions, analyze_convergence
from cryoscape.workflows.analyze_convergence_measures import read_losses

BOX, PIXEL, N, ZDIM = 16, 4.0, 300, 3
PLAIN = ConvergenceOptions(
    epoch_interval=5,
    skip_umap=True,
    maxima=LocalMaximaOptions(n_bins=12, final_maxima=3),
    mask=MaskOptions(dilation_px=1.0, edge_px=2.0),
)


@dataclass(frozen=True)
class Training:
    """What the weights file of an epoch holds: how far the maps have come, and their noise."""

    sharpness: float
    noise: float
    seed: int
    zdim: int = ZDIM
    box_size: int = BOX
    pixel_size_angstrom: float = PIXEL

    def volumes(self, z: np.ndarray) -> np.ndarray:
        grid_z, y, x = np.indices((BOX,) * 3) - BOX / 2
        width = 2.0 + 6.0 * (1 - self.sharpness)
        rng = np.random.default_rng(self.seed)
        out = []
        for row in z:
            at = np.clip(row[0] / 2, -3, 3)
            blob = np.exp(-((x - at) ** 2 + y**2 + grid_z**2) / width)
            out.append(blob + self.noise * rng.normal(size=blob.shape))
        return np.stack(out).astype(np.float32)

    def downsampled(self, box_size: int) -> "Training":
        raise NotImplementedError


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """A folder of `n` epochs with time constant `tau`, laid out as ours or as one of cryoDRGN's."""
    monkeypatch.setitem(
        SOURCE_READERS, "made-up", lambda path, *_: Training(**json.loads(Path(path).read_text()))
    )

    def make(tau=4.0, n=30, layout="ours", noise_after=None, leave_out=()):
        folder = tmp_path / "run"
        folder.mkdir()
        config = {
            "engine": "made-up",
            "lattice_args": {"D": BOX + 1},
            "model_args": {},
            "dataset_args": {"apix": PIXEL},
        }
        if layout == "v4":
            config["version"] = "4.3.1"
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        if layout == "ours":
            (folder / "run.json").write_text("{}")
        base = 1 if layout == "v4" else 0
        log = []
        for t in range(n):
            loss = 0.9 + 0.1 * np.exp(-t / tau)
            log.append((t, loss))
            if t + base not in leave_out:
                write_epoch(folder, t, t + base, tau, noise_after)
        if layout == "ours":
            lines = [json.dumps({"epoch": t, "total_loss": loss}) for t, loss in log]
            (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        else:
            lines = [
                f"2024-01-01 00:00:00     # =====> Epoch: {t + 1} Average gen loss = {loss:.6f}, KLD = 3.0, "
                f"total loss = {loss:.6f}; Finished in 0:00:10"
                for t, loss in log
            ]
            (folder / "run.log").write_text("\n".join(lines) + "\n")
        return folder

    return make


def write_epoch(folder, t, number, tau, noise_after):
    rng = np.random.default_rng(0)
    labels = rng.choice(3, size=N, p=[0.5, 0.3, 0.2])
    final = np.array([[-4.0, 0, 0], [0.0, 4, 0], [4.0, 0, 0]])[labels] + 0.3 * rng.normal(size=(N, ZDIM))
    start = 2 * rng.normal(size=(N, ZDIM))
    come = 1 - np.exp(-t / tau)
    jitter = 0.02 * np.random.default_rng(100 + t).normal(size=(N, ZDIM))
    z = (come * final + (1 - come) * start + jitter).astype(np.float32)
    write_array_pickle(folder / f"z.{number}.pkl", z, np.zeros_like(z))
    late = 0.0 if noise_after is None else 0.004 * max(0, t - noise_after)
    content = {"sharpness": come, "noise": 0.002 + late, "seed": t}
    (folder / f"weights.{number}.pkl").write_text(json.dumps(content))


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr("cryoscape.workflows.analyze_convergence_report.write_pictures", lambda *_: None)


PLOTS = (
    "00_total_loss",
    "01_encoder_umaps",
    "02_encoder_latent_vector_shifts",
    "03_decoder_UMAP-sketching",
    "04_decoder_maxima-sketch-consistency",
    "05_decoder_CC",
    "06_decoder_FSC",
    "07_decoder_FSC-nyquist",
    "08_decoder_maps",
    "09_decoder_map-noise",
    "10_plateaus",
)


@pytest.mark.slow
def test_everything_is_written_and_agrees(make_run, caplog):
    run = make_run()
    result = analyze_convergence(run, 29, replace(PLAIN, skip_umap=False, n_epochs_umap=50))
    out = run / "convergence.29"
    assert result.folder == out
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    used = (4, 9, 14, 19, 24, 29)
    assert result.convergence.history.used == used
    check_latents(run, out)
    check_maps(run, out, used)
    for name in PLOTS:
        assert (out / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("converged", "First converged epoch", "map-to-map correlation", "Overtraining"):
        assert words in page
    assert "Comparing epochs 4, 9" in (out / "convergence.log").read_text()
    assert (out / "verdict.txt").read_text().startswith("Converged: ")
    assert not [p for p in out.rglob("*") if "tmp" in p.name or p.name.startswith(".")]


def check_latents(run, out):
    np.testing.assert_array_equal(load_pickles(out / "ind_subset.pkl")[0], np.arange(N))
    z = [load_pickles(run / f"z.{e}.pkl")[0].astype(float) for e in range(30)]
    metrics = load_pickles(out / "vector_metrics.pkl")[0]
    assert metrics.shape == (28, 3)
    d1, d2 = z[8] - z[7], z[9] - z[8]
    lengths = np.linalg.norm(d1, axis=1), np.linalg.norm(d2, axis=1)
    cosine = (d1 * d2).sum(1) / (lengths[0] * lengths[1])
    expected = [np.median((d1 * d2).sum(1)), np.median(lengths[1]), np.median(1 - cosine)]
    np.testing.assert_allclose(metrics[7], expected, rtol=1e-4)
    table = pd.read_parquet(out / "epochs.parquet").set_index("epoch")
    np.testing.assert_allclose(table.loc[9, "shift_dot"], expected[0], rtol=1e-4)
    np.testing.assert_allclose(table.loc[9, "total_loss"], 0.9 + 0.1 * np.exp(-9 / 4))
    maxima = pd.read_parquet(out / "maxima.parquet")
    assert maxima["label"].tolist() == ["A", "B", "C"]
    assert (maxima["particles"].diff().dropna() <= 0).all()
    for e in (4, 29):
        stands = np.loadtxt(out / "repr_particles" / f"latent_representative.{e}.txt")
        assert stands.shape == (3, ZDIM)
        for row in stands:  # on data
            assert np.abs(z[e] - row).sum(axis=1).min() < 1e-4
    assert load_pickles(out / "umaps" / "umap.29.pkl")[0].shape == (N, 2)


def check_maps(run, out, used):
    correlation, fsc = load_pickles(out / "cc_masked.pkl")[0], load_pickles(out / "fsc_masked.pkl")[0]
    assert correlation.shape == (3, len(used) - 1)
    assert fsc.shape == (3, len(used) - 1, BOX // 2)
    np.testing.assert_allclose(load_pickles(out / "fsc_xaxis.pkl")[0], np.arange(1, 9) / BOX)
    a = read_volume(out / "vols.24" / "vol_001.masked.mrc")
    b = read_volume(out / "vols.29" / "vol_001.masked.mrc")
    assert a.pixel_size_angstrom == pytest.approx(PIXEL)
    np.testing.assert_allclose(
        np.corrcoef(a.data.ravel(), b.data.ravel())[0, 1], correlation[1, -1], rtol=1e-5
    )
    spectra = [np.fft.fftn(v.data) for v in (a, b)]
    k = np.fft.fftfreq(BOX, 1 / BOX)
    shell = np.round(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)) == 3
    cross = (spectra[0] * spectra[1].conj()).real[shell].sum()
    expected = cross / np.sqrt(np.prod([(np.abs(s) ** 2)[shell].sum() for s in spectra]))
    np.testing.assert_allclose(fsc[1, -1, 2], expected, rtol=1e-4)
    whole = read_volume(out / "vols.29" / "vol_001.mrc").data
    z = np.loadtxt(out / "repr_particles" / "latent_representative.29.txt")
    weights = Training(**json.loads((run / "weights.29.pkl").read_text()))
    assert whole.shape == (BOX,) * 3
    assert np.corrcoef(whole.ravel(), weights.volumes(z[1:2]).ravel())[0, 1] > 0.99
    assert "vol_002.mrc" in (out / "vols.29" / "open_maps.cxc").read_text()


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("settings", "state"),
    [
        ({"tau": 4.0, "n": 50}, "converged"),
        ({"tau": 60.0, "n": 50}, "not converged"),
        ({"tau": 4.0, "n": 50, "noise_after": 24}, "overtrained"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_verdict_on_runs_that_are_known(make_run, settings, state):
    run = make_run(**settings)
    verdict = analyze_convergence(run, None, PLAIN).convergence.verdict
    assert verdict.state == state
    stored = json.loads((run / "convergence.49" / "convergence.json").read_text())["verdict"]
    assert stored["state"] == state
    if state == "converged":
        assert verdict.first_converged_epoch is not None
        assert 8 <= verdict.first_converged_epoch <= 29
    elif state == "overtrained":
        assert verdict.suggested_epoch is not None
        assert 19 <= verdict.suggested_epoch <= 34
        assert any("noise outside" in sign.text for sign in verdict.overtraining)
    else:
        assert verdict.suggested_epoch is None
        assert verdict.overtraining == ()


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("layout", "last", "used"),
    [("v4", 30, (5, 10, 15, 20, 25, 30)), ("v0.3.5", 29, (4, 9, 14, 19, 24, 29))],
)
def test_runs_of_cryodrgn(make_run, layout, last, used):
    run = make_run(layout=layout)
    found = analyze_convergence(run, last, PLAIN).convergence
    assert found.history.used == used
    assert found.verdict.state == "converged"
    assert found.losses is not None
    epochs, loss = found.losses
    np.testing.assert_array_equal(epochs, np.arange(30) + (1 if layout == "v4" else 0))
    np.testing.assert_allclose(loss, 0.9 + 0.1 * np.exp(-np.arange(30) / 4), atol=1e-6)
    assert (run / f"convergence.{last}" / f"vols.{used[0]}" / "vol_000.mrc").is_file()


@pytest.mark.usefixtures("no_pictures")
def test_networks_on_a_subspace_are_judged_by_images_held_out_since_the_last_maps(make_run, caplog):
    caplog.set_level(logging.INFO, logger="cryoscape")
    run = make_run(n=8)
    lines = [
        {"epoch": e, "round": int(e > 2), "total_loss": 0.0, "held_out_log_likelihood": 10.0 * (e > 2) + e}
        for e in range(8)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for last, expected in ((7, range(3, 8)), (5, range(3, 6)), (2, range(3))):
        losses = read_losses(load_run(run, last), last)
        assert losses is not None
        epochs, loss = losses
        np.testing.assert_array_equal(epochs, list(expected))
        np.testing.assert_allclose(loss, [-lines[e]["held_out_log_likelihood"] for e in expected])
    found = analyze_convergence(run, 7, replace(PLAIN, epoch_interval=1)).convergence
    assert found.history.used == (3, 4, 5, 6, 7)
    assert found.history.shift_epochs.tolist() == [5, 6, 7]
    assert "Maps were made again before epoch 3" in caplog.text


@pytest.mark.usefixtures("no_pictures")
def test_epochs_that_are_missing_or_damaged_are_skipped_with_a_word(make_run, caplog):
    run = make_run(leave_out=(13, 14, 15, 16, 12, 24))
    (run / "z.9.pkl").write_bytes(pickle.dumps(np.zeros((5, ZDIM))))
    caplog.set_level(logging.INFO, logger="cryoscape")
    found = analyze_convergence(run, 29, PLAIN).convergence
    said = caplog.text
    assert found.history.used == (4, 19, 23, 29)
    assert "Epochs skipped, as they are not saved: 14" in said
    assert "Epoch 24 is not saved: epoch 23 takes its place" in said
    assert "epoch 9 skipped" in said
    known = set(found.history.shift_epochs.tolist())
    assert {11, 12, 13, 14, 15, 16, 17, 18, 24, 25, 26} & known == set()
    assert {2, 8, 19, 23, 29} <= known


@pytest.mark.usefixtures("no_pictures")
def test_maps_are_left_out_or_taken_from_before(make_run):
    run = make_run()
    without = analyze_convergence(run, 29, replace(PLAIN, skip_volgen=True))
    assert without.convergence.maps is None
    assert not list((run / "convergence.29").glob("vols.*"))
    made = analyze_convergence(run, 29, PLAIN).convergence.maps
    again = analyze_convergence(run, 29, replace(PLAIN, skip_volgen=True)).convergence.maps
    assert made is not None
    assert again is not None
    np.testing.assert_allclose(again.curves.correlation, made.curves.correlation, rtol=1e-5)


@pytest.mark.usefixtures("no_pictures")
def test_a_subset_stands_for_all(make_run):
    run = make_run()
    found = analyze_convergence(run, 29, replace(PLAIN, subset=100, skip_volgen=True)).convergence
    rows = load_pickles(run / "convergence.29" / "ind_subset.pkl")[0]
    assert len(set(rows.tolist())) == 100
    np.testing.assert_array_equal(found.history.rows, rows)
    members = pd.read_parquet(run / "convergence.29" / "maxima_particles.parquet")
    assert set(members["row"]) <= set(rows.tolist())


@pytest.mark.usefixtures("no_pictures")
def test_nothing_of_other_settings_is_overwritten(make_run):
    run = make_run()
    analyze_convergence(run, 29, PLAIN)
    flipped = replace(PLAIN, maps=MapOptions(flip=True))
    with pytest.raises(InputError, match=r"other settings \(maps\).*--force"):
        analyze_convergence(run, 29, flipped)
    analyze_convergence(run, 29, flipped, force=True)
    other = run / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not of this program's analysis"):
        analyze_convergence(run, 29, PLAIN, output=other)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (replace(PLAIN, epoch_interval=0), "--epoch-interval"),
        (replace(PLAIN, epoch_interval=40), "only epoch 9 can be compared"),
        (replace(PLAIN, subset=2), "--subset"),
        (replace(PLAIN, n_epochs_umap=0), "--n-epochs-umap"),
        (replace(PLAIN, pixel_size_angstrom=-1.0), "--Apix"),
        (replace(PLAIN, maps=MapOptions(downsample=64)), "-d"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_cannot_be_used(make_run, options, words):
    run = make_run(n=10)
    before = sorted(p.name for p in run.iterdir())
    with pytest.raises(InputError, match=words):
        analyze_convergence(run, 9, options)
    assert sorted(p.name for p in run.iterdir()) == before


def test_runs_without_epochs(make_run):
    run = make_run(n=3)
    for name in ("z", "weights"):
        (run / f"{name}.2.pkl").rename(run / f"{name}.pkl")
        for e in (0, 1):
            (run / f"{name}.{e}.pkl").unlink()
    with pytest.raises(InputError, match="has no epochs to compare"):
        analyze_convergence(run)
