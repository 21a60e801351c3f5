"""Regression of a run: its particles in given images, or in those it was trained on, ready to make maps."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool

from cryoscape.engines.latent_table import HALF_TABLE_FILE, LatentTable, read_latents_table
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.engines.regression.fit import Regression
from cryoscape.engines.run_folder import LoadedRun, find_beside
from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.start import whole_mask
from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.workflows.progress import StepProgress
from cryoscape.workflows.train_subspace_plan import read_mask
from cryoscape.workflows.training_images import FoundImages, ImageSource, find_images, load_images

logger = logging.getLogger("cryoscape")

MapsFrom = Literal["decoder", "regression"]
"""What maps are made of: what the model predicts, or the particles near each point as its correction."""


@dataclass(frozen=True)
class RunRegression:
    """A regression, its images in the run's order, and the pixel size of its maps."""

    regression: Regression
    store: FourierStore
    pixel_size_angstrom: float


def linear_maps_of(run: LoadedRun) -> LinearMaps:
    """The run's mean and bases; InputError for a run whose latents have no covariances."""
    if not isinstance(run.source, LinearMaps) or run.latents is None or run.latents.covariance is None:
        raise InputError(
            f"{run.folder.path}: a run of {run.engine}; expected one of train_subspace, whose latents have "
            "covariances"
        )
    return run.source


def images_of(run: LoadedRun) -> FoundImages:
    """The images a run was trained on, where its configuration says, or in or beside its folder.

    Raises
    ------
    InputError : files that are gone or do not fit; nothing is read of the images yet.
    """
    args = run.config.get("dataset_args", {})

    def path(name: str) -> Path | None:
        return find_beside(str(args[name]), run.folder.path) if args.get(name) else None

    particles = path("particles")
    if particles is None or not particles.exists():
        raise InputError(
            f"{run.folder.path}: maps by regression need the images of the run, {particles or 'not named'}; "
            "put them back, or give them to `cryoscape reconstruct`"
        )
    datadir = Path(str(args["datadir"])) if args.get("datadir") else None
    return find_images(ImageSource(particles, path("poses"), path("ctf"), path("ind"), datadir))


def preprocessing_of(run: LoadedRun) -> PreprocessConfig:
    """How the images of a run were treated in training."""
    args, usual = run.config.get("dataset_args", {}), PreprocessConfig()
    return PreprocessConfig(
        invert=bool(args.get("invert_data", usual.invert)),
        window=bool(args.get("window", usual.window)),
        window_radius=float(args.get("window_r", usual.window_radius)),
        background=args.get("background", usual.background),
    )


def check_images(run: LoadedRun, images: FoundImages) -> None:
    """Raise InputError where images are smaller than the run's, or lack some of its rows."""
    box, name = linear_maps_of(run).box_size, images.particles.source
    if images.box_size < box:
        raise InputError(
            f"{name}: images of {images.box_size} px, the run was made at {box}; give the same or a "
            "larger box"
        )
    beyond = run.original_rows.max(initial=-1)
    if beyond >= images.particles.n_original:
        raise InputError(
            f"{name}: {images.particles.n_original} particles, the run used row {beyond}; "
            "give the particles the run was trained on"
        )


def regression_of(
    run: LoadedRun,
    images: FoundImages,
    preprocessing: PreprocessConfig,
    folder: Path,
    run_pixel_size_angstrom: float,
) -> RunRegression:
    """Read the run's particles in the images given, and solve for the predictions of half sets.

    Parameters
    ----------
    folder : for an image store, where images do not fit into memory.
    run_pixel_size_angstrom : of the run's box; used where the images do not know theirs.

    Raises
    ------
    InputError : see `check_images`.
    """
    check_images(run, images)
    maps, latents = linear_maps_of(run), _latents_by_half(run)
    there = run.original_rows[np.isin(run.original_rows, images.particles.row)]
    store = load_images(images.of_rows(there), preprocessing, folder, False)
    kept = _whole_pairs(np.isin(run.original_rows, store.particles.row))
    if kept.sum() < store.n:
        store = store.select_original(run.original_rows[kept])
    mask = _mask(run, store, maps.box_size)
    with StepProgress() as watch:
        regression = Regression(store, _rows_of(latents, kept), maps, mask, watch)
    return RunRegression(regression, store, run_pixel_size_angstrom * maps.box_size / store.box_size)


def _latents_by_half(run: LoadedRun) -> LatentTable:
    """Latents by half sets or, of an older run, by all images."""
    if (run.folder.path / HALF_TABLE_FILE).is_file():
        return read_latents_table(run.folder.path, HALF_TABLE_FILE)[0]
    logger.warning(
        "%s: of a version that placed no image by its own half set; half maps will seem to agree better than "
        "they do: run train_subspace again",
        run.folder.path,
    )
    if run.latents is None:
        raise InputError(f"{run.folder.path}: no table of latents")
    return run.latents


def _whole_pairs(kept: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Without those whose neighbour is missing, so that half sets stay those of the run: even and odd."""
    pairs = np.all(kept[: len(kept) // 2 * 2].reshape(-1, 2), axis=1)
    return np.concatenate([np.repeat(pairs, 2), kept[2 * len(pairs) :]])


def _mask(run: LoadedRun, store: FourierStore, run_box: int) -> torch.Tensor:
    """Where maps may differ, as in training, in the box of the images."""
    name = str(run.config.get("training", {}).get("mask", "solvent"))
    given = None
    if name not in ("solvent", "sphere"):
        given = _larger(read_mask(Path(name), run_box, None), store.box_size)
    config = SubspaceConfig(mask="sphere" if name == "sphere" else "solvent")
    return whole_mask(store, config, given)


def _larger(mask: torch.Tensor, box: int) -> torch.Tensor:
    size = (box,) * 3
    return torch.nn.functional.interpolate(mask[None, None], size, mode="trilinear")[0, 0].clamp(0, 1)


def _rows_of(latents: LatentTable, kept: np.ndarray) -> LatentTable:
    covariance = None if latents.covariance is None else latents.covariance[kept]
    return replace(
        latents,
        mean=latents.mean[kept],
        covariance=covariance,
        log_likelihood=latents.log_likelihood[kept],
        contrast=latents.contrast[kept],
        junk_score=latents.junk_score[kept],
        state=None if latents.state is None else latents.state[kept],
    )
