"""Maps at points of latent space from the particles near them, or of a selection, with half maps and FSC."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cryoscape.engines.regression.fit import RegressedMap, Regression
from cryoscape.engines.run_folder import LoadedRun, load_run
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_rows
from cryoscape.particles.fourier_store import FourierStore, PreprocessConfig
from cryoscape.typing import Rows
from cryoscape.workflows.backproject import BackprojectRequest, backproject
from cryoscape.workflows.eval_vol import EvalVolRequest, read_requested_latents
from cryoscape.workflows.progress import StepProgress
from cryoscape.workflows.reconstruct_files import (
    ReconstructedMap,
    check_folder,
    one_behind,
    write_list,
    write_map,
)
from cryoscape.workflows.regressed_maps import linear_maps_of, regression_of
from cryoscape.workflows.training_images import FoundImages, ImageSource, find_images

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class ReconstructRequest:
    """What to reconstruct: points (z or zfile) or the selection ``ind`` of a run, or ``ind`` alone.

    Attributes
    ----------
    box_size : of the maps; must be that of the images.
    """

    particles: Path
    output: Path
    poses: Path | None = None
    ctf: Path | None = None
    run: Path | None = None
    z: tuple[float, ...] | None = None
    zfile: Path | None = None
    ind: Path | None = None
    box_size: int | None = None
    datadir: Path | None = None
    invert: bool = True

    def words(self) -> list[str]:
        """The command line that asks for this, for reports and logs."""
        words = ["cryoscape", "reconstruct", str(self.particles)]
        for flag in ("poses", "ctf", "datadir", "run", "zfile", "ind"):
            value = getattr(self, flag)
            if value is not None:
                words += [f"--{flag}", str(value)]
        if not self.invert:
            words.append("--uninvert-data")
        return [*words, "-o", str(self.output)]


def reconstruct(request: ReconstructRequest) -> tuple[ReconstructedMap, ...]:
    """Make the maps and write them; of a selection without a run, by plain back-projection.

    Raises
    ------
    InputError : no or several ways to say what is wanted, files that do not fit, or a folder in use.
    """
    _check(request)
    check_folder(request.output)
    if request.run is None:
        backproject(
            BackprojectRequest(
                request.particles,
                request.output,
                request.poses,
                request.ctf,
                request.ind,
                request.datadir,
                request.invert,
            )
        )
        return ()
    run = load_run(request.run)
    linear_maps_of(run)
    points = _points(request, run)
    images = find_images(ImageSource(request.particles, request.poses, request.ctf, None, request.datadir))
    if request.box_size is not None and request.box_size != images.box_size:
        raise InputError(
            f"--box {request.box_size}: the images have {images.box_size} px; give particles of that box"
        )
    chosen = None if request.ind is None else read_rows(request.ind)
    pixel_size = _pixel_size(images, run)
    treatment = PreprocessConfig(invert=request.invert)
    made = regression_of(run, images, treatment, request.output, run.pixel_size_angstrom)
    done = []
    with StepProgress() as watch:
        maps = _maps(made.regression, made.store, points, chosen, watch)
        jobs = (
            partial(write_map, request.output, f"map_{number:03d}", found, pixel_size, confidence=True)
            for number, found in enumerate(maps)
        )
        for one in one_behind(jobs):
            done.append(one)
            logger.info("%s", one.line())
    write_list(request.output, done)
    logger.info("%d maps of %.4g A a voxel in %s", len(done), pixel_size, request.output)
    return tuple(done)


def _check(request: ReconstructRequest) -> None:
    given = [
        flag
        for flag, value in (("-z", request.z), ("--zfile", request.zfile), ("--ind", request.ind))
        if value is not None
    ]
    if len(given) != 1:
        raise InputError(
            f"reconstruct: give exactly one of -z, --zfile and --ind; found {', '.join(given) or 'none'}"
        )
    if request.run is None and request.ind is None:
        raise InputError(f"reconstruct {given[0]}: a point needs the run it lies in; give --run")


def _points(request: ReconstructRequest, run: LoadedRun) -> np.ndarray | None:
    if request.ind is not None:
        return None
    asked = EvalVolRequest(request.particles, request.output, z=request.z, zfile=request.zfile)
    points = read_requested_latents(asked)
    if points.shape[1] != run.source.zdim:
        raise InputError(f"z has {points.shape[1]} values, the run's zdim is {run.source.zdim}")
    if not np.isfinite(points).all():
        raise InputError(f"z: point {int(np.argmin(np.isfinite(points).all(1)))} is not finite")
    return points


def _pixel_size(images: FoundImages, run: LoadedRun) -> float:
    sizes = images.particles.pixel_size_at(images.box_size)
    if sizes is not None:
        return float(np.median(sizes))
    return run.pixel_size_angstrom * run.source.box_size / images.box_size


def _maps(
    regression: Regression,
    store: FourierStore,
    points: np.ndarray | None,
    chosen: Rows | None,
    watch: StepProgress,
) -> Iterator[RegressedMap]:
    if points is not None:
        yield from regression.at_points(torch.from_numpy(points).float(), watch)
    elif chosen is not None:
        rows = np.flatnonzero(np.isin(store.particles.row, chosen))
        if not len(rows):
            raise InputError("--ind: none of these rows is in the run; give rows of the original input")
        yield regression.of_selection(torch.from_numpy(rows))
