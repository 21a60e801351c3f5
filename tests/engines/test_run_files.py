"""Files that all run folders share."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from cryoscape.engines.run_files import (
    append_metrics_line,
    drop_metrics_from,
    holds_run,
    remove_run,
)
from linear_run import BOX, N, write_linear_run


def test_configuration_and_record_say_what_made_the_run(tmp_path: Path) -> None:
    write_linear_run(tmp_path)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["engine"] == "subspace"
    assert config["lattice_args"]["D"] == BOX + 1
    assert config["model_args"] == {"zdim": 3}
    assert config["seed"] == config["training"]["seed"] == 4
    assert config["cmd"] == ["cryoscape", "train_subspace"]
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["pixel_size_angstrom"] == 2.5
    assert set(record["versions"]) == {"cryoscape", "python", "torch", "numpy"}
    assert np.load(tmp_path / "rows.npy").tolist() == list(range(0, 2 * N, 2))


@pytest.mark.parametrize("key", ["epoch", "iteration"])
def test_metrics_of_what_is_run_again_are_dropped(tmp_path: Path, key: str) -> None:
    drop_metrics_from(tmp_path, 1, key)
    assert not any(tmp_path.iterdir())
    for number in range(4):
        append_metrics_line(tmp_path, {key: number, "loss": 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"cut')
    drop_metrics_from(tmp_path, 2, key)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)[key] for line in lines] == [0, 1]


def test_removing_a_run_leaves_what_is_beside_it(tmp_path: Path) -> None:
    assert not holds_run(tmp_path)
    write_linear_run(tmp_path)
    assert holds_run(tmp_path)
    (tmp_path / "analyze").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    for name in ("resume.pkl", "metrics.jsonl", "run.log", "weights.3.pkl", "z.3.pkl"):
        (tmp_path / name).write_bytes(b"")
    remove_run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["analyze", "notes.txt"]
    assert not holds_run(tmp_path)
