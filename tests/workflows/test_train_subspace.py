"""The subspace training around the fit: files, log, resumption, and what is refused before a start.

The fit itself is tested with its engine; here a stand-in answers at once.
"""

import json
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from cryoscape.analysis.maps import MapOptions
from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.linear_maps import LinearMaps, read_linear_maps, write_tensors
from cryoscape.engines.run_folder import load_run
from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.fit import IterationReport, SubspaceResult
from cryoscape.errors import InputError
from cryoscape.io.mrc import write_volume
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.workflows import train_subspace as workflow
from cryoscape.workflows import train_subspace_plan
from cryoscape.workflows.analyze import AnalyzeOptions, analyze
from cryoscape.workflows.train_subspace import TrainSubspaceRequest, train_subspace
from cryoscape.workflows.train_subspace_plan import read_mask
from cryoscape.workflows.training_session import StoppedBySignal
from folders import listing
from particle_files import (
    legacy_ctf,
    noise_images,
    random_rotations,
    write_pickle,
    write_poses_pickle,
    write_stack,
)

N, BOX, PIXEL = 20, 16, 1.5


@dataclass
class StandIn:
    """Answers as the engine does: three iterations, of which it stops after one where asked to."""

    stop_after_first: Callable[[], None] | None = None
    fail: bool = False
    components: int = 2
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(
        self, store: FourierStore, config: SubspaceConfig, *, mask, report, watch, should_stop, state
    ) -> SubspaceResult:
        self.calls.append({"config": config, "mask": mask, "state": state, "n": store.n})
        if self.fail:
            raise InputError("too few images")
        first = 0 if not state else int(state["iteration"])
        done = first
        for done in range(first, 3):
            watch(f"iteration {done}", store.n, store.n)
            report(IterationReport(done, 5, 40, self.components, 0.5 + done, 0.9, 0.1, 0.25, 2.0 - done))
            if self.stop_after_first is not None:
                self.stop_after_first()
            if should_stop():
                break
        q = config.zdim or self.components
        rng = np.random.default_rng(config.seed)
        bases = rng.normal(size=(q, BOX, BOX, BOX)).astype(np.float32)
        z = rng.normal(size=(store.n, q)).astype(np.float32)
        scores = np.ones(store.n, np.float32)
        table = LatentTable(z, np.tile(np.eye(q, dtype=np.float32), (store.n, 1, 1)), *[scores] * 3)
        return SubspaceResult(
            maps=LinearMaps(np.ones((BOX,) * 3, np.float32), bases, PIXEL),
            latents=table,
            by_half=table,
            noise_variance=torch.ones(6),
            radius=5,
            half_set_agreement=np.full(q, 0.75),
            state={"iteration": torch.tensor(done + 1)},
            finished=not should_stop(),
            verdict="more do not help images held out",
        )


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(workflow, "fit_subspace", stand_in)
    return stand_in


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[..., TrainSubspaceRequest]:
    torch.set_num_threads(1)
    stack = write_stack(tmp_path / "s.mrcs", noise_images(N, BOX), PIXEL)
    poses = write_poses_pickle(tmp_path / "poses.pkl", random_rotations(N))
    ctf = write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N, BOX))

    def make(**more: Any) -> TrainSubspaceRequest:
        given = {"poses": poses, "ctf": ctf, "device": "cpu", **more}
        return TrainSubspaceRequest(given.pop("particles", stack), tmp_path / "run", **given)

    return make


def test_a_run_has_all_its_files_and_loads(engine: StandIn, request_for, tmp_path: Path, caplog) -> None:
    ind = write_pickle(tmp_path / "ind.pkl", np.arange(0, N, 2))
    with caplog.at_level(logging.INFO, "cryoscape"):
        result = train_subspace(request_for(ind=ind, seed=7))
    folder = tmp_path / "run"
    assert (result.folder, result.n_components, result.radius) == (folder, 2, 5)
    assert result.held_out_information == 2.5
    assert sorted(p.name for p in folder.iterdir()) == [
        *(
            "config.yaml",
            "latents.parquet",
            "latents_by_half.parquet",
            "metrics.jsonl",
            "rows.npy",
            "run.json",
            "run.log",
        ),
        *("weights.pkl", "z.pkl"),
    ]
    run = load_run(folder)
    assert (run.engine, run.epoch, run.z.shape) == ("subspace", None, (N // 2, 2))
    assert run.original_rows.tolist() == list(range(0, N, 2))
    assert run.pixel_size_angstrom == pytest.approx(PIXEL)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["model_args"]["zdim"], config["training"]["zdim"], config["seed"]) == (2, None, 7)
    record = json.loads((folder / "run.json").read_text())
    assert record["result"]["half_set_agreement"] == [0.75, 0.75]
    assert len(record["inputs"]) == 4
    assert int(read_linear_maps(folder / "weights.pkl", 1.0).state["iteration"]) == 3
    log = (folder / "run.log").read_text()
    for words in (
        "iteration 1, radius 5 (4.8 A): 40 images, 2 components, held-out information 1.500 nats an image",
        "2 components: more do not help images held out",
        "agreement of half sets, by component: 0.75, 0.75",
        f"next: cryoscape analyze {folder}",
    ):
        assert words in log


def test_the_settings_reach_the_engine(engine: StandIn, request_for) -> None:
    train_subspace(request_for(zdim=3, mask="sphere", seed=1))
    (call,) = engine.calls
    assert (call["config"].zdim, call["config"].mask, call["config"].seed) == (3, "sphere", 1)
    assert (call["n"], call["mask"], call["state"]) == (N, None, None)


def test_a_stopped_run_continues_with_its_state_and_seed(engine: StandIn, request_for, tmp_path) -> None:
    engine.stop_after_first = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(StoppedBySignal) as stop:
        train_subspace(request_for())
    assert stop.value.exit_code == 128 + signal.SIGTERM
    assert (tmp_path / "run" / "resume.pkl").is_file()
    assert not (tmp_path / "run" / "weights.pkl").exists()
    with pytest.raises(InputError, match="holds a training run already"):
        train_subspace(request_for())
    engine.stop_after_first = None
    train_subspace(request_for(load="latest"))
    first, second = engine.calls
    assert int(second["state"]["iteration"]) == 1
    assert second["config"] == first["config"]
    assert not (tmp_path / "run" / "resume.pkl").exists()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [0, 1, 2]
    with pytest.raises(InputError, match="the run is finished"):
        train_subspace(request_for(load="latest"))


def test_little_memory_limits_the_radius_and_a_run_that_goes_on_keeps_it(
    engine: StandIn, request_for, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SubspaceConfig, "radii", lambda self, box: [5, self.max_radius or 7])
    monkeypatch.setattr(train_subspace_plan, "available_memory_bytes", lambda: 1000)
    engine.stop_after_first = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with caplog.at_level(logging.WARNING, "cryoscape"), pytest.raises(StoppedBySignal):
        train_subspace(request_for())
    assert "memory: learning up to radius 5, not 7, which takes 0.0 GiB" in caplog.text
    monkeypatch.setattr(train_subspace_plan, "available_memory_bytes", lambda: 1 << 40)
    engine.stop_after_first = None
    train_subspace(request_for(load="latest"))
    assert [call["config"].max_radius for call in engine.calls] == [5, 5]


def test_a_run_stopped_before_its_first_iteration_starts_anew(engine, request_for, tmp_path) -> None:
    engine.stop_after_first = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(StoppedBySignal):
        train_subspace(request_for())
    write_tensors(tmp_path / "run" / "resume.pkl", {"state": {}})
    engine.stop_after_first = None
    train_subspace(request_for(load="latest"))
    assert engine.calls[1]["state"] is None


def test_a_run_of_other_settings_or_particles_is_not_continued(engine, request_for, tmp_path) -> None:
    engine.stop_after_first = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(StoppedBySignal):
        train_subspace(request_for(seed=3))
    engine.stop_after_first = None
    before = listing(tmp_path / "run")
    for more, words in (
        ({"zdim": 4}, "zdim is None there, 4 here"),
        ({"mask": "sphere"}, "mask is solvent there, sphere here"),
        ({"seed": 4}, "seed is 3 there, 4 here"),
        ({"load": "weights.pkl"}, "expected `latest`"),
    ):
        with pytest.raises(InputError, match=words):
            train_subspace(request_for(**{"load": "latest", **more}))
    ind = write_pickle(tmp_path / "ind.pkl", np.arange(5))
    with pytest.raises(InputError, match="has 20 particles, the input 5"):
        train_subspace(request_for(load="latest", ind=ind))
    after = listing(tmp_path / "run")
    assert {k: v for k, v in after.items() if k != "run.log"} == {
        k: v for k, v in before.items() if k != "run.log"
    }
    (tmp_path / "run" / "resume.pkl").unlink()
    with pytest.raises(InputError, match="nothing to continue from"):
        train_subspace(request_for(load="latest"))


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_fit_that_cannot_start_leaves_nothing(engine, request_for, tmp_path, there, lazy) -> None:
    engine.fail = True
    if there:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "z.pkl").write_bytes(b"of eval_images")
        (tmp_path / "run" / "run.log").write_text("")
    before = listing(tmp_path)
    with pytest.raises(InputError, match="too few images"):
        train_subspace(request_for(lazy=lazy))
    after = listing(tmp_path)
    if there:
        del before["run/run.log"], after["run/run.log"]
    assert after == before


def test_bad_input_is_told_before_anything_is_written(engine: StandIn, request_for, tmp_path: Path) -> None:
    before = listing(tmp_path)
    for more, words in (
        ({"poses": None}, "no poses"),
        ({"zdim": 0}, "--zdim 0: expected at least 1"),
        ({"max_threads": 0}, "--max-threads 0"),
        ({"mask": "sfere"}, "--mask sfere: expected solvent, sphere, or"),
        ({"particles": tmp_path / "gone.mrcs"}, "no such file"),
        ({"device": "cuda:99"} if not torch.cuda.is_available() else {"zdim": 0}, "--device|--zdim"),
    ):
        with pytest.raises(InputError, match=words):
            train_subspace(request_for(**more))
    assert listing(tmp_path) == before
    assert engine.calls == []


def test_a_run_of_another_engine_is_not_continued(engine: StandIn, request_for, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "resume.pkl").write_bytes(b"")
    (tmp_path / "run" / "config.yaml").write_text("{lattice_args: {D: 17}, model_args: {}, engine: vae}")
    with pytest.raises(InputError, match="holds a run of train_vae, expected one of train_subspace"):
        train_subspace(request_for(load="latest"))


def test_force_replaces_a_run(engine: StandIn, request_for, tmp_path: Path) -> None:
    train_subspace(request_for(zdim=1, seed=1))
    train_subspace(request_for(zdim=3, seed=1, force=True))
    assert load_run(tmp_path / "run").z.shape == (N, 3)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 3


def test_no_component_is_an_answer(engine: StandIn, request_for, tmp_path: Path, caplog) -> None:
    engine.components = 0
    assert train_subspace(request_for(seed=1)).n_components == 0
    assert "no differences between particles beyond noise" in caplog.text
    run = load_run(tmp_path / "run")
    np.testing.assert_array_equal(run.source.volumes(run.z[:1])[0], np.ones((BOX,) * 3))


class TestMask:
    """A mask of the user's."""

    def test_the_file_reaches_the_engine_and_is_recorded(self, engine, request_for, tmp_path) -> None:
        mask = np.zeros((BOX,) * 3, np.float32)
        mask[4:12, 4:12, 6:9] = 1
        write_volume(tmp_path / "mask.mrc", mask, PIXEL)
        train_subspace(request_for(mask=str(tmp_path / "mask.mrc")))
        np.testing.assert_array_equal(engine.calls[0]["mask"].numpy(), mask)
        assert str(tmp_path / "mask.mrc") in (tmp_path / "run" / "config.yaml").read_text()

    def test_a_mask_in_a_larger_box_is_cropped(self, tmp_path: Path) -> None:
        axis = np.arange(2 * BOX) - BOX
        square = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
        write_volume(tmp_path / "mask.mrc", np.exp(-square / 50).astype(np.float32), PIXEL / 2)
        found = read_mask(tmp_path / "mask.mrc", BOX, np.full(N, PIXEL)).numpy()
        half = np.arange(BOX) - BOX // 2
        square = 4 * (half[:, None, None] ** 2 + half[:, None] ** 2 + half**2)
        np.testing.assert_allclose(found, np.exp(-square / 50), atol=0.01)
        with pytest.raises(InputError, match="covers 24 A, the images 48 A"):
            read_mask(tmp_path / "mask.mrc", BOX, np.full(N, 2 * PIXEL))

    @pytest.mark.parametrize(
        ("shape", "value", "words"),
        [
            ((BOX, BOX, 8), 1.0, "mask of 16 x 16 x 8 voxels; expected a cube of 16"),
            ((8, 8, 8), 1.0, "expected a cube of 16"),
            ((BOX,) * 3, 7.0, "values from 7 to 7; expected a mask"),
            ((BOX,) * 3, 0.0, "values from 0 to 0"),
        ],
    )
    def test_what_is_no_mask_is_refused(self, tmp_path: Path, shape, value, words) -> None:
        write_volume(tmp_path / "mask.mrc", np.full(shape, value, np.float32), PIXEL)
        with pytest.raises(InputError, match=words):
            read_mask(tmp_path / "mask.mrc", BOX, None)


def test_the_run_is_analysed_in_a_folder_without_a_number(engine, request_for, tmp_path) -> None:
    train_subspace(request_for(seed=1))
    options = AnalyzeOptions(ksample=2, pc=1, n_per_pc=2, maps=MapOptions(downsample=8))
    result = analyze(tmp_path / "run", options=options)
    assert result.folder == tmp_path / "run" / "analyze"
    assert (result.folder / "kmeans2" / "vol_001.mrc").is_file()
    columns = set(pd.read_parquet(result.folder / "particles.parquet").columns)
    assert {"log_likelihood", "contrast", "junk_score", "z0", "z0_std"} <= columns
