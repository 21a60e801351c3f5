"""Write density maps of a trained model at given latent coordinates."""

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cryoscape.analysis.maps import MapOptions, check_map_options, finish_map
from cryoscape.engines.run_folder import (
    RunFolder,
    choose_pixel_size,
    load_run,
    pixel_size_from_config,
    read_run_config,
)
from cryoscape.engines.volume_source import VolumeSource, open_volume_source
from cryoscape.errors import InputError
from cryoscape.io.mrc import write_volume
from cryoscape.typing import Latents
from cryoscape.workflows.progress import progress
from cryoscape.workflows.reconstruct_files import one_behind, write_map, write_maps_table
from cryoscape.workflows.regressed_maps import (
    MapsFrom,
    check_images,
    images_of,
    linear_maps_of,
    preprocessing_of,
    regression_of,
)
from cryoscape.workflows.weights import find_weights

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class EvalVolRequest:
    """Which maps to make, and what to do to each.

    Attributes
    ----------
    weights : a weights.E.pkl or weights.pkl of any engine, or a run folder (its latest epoch).
    config : config.yaml or config.pkl of the run; None for the one beside the weights.
    output : folder, or the .mrc file of a single map.
    z, z_start, z_end, zfile : exactly one way to give latents; z_start to z_end makes n_between points.
    pixel_size_angstrom : of the training images; None for what the run knows.
    flip : mirror z about voxel D//2, so that the centre stays; flip_legacy reverses the z axis, which moves
        the centre of even boxes by a voxel, as upstream does.
    low_pass_angstrom : cut all frequencies beyond this resolution.
    maps : what maps are made of; with "regression", half maps, FSC and maps.csv are written as well.
    """

    weights: Path
    output: Path
    config: Path | None = None
    z: tuple[float, ...] | None = None
    z_start: tuple[float, ...] | None = None
    z_end: tuple[float, ...] | None = None
    n_between: int = 10
    zfile: Path | None = None
    pixel_size_angstrom: float | None = None
    flip: bool = False
    flip_legacy: bool = False
    invert: bool = False
    downsample: int | None = None
    low_pass_angstrom: float | None = None
    crop: int | None = None
    prefix: str = "vol_"
    start_index: int = 0
    device: str = "auto"
    maps: MapsFrom = "decoder"

    @property
    def options(self) -> MapOptions:
        """What is done to maps that come in the box asked for."""
        return MapOptions(None, self.flip, self.flip_legacy, self.invert, self.low_pass_angstrom, self.crop)


@dataclass(frozen=True)
class EvalVolResult:
    """The files written and their voxel size."""

    files: tuple[Path, ...]
    pixel_size_angstrom: float


def eval_vol(request: EvalVolRequest) -> EvalVolResult:
    """Make the map at each latent, post-process and write <prefix>000.mrc, 001...

    Raises
    ------
    InputError : no or several ways to give z, wrong number of values, unusable box sizes or files.
    """
    latents = read_requested_latents(request)
    if request.maps == "regression":
        return _regressed(request, latents)
    source = _open_source(request)
    _check_columns(latents, source.zdim)
    check_map_options(request.options, source.box_size, source.pixel_size_angstrom)
    files, voxel = _output_files(request, len(latents)), source.pixel_size_angstrom
    with progress(len(latents), "maps") as update:
        for i, (path, one) in enumerate(zip(files, latents, strict=True)):
            made = finish_map(source.volumes(one[None])[0], voxel, request.options)
            write_volume(path, made.volume, voxel, made.origin_angstrom)
            update(i + 1)
    logger.info("%d maps of %.4g A a voxel in %s", len(files), voxel, files[0].parent)
    return EvalVolResult(tuple(files), voxel)


def _check_columns(latents: Latents, zdim: int) -> None:
    if latents.shape[1] != zdim:
        raise InputError(f"z has {latents.shape[1]} values, the model's zdim is {zdim}")


def _regressed(request: EvalVolRequest, latents: Latents) -> EvalVolResult:
    """Maps from the particles near each latent, with half maps, FSC and maps.csv."""
    _, folder = find_weights(request.weights)
    run = load_run(folder)
    _check_columns(latents, linear_maps_of(run).zdim)
    native = run.training_pixel_size(request.pixel_size_angstrom)
    options = replace(request.options, downsample=request.downsample)
    check_map_options(options, run.source.box_size, native)
    images = images_of(run)
    check_images(run, images)
    files = _output_files(request, len(latents))
    made = regression_of(run, images, preprocessing_of(run), files[0].parent, native)
    maps = made.regression.at_points(torch.from_numpy(latents).float())
    jobs = (
        partial(write_map, path.parent, path.stem, found, made.pixel_size_angstrom, options)
        for path, found in zip(files, maps, strict=True)
    )
    done = []
    with progress(len(latents), "maps") as update:
        for one in one_behind(jobs):
            done.append(one)
            logger.info("%s", one.line())
            update(len(done))
    write_maps_table(files[0].parent, done)
    voxel = made.pixel_size_angstrom * made.store.box_size / (options.downsample or made.store.box_size)
    logger.info("%d maps of %.4g A a voxel in %s", len(files), voxel, files[0].parent)
    return EvalVolResult(tuple(files), voxel)


def read_requested_latents(request: EvalVolRequest) -> Latents:
    """Latents (n, zdim) float32 of the one way given; InputError for none or more."""
    ways = {
        "-z": request.z is not None,
        "--zfile": request.zfile is not None,
        "--z-start with --z-end": request.z_start is not None or request.z_end is not None,
    }
    if sum(ways.values()) != 1:
        given = [name for name, used in ways.items() if used]
        raise InputError(
            f"latents: give exactly one of {', '.join(ways)}; found {', '.join(given) or 'none'}"
        )
    if request.z is not None:
        return np.asarray([request.z], dtype=np.float32)
    if request.zfile is not None:
        return _read_zfile(request.zfile)
    first, last = request.z_start, request.z_end
    if first is None or last is None or len(first) != len(last):
        raise InputError("--z-start and --z-end: give both, with as many values each as the model's zdim")
    if request.n_between < 1:
        raise InputError(f"-n {request.n_between}: expected at least 1")
    return np.linspace(first, last, request.n_between, dtype=np.float32)


def _read_zfile(path: Path) -> Latents:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a text file with one z a line")
    try:
        latents: Latents = np.loadtxt(path, dtype=np.float32, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected one z a line, numbers between spaces ({error})") from error
    if not latents.size:
        raise InputError(f"{path}: holds no latents")
    return latents


def _open_source(request: EvalVolRequest) -> VolumeSource:
    weights, folder = find_weights(request.weights)
    config = read_run_config(request.config or folder)
    pixel_size = choose_pixel_size(request.pixel_size_angstrom, _known_pixel_size(folder, config))
    source = open_volume_source(weights, config, pixel_size, request.device)
    return source if request.downsample is None else source.downsampled(request.downsample)


def _known_pixel_size(folder: Path, config: dict[str, object]) -> float | None:
    if (folder / "config.yaml").is_file() or (folder / "config.pkl").is_file():
        return RunFolder(folder).pixel_size_angstrom()
    return pixel_size_from_config(config, folder)


def _output_files(request: EvalVolRequest, n: int) -> list[Path]:
    if request.output.suffix == ".mrc":
        if n != 1:
            raise InputError(f"{request.output}: one file, but {n} maps are asked for; give a folder with -o")
        request.output.parent.mkdir(parents=True, exist_ok=True)
        return [request.output]
    if request.output.is_file():
        raise InputError(f"{request.output}: is a file; -o must name a folder or a .mrc file")
    request.output.mkdir(parents=True, exist_ok=True)
    return [request.output / f"{request.prefix}{request.start_index + i:03d}.mrc" for i in range(n)]
