"""The folder of one training run: where its files lie, which epochs it holds, and how to load one of them.

The layout is the published one (config.yaml, weights.E.pkl, z.E.pkl), so folders written by upstream
cryoDRGN (v0.3.5 to 4.3) are read as well. Engines without epochs (subspace, states) leave weights.pkl, z.pkl
and latents.parquet. Nothing in these files is executed.
"""

import json
import logging
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from cryoscape.engines.latent_table import TABLE_FILE, LatentTable, read_latents_table
from cryoscape.engines.volume_source import VolumeSource, engine_name, open_volume_source
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_config_pickle, read_ctf, read_latents, read_rows
from cryoscape.typing import Latents, PathLikeStr, Rows

logger = logging.getLogger("cryoscape")

ROWS_FILE = "rows.npy"
RUN_FILE = "run.json"


@dataclass(frozen=True)
class RunFolder:
    """Paths and discovery of epochs in a run folder; reads nothing until asked."""

    path: Path

    def __post_init__(self) -> None:
        """Refuse a path that is not a folder."""
        object.__setattr__(self, "path", Path(self.path))
        if not self.path.is_dir():
            raise InputError(f"{self.path}: no such run folder; give the -o folder of a training run")

    def weights(self, epoch: int | None) -> Path:
        """Path of the weights of an epoch; None for the unnumbered final file."""
        return self.path / ("weights.pkl" if epoch is None else f"weights.{epoch}.pkl")

    def latents(self, epoch: int | None) -> Path:
        """Path of the latents of an epoch; None for the unnumbered final file."""
        return self.path / ("z.pkl" if epoch is None else f"z.{epoch}.pkl")

    def epochs(self, kind: Literal["weights", "z"] = "weights") -> tuple[int, ...]:
        """Epoch numbers, ascending, for which a file of this kind is there (as numbered in file names)."""
        pattern = re.compile(rf"{kind}\.(\d+)\.pkl")
        found = (pattern.fullmatch(entry.name) for entry in self.path.iterdir())
        return tuple(sorted(int(match[1]) for match in found if match))

    def latest_epoch(self) -> int | None:
        """Highest epoch with both weights and latents; None where only unnumbered final files are.

        Raises InputError where the folder holds neither.
        """
        both = sorted(set(self.epochs("weights")) & set(self.epochs("z")))
        if both:
            return both[-1]
        if self.weights(None).is_file() and self.latents(None).is_file():
            return None
        raise InputError(
            f"{self.path}: no weights with their latents found (weights.pkl and z.pkl, or weights.E.pkl and "
            f"z.E.pkl); train with `cryoscape train_subspace` or `train_vae`, -o {self.path}"
        )

    @cached_property
    def epoch_base(self) -> Literal[0, 1]:
        """Number of the first epoch: 0 in the protocol, v0.3.5 and here; 1 in upstream's later releases."""
        if (self.path / RUN_FILE).is_file():
            return 0
        numbers = {*self.epochs("weights"), *self.epochs("z")}
        if 0 in numbers:
            return 0
        version = re.match(r"v?(\d+)", str(self.config().get("version", "")))
        if version:
            return 1 if int(version[1]) >= 4 else 0
        return 1 if 1 in numbers else 0

    def config(self) -> dict[str, Any]:
        """The run's configuration in upstream's layout, from config.yaml or (v0.3.5 to v3) config.pkl."""
        return read_run_config(self.path)

    def record(self) -> dict[str, Any]:
        """What run.json holds (versions, command, seed, pixel size, inputs); empty for upstream's folders."""
        path = self.path / RUN_FILE
        if not path.is_file():
            return {}
        try:
            record: dict[str, Any] = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: not valid JSON ({error}); restore it or remove it") from error
        return record

    def pixel_size_angstrom(self) -> float | None:
        """Pixel size of the run's maps: from run.json, else from the run's ctf.pkl; None where not known."""
        recorded = self.record().get("pixel_size_angstrom")
        if recorded:
            return float(recorded)
        return pixel_size_from_config(self.config(), self.path)

    def original_rows(self, n: int) -> Rows:
        """Row of the original input (n,) int64 behind each row of the latents.

        Raises InputError where the run's selection does not have n rows.
        """
        own = self.path / ROWS_FILE
        if own.is_file():
            rows: Rows = np.load(own, allow_pickle=False).astype(np.int64)
            source: Path = own
        else:
            selection = self.config().get("dataset_args", {}).get("ind")
            if not selection:
                return np.arange(n, dtype=np.int64)
            source = find_beside(str(selection), self.path)
            if not source.is_file():
                raise InputError(
                    f"{source}: selection used in training (dataset_args.ind of {self.path}) is missing; "
                    "put it back, else particles cannot be told apart"
                )
            rows = read_rows(source)
        if len(rows) != n:
            raise InputError(f"{source}: holds {len(rows)} rows, the latents of {self.path} hold {n}")
        return rows


@dataclass(frozen=True)
class LoadedRun:
    """One epoch of a run, ready for analysis.

    Attributes
    ----------
    source : maps at any z.
    z, logvar : mean and log variance (N, zdim) of each particle's latent; logvar None if not stored.
    config : the run's configuration, upstream's layout.
    epoch : number as in the file names; None for the unnumbered final files.
    pixel_size_angstrom : of the maps; 1.0 where unknown, see pixel_size_known.
    original_rows : (N,) row of the original input of each row of z.
    latents : the whole table of the engine (covariance, likelihood, contrast); None where there is none.
    """

    folder: RunFolder
    source: VolumeSource
    z: Latents
    logvar: Latents | None
    config: dict[str, Any] = field(repr=False)
    epoch: int | None
    pixel_size_angstrom: float
    pixel_size_known: bool
    original_rows: Rows = field(repr=False)
    latents: LatentTable | None = field(default=None, repr=False)

    @property
    def engine(self) -> str:
        """Name of the engine that made the run."""
        return engine_name(self.config)

    def training_pixel_size(self, given: float | None, maps_wanted: bool = True) -> float:
        """Pixel size of the training images in angstrom; see `choose_pixel_size`."""
        known = self.pixel_size_angstrom if self.pixel_size_known else None
        return choose_pixel_size(given, known, maps_wanted)


def load_run(path: PathLikeStr, epoch: int | None = None, device: str = "auto") -> LoadedRun:
    """Load weights and latents of one epoch of a run folder, or of a run without epochs.

    Parameters
    ----------
    path : the -o folder of a training run (ours or upstream's).
    epoch : number as in the file names; None or -1 for the latest.
    device : "auto", "cpu", "cuda" or "mps", where maps are evaluated.

    Raises
    ------
    InputError : no such epoch (those found are listed), damaged file, weights that do not fit the config.
    """
    folder = RunFolder(Path(path))
    chosen = folder.latest_epoch() if epoch is None or epoch < 0 else epoch
    _check_is_there(folder, chosen)
    config = folder.config()
    mean, logvar = read_latents(folder.latents(chosen))
    pixel_size = folder.pixel_size_angstrom()
    source = open_volume_source(folder.weights(chosen), config, pixel_size or 1.0, device)
    if mean.shape[1] != source.zdim:
        raise InputError(
            f"{folder.latents(chosen)}: latents have {mean.shape[1]} dimensions, the weights {source.zdim}"
        )
    return LoadedRun(
        folder=folder,
        source=source,
        z=np.asarray(mean, dtype=np.float32),
        logvar=None if logvar is None else np.asarray(logvar, dtype=np.float32),
        config=config,
        epoch=chosen,
        pixel_size_angstrom=pixel_size or 1.0,
        pixel_size_known=pixel_size is not None,
        original_rows=folder.original_rows(len(mean)),
        latents=_table(folder, mean, chosen),
    )


def _check_is_there(folder: RunFolder, epoch: int | None) -> None:
    for needed in (folder.weights(epoch), folder.latents(epoch)):
        if needed.is_file():
            continue
        if epoch is not None and not folder.epochs() and folder.weights(None).is_file():
            raise InputError(f"{needed}: no such file; this run has no epochs, leave the number out")
        raise InputError(
            f"{needed}: no such file; epochs in this folder: {_span(folder.epochs())} "
            f"(numbered from {folder.epoch_base})"
        )


def _table(folder: RunFolder, mean: Latents, epoch: int | None) -> LatentTable | None:
    """The table of these latents; in a run with epochs it is that of one of them.

    Raises InputError where it is not of the same particles as latents without a number.
    """
    path = folder.path / TABLE_FILE
    if not path.is_file():
        return None
    table, _ = read_latents_table(folder.path)
    if epoch is not None:
        return table if table.mean.shape == mean.shape and np.array_equal(table.mean, mean) else None
    if table.mean.shape != mean.shape:
        raise InputError(
            f"{path}: holds {len(table)} particles and {table.zdim} dimensions, z.pkl {len(mean)} and "
            f"{mean.shape[1]}; train again, or remove the table"
        )
    return table


def read_run_config(path: PathLikeStr) -> dict[str, Any]:
    """Configuration from a config.yaml, a config.pkl, or a folder that holds either (yaml first).

    Where the file named is not there but the one of the other kind is, that one is read: command lines of
    the protocol name config.pkl, which runs from upstream's version 3 on, and ours, no longer have.

    Raises InputError where neither is there or the file does not hold the expected sections.
    """
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in ("config.yaml", "config.pkl") if (path / name).is_file()]
        if not found:
            raise InputError(f"{path}: no config.yaml or config.pkl; give the folder of a training run")
        path = found[0]
    other = path.with_suffix(".yaml" if path.suffix == ".pkl" else ".pkl")
    if not path.is_file() and other.is_file():
        logger.info("%s is not there: %s is read", path, other.name)
        path = other
    if not path.is_file():
        raise InputError(f"{path}: no such configuration file; give the config.yaml of the run with -c")
    if path.suffix == ".pkl":
        config: Any = read_config_pickle(path)
    else:
        try:
            config = yaml.safe_load(path.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from error
    missing = {"lattice_args", "model_args"} - set(config if isinstance(config, dict) else ())
    if missing:
        raise InputError(
            f"{path}: not the configuration of a training run, it lacks {', '.join(sorted(missing))}"
        )
    return dict(config)


def choose_pixel_size(given: float | None, known: float | None, maps_wanted: bool = True) -> float:
    """Pixel size as given with --Apix, else as known, else 1 A; says so where they disagree or none is known.

    Raises InputError for one that is not above 0.
    """
    if given is None:
        if known is None and maps_wanted:
            logger.warning("The run does not know its pixel size: maps get 1 A; give --Apix")
        return known or 1.0
    if not given > 0:
        raise InputError(f"--Apix: a pixel size must be above 0 A, found {given:g}")
    if known is not None and abs(given - known) > 1e-3 * known:
        logger.warning("--Apix %g is used, but the run's images have %g A a pixel", given, known)
    return given


def pixel_size_from_config(config: dict[str, Any], folder: Path | None = None) -> float | None:
    """Pixel size in angstrom of the training box, from the run's ctf.pkl; None where unknown."""
    stored = config.get("dataset_args", {}).get("apix")
    if stored:
        return float(stored)
    ctf = config.get("dataset_args", {}).get("ctf")
    if not ctf:
        return None
    path = find_beside(str(ctf), folder)
    if path.suffix != ".pkl" or not path.is_file():
        return None
    table = read_ctf(path)
    return float(table[0, 0] * table[0, 1] / (int(config["lattice_args"]["D"]) - 1))


def find_beside(stored: str, folder: Path | None) -> Path:
    """Where a path stored in a config lies now: as stored, else of the same name in or beside the folder."""
    path = Path(stored)
    if path.is_file() or folder is None:
        return path
    for candidate in (folder / path, folder / path.name, folder.parent / path.name):
        if candidate.is_file():
            return candidate
    return path


def _span(epochs: tuple[int, ...]) -> str:
    if not epochs:
        return "none"
    return f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]} ({len(epochs)})"
