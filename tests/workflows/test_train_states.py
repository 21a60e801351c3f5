"""The states training around the fit: files, the subspace it starts from, and what is refused before a start.

The fits themselves are tested with their engines; here stand-ins answer at once.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cryoscape.engines.latent_table import LatentTable, read_latents_table
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.run_folder import load_run
from cryoscape.engines.states.fit import StatesResult, StepReport
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles
from cryoscape.io.mrc import read_volume
from cryoscape.workflows import train_states as workflow
from cryoscape.workflows.train_states import TrainStatesRequest, train_states
from folders import listing
from particle_files import (
    legacy_ctf,
    noise_images,
    random_rotations,
    write_pickle,
    write_poses_pickle,
    write_stack,
)
from subspace_run import BOX, PIXEL, N, subspace_run

K = 3


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand-ins for both fits; what they were given."""
    seen: list[Any] = []

    def fit_states(store, model, radius, mask, config, report, watch) -> StatesResult:
        seen.append((model, radius, config))
        report(StepReport("merged", K, 0.25))
        k = config.k or K
        rng = np.random.default_rng(0)

        def maps() -> LinearMaps:
            bases = rng.normal(size=(k - 1, BOX, BOX, BOX)).astype(np.float32)
            return LinearMaps(np.ones((BOX,) * 3, np.float32), bases, PIXEL)

        state = np.arange(store.n) % k
        centres = rng.normal(size=(k, k - 1)).astype(np.float32)
        scores = np.ones(store.n, np.float32)
        return StatesResult(
            maps=maps(),
            halves=(maps(), maps()),
            latents=LatentTable(centres[state], None, scores, scores, scores, state),
            probabilities=np.eye(k, dtype=np.float32)[state],
            centres=centres,
            shares=np.full(k, 1 / k),
            stability=np.full(k, 0.9),
            noise_variance=torch.ones(9),
            held_out=12.5,
            verdict="they can be told apart",
        )

    def train_subspace(request) -> None:
        seen.append(request)
        request.outdir.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(request.outdir, ignore_errors=True)
        subspace_run(request.outdir)

    monkeypatch.setattr(workflow, "fit_states", fit_states)
    monkeypatch.setattr(workflow, "train_subspace", train_subspace)
    return seen


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[..., TrainStatesRequest]:
    torch.set_num_threads(1)
    stack = write_stack(tmp_path / "s.mrcs", noise_images(N, BOX), PIXEL)
    poses = write_poses_pickle(tmp_path / "poses.pkl", random_rotations(N))
    ctf = write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N, BOX))

    def make(**more: Any) -> TrainStatesRequest:
        given = {"poses": poses, "ctf": ctf, "device": "cpu", **more}
        return TrainStatesRequest(given.pop("particles", stack), tmp_path / "run", **given)

    return make


def test_a_run_has_all_its_files_and_loads(calls, request_for, tmp_path: Path) -> None:
    subspace = subspace_run(tmp_path / "sub")
    result = train_states(request_for(subspace=subspace))
    ((model, radius, config),) = calls
    assert (model.maps.shape[1], radius, config.k, config.seed) == (3, 7, None, 5)
    folder = tmp_path / "run"
    assert [line.particles for line in result.states] == [7, 7, 6]
    run = load_run(folder)
    assert (run.engine, run.z.shape) == ("states", (N, K - 1))
    states = load_pickles(folder / "states.pkl")[0]
    assert states.dtype == np.int64
    assert states.tolist() == [i % K for i in range(N)]
    table, _ = read_latents_table(folder)
    assert table.state is not None
    assert table.state.tolist() == states.tolist()
    assert np.load(folder / "probabilities.npy").shape == (N, K)
    for k in range(K):
        found = read_volume(folder / f"state_{k:03d}.mrc")
        assert found.pixel_size_angstrom == pytest.approx(PIXEL)
        expected = run.source.volumes(run.z[k : k + 1])[0]
        np.testing.assert_allclose(found.data, expected, atol=1e-5)
        assert (folder / f"state_{k:03d}_half_a.mrc").is_file()
        assert (folder / f"state_{k:03d}_half_b.mrc").is_file()
    lines = (folder / "states.csv").read_text().splitlines()
    assert lines[0] == "state,particles,share,stability,resolution_angstrom"
    assert lines[1].startswith("0,7,0.33333,0.9000,")
    assert json.loads((folder / "run.json").read_text())["result"]["n_states"] == K
    assert json.loads((folder / "metrics.jsonl").read_text())["nats_a_particle"] == 0.25
    assert "3 states: they can be told apart" in (folder / "run.log").read_text()


def test_without_a_run_the_subspace_is_trained_first(calls, request_for, tmp_path: Path) -> None:
    train_states(request_for(zdim=2, mask="sphere", k=2, seed=3))
    asked, (_, _, config) = calls
    assert (asked.outdir, asked.zdim, asked.mask) == (tmp_path / "run" / "subspace", 2, "sphere")
    assert (config.k, config.seed) == (2, 3)
    assert load_run(tmp_path / "run").z.shape == (N, 1)


def test_force_leaves_no_states_of_the_run_before(calls, request_for, tmp_path: Path) -> None:
    subspace = subspace_run(tmp_path / "sub")
    train_states(request_for(subspace=subspace))
    train_states(request_for(subspace=subspace, k=2, force=True))
    assert len(list((tmp_path / "run").glob("state_*.mrc"))) == 6


def test_bad_input_is_told_before_anything_is_written(calls, request_for, tmp_path: Path) -> None:
    subspace = subspace_run(tmp_path / "sub")
    other = subspace_run(tmp_path / "vae", engine="vae")
    more = subspace_run(tmp_path / "more", n=N + 5)
    fewer = subspace_run(tmp_path / "fewer", n=N - 5)
    before = listing(tmp_path)
    for given, words in (
        ({"k": 0}, "--k 0: expected at least 1"),
        ({"subspace": tmp_path / "gone"}, "no such run folder"),
        ({"subspace": other}, "holds a run of train_vae, expected one of train_subspace"),
        ({"subspace": more}, "has particles that the input lacks"),
        ({"subspace": fewer}, "has 15 particles, the input 20"),
        ({"subspace": tmp_path / "run"}, "no such run folder|is the run given with --from"),
        ({"subspace": subspace, "zdim": 3}, "belong to the subspace"),
        ({"poses": None}, "no poses"),
    ):
        with pytest.raises(InputError, match=words):
            train_states(request_for(**given))
    assert listing(tmp_path) == before
    assert calls == []
    train_states(request_for(subspace=subspace))
    with pytest.raises(InputError, match="holds a training run already"):
        train_states(request_for(subspace=subspace))


class TestContinuing:
    """A run that was stopped while its subspace was trained, or after."""

    def test_a_subspace_that_is_there_is_kept(self, calls, request_for, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        subspace_run(tmp_path / "run" / "subspace")
        train_states(request_for(load="latest"))
        assert len(calls) == 1  # states alone
        assert load_run(tmp_path / "run").engine == "states"
        with pytest.raises(InputError, match="the run is finished"):
            train_states(request_for(load="latest"))

    def test_a_subspace_that_was_stopped_goes_on(self, calls, request_for, tmp_path: Path) -> None:
        (tmp_path / "run" / "subspace").mkdir(parents=True)
        (tmp_path / "run" / "subspace" / "resume.pkl").write_bytes(b"state")
        train_states(request_for(load="latest"))
        assert calls[0].load == "latest"
        assert len(calls) == 2

    def test_a_run_that_lost_its_states_is_made_again_with_the_same_settings(
        self, calls, request_for, tmp_path: Path
    ) -> None:
        subspace = subspace_run(tmp_path / "sub")
        train_states(request_for(subspace=subspace, k=2, seed=3))
        (tmp_path / "run" / "weights.pkl").unlink()
        with pytest.raises(InputError, match="another --k: 2 there, None here"):
            train_states(request_for(subspace=subspace, load="latest"))
        with pytest.raises(InputError, match="another --seed: 3 there, 4 here"):
            train_states(request_for(subspace=subspace, k=2, seed=4, load="latest"))
        train_states(request_for(subspace=subspace, k=2, seed=3, load="latest"))
        assert calls[0][2] == calls[1][2]

    def test_where_nothing_is_there_nothing_goes_on(self, calls, request_for) -> None:
        with pytest.raises(InputError, match="nothing to continue from"):
            train_states(request_for(load="latest"))
        with pytest.raises(InputError, match="expected `latest`"):
            train_states(request_for(load="weights.pkl"))
