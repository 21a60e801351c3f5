"""clean: what goes, what stays, and that nothing goes before it is said."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.workflows.clean import clean, describe
from folders import listing


def write_run(folder: Path, epochs: range | set[int], analysed: set[int]) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.yaml", "run.json", "weights.pkl.bak", "notes.3.pkl"):
        (folder / name).write_text(name)
    for epoch in epochs:
        (folder / f"weights.{epoch}.pkl").write_bytes(bytes(1000))
        (folder / f"z.{epoch}.pkl").write_bytes(bytes(10))
    for epoch in analysed:
        maps = folder / f"analyze.{epoch}" / "kmeans20"
        maps.mkdir(parents=True)
        (maps / "vol_000.mrc").write_bytes(bytes(100))
        (maps / "z_values.txt").write_text("0 0")
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_is_said_first_and_done_by_force(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", range(13), {3})
    before = listing(run)
    planned = clean([run])
    assert listing(run) == before
    (one,) = planned.runs
    assert one.kept_epochs == (0, 3, 5, 10, 12)
    assert one.n_bytes == 8 * 1010
    first, last = describe(planned)
    assert "16 files, 0.01 MB, would be removed; epochs kept: 0, 3, 5, 10, 12" in first
    assert "--force" in last
    done = clean([run], remove=True)
    assert done.runs == planned.runs
    assert "removed" in describe(done)[0]
    assert names(run) == {"config.yaml", "run.json", "weights.pkl.bak", "notes.3.pkl", "analyze.3"} | {
        f"{kind}.{epoch}.pkl" for kind in ("weights", "z") for epoch in (0, 3, 5, 10, 12)
    }
    assert clean([run]).runs[0].removed == ()


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 30), min_size=1), st.integers(1, 40))
def test_the_last_epoch_always_stays(
    tmp_path_factory: pytest.TempPathFactory, epochs: set[int], every: int
) -> None:
    run = write_run(tmp_path_factory.mktemp("runs") / "run", epochs, set())
    clean([run], every, remove=True)
    left = {
        int(name.split(".")[1]) for name in names(run) if name.startswith("weights.") and "bak" not in name
    }
    assert left == {e for e in epochs if e % every == 0 or e == max(epochs)}


def test_an_epoch_half_written_does_not_cost_the_last_whole_one(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {7, 8}, set())
    (run / "weights.9.pkl").write_bytes(bytes(5))
    clean([run], remove=True)
    assert {"weights.8.pkl", "z.8.pkl", "weights.9.pkl"} <= names(run)
    assert "weights.7.pkl" not in names(run)


def test_maps_of_earlier_analyses(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", range(10), {4, 9})
    assert not any(path.suffix == ".mrc" for path, _ in clean([run]).runs[0].removed)
    clean([run], maps=True, remove=True)
    assert not (run / "analyze.4" / "kmeans20" / "vol_000.mrc").exists()
    assert (run / "analyze.4" / "kmeans20" / "z_values.txt").exists()
    assert (run / "analyze.9" / "kmeans20" / "vol_000.mrc").exists()


def test_folders_of_runs_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a1", "a2", "b1"):
        write_run(tmp_path / "all" / name, range(4), set())
    monkeypatch.chdir(tmp_path)
    assert [run.folder.name for run in clean([Path("all")]).runs] == ["a1", "a2", "b1"]
    assert [run.folder.name for run in clean([Path("all/a*")]).runs] == ["a1", "a2"]
    assert [run.folder.name for run in clean([tmp_path / "all" / "?1"]).runs] == ["a1", "b1"]
    assert "in all: 12 files" in "\n".join(describe(clean([Path("all")])))


def test_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no training run found"):
        clean([tmp_path / "empty"])
    with pytest.raises(InputError, match="no such folder"):
        clean([tmp_path / "gone"])
    with pytest.raises(InputError, match="--every-n-epochs 0"):
        clean([tmp_path / "empty"], 0)
