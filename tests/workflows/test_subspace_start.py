"""Where the subspace of a training is looked for."""

from pathlib import Path

from cryoscape.workflows.subspace_start import has_finished, subspace_of_run, was_stopped
from subspace_run import subspace_run


def test_it_lies_where_the_configuration_says_or_within_the_run(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert subspace_of_run(run, {"training": {"subspace": str(elsewhere)}}) == elsewhere
    for config in ({}, {"training": {}}, {"training": {"subspace": ""}}, {"training": {"subspace": "gone"}}):
        assert subspace_of_run(run, config) == run / "subspace"


def test_a_run_is_finished_stopped_or_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    assert not (has_finished(folder))
    assert not (was_stopped(folder))
    subspace_run(folder)
    assert has_finished(folder)
    (folder / "weights.pkl").rename(folder / "resume.pkl")
    assert was_stopped(folder)
    assert not has_finished(folder)
