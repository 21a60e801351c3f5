"""Write density maps of a trained model at given latent coordinates."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cryoscape.engines.run_folder import RunFolder, pixel_size_from_config, read_run_config
from cryoscape.engines.volume_source import VolumeSource, open_volume_source
from cryoscape.errors import InputError
from cryoscape.io.mrc import write_volume
from cryoscape.typing import Latents, Volume
from cryoscape.workflows.progress import progress
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


@dataclass(frozen=True)
class EvalVolResult:
    """The files written and their voxel size."""

    files: tuple[Path, ...]
    pixel_size_angstrom: float


def eval_vol(request: EvalVolRequest) -> EvalVolResult:
    """Evaluate the model at each latent, post-process and write <prefix>000.mrc, 001...

    Raises
    ------
    InputError : no or several ways to give z, wrong number of values, unusable box sizes or files.
    """
    latents = read_requested_latents(request)
    source = _open_source(request)
    if latents.shape[1] != source.zdim:
        raise InputError(f"z has {latents.shape[1]} values, the model's zdim is {source.zdim}")
    if request.crop is not None and not (0 < request.crop <= source.box_size and request.crop % 2 == 0):
        raise InputError(f"--crop {request.crop}: expected an even box of at most {source.box_size} px")
    files = _output_files(request, len(latents))
    voxel = source.pixel_size_angstrom
    offset = 0 if request.crop is None else source.box_size // 2 - request.crop // 2
    with progress(len(latents), "maps") as update:
        for i, (path, one) in enumerate(zip(files, latents, strict=True)):
            volume = finish_volume(source.volumes(one[None])[0], voxel, request)
            write_volume(path, volume, voxel, (offset * voxel,) * 3)
            update(i + 1)
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
    known = _known_pixel_size(folder, config)
    given = request.pixel_size_angstrom
    if given is not None and known is not None and abs(given - known) > 1e-3 * known:
        logger.warning("--Apix %g is used, but the run's images have %g A a pixel", given, known)
    if given is None and known is None:
        logger.warning("pixel size not known from the run; maps are written with 1 A a voxel, give --Apix")
    source = open_volume_source(weights, config, given or known or 1.0, request.device)
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


def finish_volume(volume: Volume, voxel_angstrom: float, request: EvalVolRequest) -> Volume:
    """Mirror, invert, low-pass and crop one map, in this order."""
    if request.flip_legacy:
        volume = volume[::-1]
    elif request.flip:
        # index i -> D - i, so voxel D//2 stays; the plane at -D/2 wraps onto itself.
        volume = np.roll(volume[::-1], 1, axis=0)
    if request.invert:
        volume = -volume
    if request.low_pass_angstrom is not None:
        volume = _low_pass(volume, voxel_angstrom / request.low_pass_angstrom)
    if request.crop is not None:
        start = volume.shape[0] // 2 - request.crop // 2
        inside = slice(start, start + request.crop)
        volume = volume[inside, inside, inside]
    return np.ascontiguousarray(volume, dtype=np.float32)


def _low_pass(volume: Volume, cutoff: float) -> Volume:
    """Keep frequencies of at most `cutoff` cycles a voxel (a hard sphere)."""
    n = volume.shape[0]
    full, half = torch.fft.fftfreq(n), torch.fft.rfftfreq(n)
    radius = (full[:, None, None].square() + full[:, None].square() + half.square()).sqrt()
    transform = torch.fft.rfftn(torch.from_numpy(np.ascontiguousarray(volume))) * (radius <= cutoff)
    filtered: Volume = torch.fft.irfftn(transform, s=(n, n, n)).numpy()
    return filtered
