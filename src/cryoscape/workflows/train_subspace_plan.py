"""What a subspace training is asked for, and the plan made of it before anything is written."""

import logging
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cryoscape.engines.distributed import of_first
from cryoscape.engines.linear_maps import read_tensors
from cryoscape.engines.run_files import RESUME_FILE, holds_run
from cryoscape.engines.run_folder import RunFolder
from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.memory import learning_bytes, within_memory
from cryoscape.engines.vae.checkpoint import pick_device
from cryoscape.engines.volume_source import engine_name
from cryoscape.errors import InputError
from cryoscape.io.mrc import read_volume
from cryoscape.particles.memory import GIB, HEADROOM, available_memory_bytes
from cryoscape.physics.fourier import crop_volume
from cryoscape.workflows.training_images import FoundImages, ImageSource

ENGINE = "subspace"

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True)
class LinearTrainingRequest:
    """What every training of linear maps is asked for.

    Attributes
    ----------
    zdim : number of components of the subspace; None for as many as the data support.
    mask : where maps may differ: "solvent", "sphere" or a map file with values from 0 to 1.
    seed : None for one that is drawn and recorded, or that of an earlier run which this one goes on from.
    """

    particles: Path
    outdir: Path
    poses: Path | None = None
    ctf: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None
    zdim: int | None = None
    mask: str = "solvent"
    invert_data: bool = True
    lazy: bool = False
    seed: int | None = None
    max_threads: int | None = None
    device: str = "auto"
    force: bool = False
    command: tuple[str, ...] = ()

    @property
    def source(self) -> ImageSource:
        """The files of images and metadata."""
        return ImageSource(self.particles, self.poses, self.ctf, self.ind, self.datadir)


@dataclass(frozen=True)
class TrainSubspaceRequest(LinearTrainingRequest):
    """What the user asked for; ``load`` is "latest" to continue a run that was stopped."""

    load: str | None = None


@dataclass(frozen=True)
class SubspacePlan:
    """Settings and device, the user's mask (D, D, D), and the state to continue from where there is one."""

    config: SubspaceConfig
    device: torch.device
    mask: Tensor | None = field(default=None, repr=False)
    state: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def continues(self) -> bool:
        """Whether an earlier run goes on."""
        return self.state is not None


def check_request(request: TrainSubspaceRequest) -> None:
    """Refuse, before anything is read, what cannot be done or would overwrite another run."""
    if request.load not in (None, "latest"):
        raise InputError(f"--load {request.load}: expected `latest`, to continue the run in {request.outdir}")
    check_linear_request(
        request, continues=request.load is not None, or_else="continue it with --load latest, "
    )


def check_linear_request(request: LinearTrainingRequest, continues: bool = False, or_else: str = "") -> None:
    """Refuse a folder that is a file or holds another run, and numbers below 1.

    Parameters
    ----------
    continues : whether the run in the folder goes on.
    or_else : what else may be done with it, for the message.
    """
    if request.outdir.exists() and not request.outdir.is_dir():
        raise InputError(f"{request.outdir}: is a file; -o must name a folder")
    if not continues and not request.force and holds_run(request.outdir):
        raise InputError(
            f"{request.outdir}: holds a training run already; {or_else}replace it with --force, or give "
            "another -o"
        )
    for flag, value in (("--zdim", request.zdim), ("--max-threads", request.max_threads)):
        if value is not None and value < 1:
            raise InputError(f"{flag} {value}: expected at least 1")


def plan_subspace(request: TrainSubspaceRequest, images: FoundImages) -> SubspacePlan:
    """Choose what the user left open, read mask and earlier state, and check that all fits.

    Raises
    ------
    InputError : settings that cannot be, no such device, an unusable mask, or no run to continue.
    """
    mask = None
    if request.mask not in ("solvent", "sphere"):
        extent = images.particles.pixel_size_at(images.box_size)
        mask = read_mask(Path(request.mask), images.box_size, extent)
    seed, max_radius = request.seed, None
    if request.load is not None:
        earlier = _earlier_settings(request)
        seed, max_radius = int(earlier["seed"]), earlier.get("max_radius")
    settings = SubspaceConfig(
        zdim=request.zdim,
        max_radius=max_radius,
        mask="sphere" if request.mask == "sphere" else "solvent",
        seed=of_first(int(np.random.default_rng().integers(100_000)) if seed is None else seed),
    )
    state = None if request.load is None else read_tensors(request.outdir / RESUME_FILE).get("state", {})
    return SubspacePlan(settings, pick_device(request.device), mask, state)


def training_section(request: TrainSubspaceRequest, config: SubspaceConfig) -> dict[str, Any]:
    """Settings as kept in config.yaml."""
    return {**asdict(config), "mask": _mask_name(request.mask)}


def _mask_name(mask: str) -> str:
    return mask if mask in ("solvent", "sphere") else str(Path(mask).resolve())


def with_room(plan: SubspacePlan, box_size: int) -> SubspacePlan:
    """The plan with the largest radius for which there is memory now; a run that goes on keeps its own."""
    if plan.continues:
        return plan
    config = within_memory(plan.config, box_size, of_first(_room_bytes(plan.device)))
    if config is not plan.config:
        found, wanted = config.radii(box_size)[-1], plan.config.radii(box_size)[-1]
        logger.log(
            logging.INFO if found >= config.reach(box_size) else logging.WARNING,
            "memory: learning up to radius %d, not %d, which takes %.1f GiB; final maps use all frequencies",
            *(found, wanted, learning_bytes(wanted, config.n_components) / GIB),
        )
    return replace(plan, config=config)


def _room_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(HEADROOM * torch.cuda.mem_get_info(device)[0])
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return int(HEADROOM * available_memory_bytes()) // processes


def _earlier_settings(request: TrainSubspaceRequest) -> dict[str, Any]:
    """Settings of the run to continue; InputError where there is none, or they are others."""
    folder = RunFolder(request.outdir)
    if not (folder.path / RESUME_FILE).is_file():
        if folder.weights(None).is_file():
            raise InputError(
                f"{folder.path}: the run is finished; see it with `cryoscape analyze {folder.path}`, "
                "or train anew with --force"
            )
        raise InputError(f"{folder.path}: nothing to continue from, no {RESUME_FILE}; train without --load")
    config = folder.config()
    if engine_name(config) != ENGINE:
        raise InputError(
            f"{folder.path}: holds a run of train_{engine_name(config)}, expected one of train_{ENGINE}; "
            "give another -o"
        )
    earlier = config.get("training", {})
    now = {"zdim": request.zdim, "mask": _mask_name(request.mask)}
    if request.seed is not None:
        now["seed"] = request.seed
    differences = [f"{k} is {earlier.get(k)} there, {v} here" for k, v in now.items() if earlier.get(k) != v]
    if differences:
        raise InputError(
            f"{folder.path}: cannot continue with other settings: {'; '.join(differences)}; "
            "use the same ones, or train anew with --force"
        )
    return dict(earlier)


def read_mask(path: Path, box_size: int, pixel_size_angstrom: np.ndarray | None) -> Tensor:
    """A mask (D, D, D) float32 in the box of the images, Fourier cropped from a larger box where needed.

    Parameters
    ----------
    pixel_size_angstrom : of the images in this box, one a particle; None where not known.

    Raises
    ------
    InputError : not a cube, values outside 0 to 1, nothing inside, a smaller box or another extent.
    """
    if not path.is_file():
        raise InputError(f"--mask {path}: expected solvent, sphere, or the .mrc file of a mask; no such file")
    volume = read_volume(path)
    shape = volume.data.shape
    if len(set(shape)) != 1 or shape[0] < box_size or shape[0] % 2:
        raise InputError(
            f"{path}: mask of {' x '.join(map(str, shape))} voxels; expected a cube of {box_size}, the box "
            "of the images, or of a larger even size that covers the same space"
        )
    low, high = float(volume.data.min()), float(volume.data.max())
    if not (np.isfinite(volume.data).all() and low >= -0.01 and 0.5 <= high <= 1.01):
        raise InputError(
            f"{path}: values from {low:.3g} to {high:.3g}; expected a mask, 0 outside and 1 inside"
        )
    if shape[0] != box_size and pixel_size_angstrom is not None and volume.pixel_size_angstrom > 0:
        found, expected = (
            shape[0] * volume.pixel_size_angstrom,
            box_size * float(np.median(pixel_size_angstrom)),
        )
        if abs(found - expected) > 0.01 * expected:
            raise InputError(
                f"{path}: covers {found:.4g} A, the images {expected:.4g} A; "
                "make the mask in the box of the images"
            )
    mask = torch.from_numpy(volume.data)
    if shape[0] != box_size:
        mask = crop_volume(mask, box_size)
    return mask.clamp(0, 1)
