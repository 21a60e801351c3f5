"""The files that run folders of every engine share: configuration, record, rows, metrics, removal."""

import datetime
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import cryoscape
from cryoscape.engines.latent_table import HALF_TABLE_FILE, TABLE_FILE
from cryoscape.engines.run_folder import ROWS_FILE, RUN_FILE
from cryoscape.io.atomic import replace_when_done, write_text
from cryoscape.typing import Rows

RESUME_FILE = "resume.pkl"
"""Exact state of a run that was stopped; gone once the run is past it."""
METRICS_FILE = "metrics.jsonl"
LOG_FILE = "run.log"
STARTED_RUN_FILES = ("config.yaml", RUN_FILE, ROWS_FILE, METRICS_FILE, LOG_FILE)
"""What a run has before its first result."""


def write_run_files(
    folder: Path,
    *,
    engine: str,
    box_size: int,
    model_args: Mapping[str, Any],
    dataset_args: Mapping[str, Any],
    training: Mapping[str, Any],
    record: Mapping[str, Any],
    rows: Rows,
) -> None:
    """Write config.yaml, run.json and the original rows of the particles.

    Parameters
    ----------
    engine : name by which the run is opened again, see `volume_source.SOURCE_READERS`.
    box_size : D of the training images.
    model_args, dataset_args : sections of upstream's configuration.
    training : settings of the engine, with ``seed``; a section of ours.
    record : for run.json, with ``command``, a list of words; versions, time and host are added.
    rows : (N,) row of the original input of each particle.
    """
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    config = {
        "dataset_args": dict(dataset_args),
        "lattice_args": {"D": box_size + 1, "extent": 0.5, "ignore_DC": True},
        "model_args": dict(model_args),
        "seed": training["seed"],
        "version": f"cryoscape {cryoscape.__version__}",
        "time": now,
        "cmd": record["command"],
        "engine": engine,
        "training": dict(training),
    }
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    versions = {
        "cryoscape": cryoscape.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    full = {"versions": versions, "time": now, "host": platform.node(), **record}
    write_text(folder / RUN_FILE, json.dumps(full, indent=1) + "\n")
    with replace_when_done(folder / ROWS_FILE) as temporary, temporary.open("wb") as stream:
        np.save(stream, rows.astype(np.int64))


def append_metrics_line(folder: Path, line: Mapping[str, Any]) -> None:
    """Append one JSON object to metrics.jsonl."""
    with (folder / METRICS_FILE).open("a") as stream:
        stream.write(json.dumps(dict(line)) + "\n")


def drop_metrics_from(folder: Path, number: int, key: str = "epoch") -> None:
    """Keep only the metrics whose ``key`` is below ``number``: those after are computed again."""
    path = folder / METRICS_FILE
    if not path.is_file():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)[key] < number:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError, TypeError):
            continue  # a line cut off by a crash
    write_text(path, "".join(kept))


def holds_run(folder: Path) -> bool:
    """Whether a folder holds a training run of any engine already."""
    return any(folder.glob("weights.*pkl")) or any(
        (folder / name).exists() for name in ("config.yaml", "config.pkl", RESUME_FILE)
    )


def remove_run(folder: Path) -> None:
    """Remove the training files of a run (not analyses beside them)."""
    for pattern in ("weights.*pkl", "z.*pkl", "bases.*.pkl"):
        for path in folder.glob(pattern):
            path.unlink()
    for name in (*STARTED_RUN_FILES, "config.pkl", RESUME_FILE, TABLE_FILE, HALF_TABLE_FILE, "evidence.pkl"):
        (folder / name).unlink(missing_ok=True)
