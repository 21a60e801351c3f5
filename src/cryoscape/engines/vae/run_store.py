"""What a training run leaves in its folder, and finding where to continue."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cryoscape.engines.run_files import (
    RESUME_FILE,
    append_metrics_line,
    drop_metrics_from,
    holds_run,
    remove_run,
)
from cryoscape.engines.run_files import write_run_files as write_shared_files
from cryoscape.engines.run_folder import RunFolder, read_run_config
from cryoscape.engines.vae.checkpoint import read_checkpoint, write_checkpoint
from cryoscape.engines.vae.config import ModelConfig, model_args_for_upstream, model_config_from_upstream
from cryoscape.engines.vae.results import Encoded, EpochResult
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_latents, write_array_pickle

__all__ = [
    "RESUME_FILE",
    "append_metrics",
    "check_same_model",
    "drop_metrics_from",
    "find_checkpoint",
    "holds_run",
    "read_previous_latents",
    "remove_run",
    "save_epoch",
    "save_interrupted",
    "write_run_files",
]


def write_run_files(
    folder: Path,
    model: ModelConfig,
    dataset_args: dict[str, Any],
    training: dict[str, Any],
    record: dict[str, Any],
    rows: np.ndarray,
) -> None:
    """Write config.yaml (upstream's layout, plus a `training` section), run.json and the original rows."""
    write_shared_files(
        folder,
        engine="vae",
        box_size=model.box_size,
        model_args=model_args_for_upstream(model),
        dataset_args=dataset_args,
        training=training,
        record=record,
        rows=rows,
    )


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
    folder: Path, result: EpochResult, shifts: Mapping[str, float | None], wall_seconds: float
) -> None:
    """One line of metrics.jsonl; shifts says how the latents moved, by name."""
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
        **shifts,
    }
    append_metrics_line(folder, line)


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
