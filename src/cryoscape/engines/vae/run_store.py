"""What a training run leaves in its folder, and finding where to continue."""

import datetime
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import cryoscape
from cryoscape.engines.run_folder import ROWS_FILE, RUN_FILE, RunFolder, read_run_config
from cryoscape.engines.vae.checkpoint import read_checkpoint, write_checkpoint
from cryoscape.engines.vae.config import ModelConfig, model_args_for_upstream, model_config_from_upstream
from cryoscape.engines.vae.results import Encoded, EpochResult
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import read_latents, write_array_pickle

RESUME_FILE = "resume.pkl"
"""Exact state of a run stopped within an epoch; gone once that epoch is complete."""
METRICS_FILE = "metrics.jsonl"


def write_run_files(
    folder: Path,
    model: ModelConfig,
    dataset_args: dict[str, Any],
    training: dict[str, Any],
    record: dict[str, Any],
    rows: np.ndarray,
) -> None:
    """Write config.yaml (upstream's layout, plus a `training` section), run.json and the original rows."""
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    config = {
        "dataset_args": dataset_args,
        "lattice_args": {"D": model.box_size + 1, "extent": 0.5, "ignore_DC": True},
        "model_args": model_args_for_upstream(model),
        "seed": training["seed"],
        "version": f"cryoscape {cryoscape.__version__}",
        "time": now,
        "cmd": record["command"],
        "engine": "vae",
        "training": training,
    }
    with replace_when_done(folder / "config.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(config, sort_keys=False))
    versions = {
        "cryoscape": cryoscape.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    full = {"versions": versions, "time": now, "host": platform.node(), **record}
    with replace_when_done(folder / RUN_FILE) as temporary:
        temporary.write_text(json.dumps(full, indent=1) + "\n")
    with replace_when_done(folder / ROWS_FILE) as temporary, temporary.open("wb") as stream:
        np.save(stream, rows.astype(np.int64))


def save_epoch(folder: Path, epoch: int, state: dict[str, Any], latents: Encoded) -> None:
    """Write z.E.pkl, then weights.E.pkl, so that weights present mean the epoch is whole."""
    paths = RunFolder(folder)
    write_array_pickle(paths.latents(epoch), latents.mean, latents.logvar)
    write_checkpoint(paths.weights(epoch), {**state, "epoch": epoch})
    (folder / RESUME_FILE).unlink(missing_ok=True)


def save_interrupted(folder: Path, state: dict[str, Any]) -> Path:
    """Write the state within an epoch; `--load latest` continues from there."""
    path = folder / RESUME_FILE
    write_checkpoint(path, state)
    return path


def append_metrics(
    folder: Path, result: EpochResult, shift: tuple[float, float] | None, wall_seconds: float
) -> None:
    """One line of metrics.jsonl; shift is (median length, median cosine with the last shift)."""
    line = {
        "epoch": result.epoch,
        "total_loss": result.total_loss,
        "reconstruction_loss": result.generative_loss,
        "kl_divergence": result.kl,
        "beta": result.beta,
        "images_per_second": round(result.images_per_second, 2),
        "train_seconds": round(result.seconds, 3),
        "wall_seconds": round(wall_seconds, 3),
        "skipped_images": len(result.skipped_rows),
        "latent_shift_median": None if shift is None else shift[0],
        "latent_shift_cosine_median": None if shift is None or np.isnan(shift[1]) else shift[1],
    }
    with (folder / METRICS_FILE).open("a") as stream:
        stream.write(json.dumps(line) + "\n")


def drop_metrics_from(folder: Path, epoch: int) -> None:
    """Keep only the metrics of epochs before `epoch`: those after are run again."""
    path = folder / METRICS_FILE
    if not path.is_file():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["epoch"] < epoch:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError):
            continue  # a line cut off by a crash
    with replace_when_done(path) as temporary:
        temporary.write_text("".join(kept))


def holds_run(folder: Path) -> bool:
    """Whether a folder holds a training run already."""
    return any(folder.glob("weights.*pkl")) or any(
        (folder / name).exists() for name in ("config.yaml", "config.pkl", RESUME_FILE)
    )


def remove_run(folder: Path) -> None:
    """Remove the training files of a run (not analyses beside them)."""
    for pattern in ("weights.*pkl", "z.*pkl", RESUME_FILE, METRICS_FILE, "config.yaml", "config.pkl"):
        for path in folder.glob(pattern):
            path.unlink()
    for name in (RUN_FILE, ROWS_FILE, "run.log"):
        (folder / name).unlink(missing_ok=True)


def find_checkpoint(folder: Path, load: str) -> tuple[Path, dict[str, Any], list[str]]:
    """The checkpoint to continue from, its content, and notices about damaged ones passed over.

    Parameters
    ----------
    load : path of a weights file, or "latest" for the furthest readable state in the folder.

    Raises
    ------
    InputError : the named file is not readable, or nothing in the folder is.
    """
    if load != "latest":
        return Path(load), read_checkpoint(Path(load)), []
    notices: list[str] = []
    paths = RunFolder(folder)
    readable: list[tuple[Path, dict[str, Any]]] = []
    for path in [folder / RESUME_FILE, *(paths.weights(e) for e in reversed(paths.epochs("weights")))]:
        if not path.exists():
            continue
        try:
            readable.append((path, read_checkpoint(path)))
        except InputError as error:
            notices.append(f"passing over a damaged checkpoint: {error}")
            continue
        if path.name != RESUME_FILE:
            break
    if not readable:
        raise InputError(
            f"{folder}: nothing to continue from: no readable weights.E.pkl; train without --load"
        )
    path, content = max(readable, key=lambda entry: _position(entry[1]))
    return path, content, notices


def _position(content: dict[str, Any]) -> tuple[int, int]:
    progress = content.get("progress")
    if progress is None:
        return int(content["epoch"]) + 1, 0
    return int(progress["epoch"]), int(progress["batch"])


def check_same_model(path: Path, wanted: ModelConfig) -> None:
    """Raise InputError naming each difference between the architecture beside a checkpoint and the wanted."""
    folder = path.parent
    if not any((folder / name).is_file() for name in ("config.yaml", "config.pkl")):
        return
    found = model_args_for_upstream(model_config_from_upstream(read_run_config(folder)))
    found["box size"] = int(read_run_config(folder)["lattice_args"]["D"]) - 1
    expected = {**model_args_for_upstream(wanted), "box size": wanted.box_size}
    differences = [
        f"{name} is {found[name]} there, {expected[name]} here"
        for name in expected
        if found[name] != expected[name]
    ]
    if differences:
        raise InputError(
            f"{path}: cannot continue with another model: {'; '.join(differences)}; use the same settings"
        )


def read_previous_latents(folder: Path, epoch: int) -> np.ndarray | None:
    """Latent means saved at an epoch, or None."""
    path = RunFolder(folder).latents(epoch)
    return np.asarray(read_latents(path)[0], dtype=np.float32) if path.is_file() else None
