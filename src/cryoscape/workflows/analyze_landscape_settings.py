"""Settings of a landscape: as asked for, checked against the run, and those of an earlier one."""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryoscape import __version__
from cryoscape.analysis.embedding import check_latents
from cryoscape.analysis.landscape_states import Linkage
from cryoscape.analysis.maps import MapOptions, check_map_options
from cryoscape.engines.run_folder import LoadedRun
from cryoscape.errors import InputError
from cryoscape.typing import Latents
from cryoscape.workflows.analyze_landscape_maps import MaskOptions

logger = logging.getLogger("cryoscape")

DEFAULT_BOX = 128
"""Largest box in which maps are compared unless -d asks for another."""


@dataclass(frozen=True)
class LandscapeOptions:
    """Settings of `analyze_landscape`."""

    sketch_size: int = 1000
    """Points at which maps are compared."""
    n_states: int | None = None
    """Number of states; None: suggested."""
    linkage: Linkage = "ward"
    """Distance of groups of maps."""
    pc_dim: int = 20
    """Components of maps that are kept."""
    plot_dim: int = 5
    """Components shown against each other."""
    pc: int = 2
    """Components along which maps are made."""
    n_per_pc: int = 10
    """Maps along each component."""
    mask: MaskOptions = field(default_factory=MaskOptions)
    """Where maps are compared."""
    skip_vol: bool = False
    """Take the maps of the sketch from an earlier landscape; InputError where they are not there."""
    all_maps: bool = False
    """Write the map of each point also where it need not be kept."""
    skip_umap: bool = False
    """Do not compute UMAP."""
    pixel_size_angstrom: float | None = None
    """Pixel size of the training images; None: from the run."""
    maps: MapOptions = field(default_factory=MapOptions)
    """Hand, sign, resolution and box of the maps; a box of None is at most 128."""
    vol_start_index: int = 0
    """Number in the name of the first map of a folder of maps (states always count from 0)."""
    seed: int = 0
    """Of k-means and UMAP."""


def check_landscape(run: LoadedRun, options: LandscapeOptions) -> float:
    """Pixel size of the training images; InputError for latents or options that cannot be used."""
    check_latents(run.z, str(run.folder.latents(run.epoch)))
    for flag, value, least in (
        ("-M", options.n_states if options.n_states is not None else 1, 1),
        ("--pc-dim", options.pc_dim, 2),
        ("--plot-dim", options.plot_dim, 2),
        ("--pc", options.pc, 0),
        ("--n-per-pc", options.n_per_pc, 1),
    ):
        if value < least:
            raise InputError(f"{flag}: must be {least} or more, found {value}")
    if min(options.mask.dilate_angstrom, options.mask.edge_angstrom) < 0:
        raise InputError("--dilate, --cosine-edge: distances must be 0 A or more")
    native = run.training_pixel_size(options.pixel_size_angstrom)
    check_map_options(maps_of_landscape(run, options), run.source.box_size, native)
    return native


def maps_of_landscape(run: LoadedRun, options: LandscapeOptions) -> MapOptions:
    """Options of the maps with the box decided."""
    box = options.maps.downsample or min(DEFAULT_BOX, run.source.box_size)
    return replace(options.maps, downsample=None if box == run.source.box_size else box)


REPLACING = (
    "sketch_size",
    "pc_dim",
    "pc",
    "n_per_pc",
    "mask",
    "pixel_size_angstrom",
    "maps",
    "vol_start_index",
    "seed",
)
"""Options that change files of the same name; others only add files."""


def latents_sha256(z: Latents) -> str:
    """Fingerprint of latents, to tell results of other latents."""
    return hashlib.sha256(np.ascontiguousarray(z).tobytes()).hexdigest()


def landscape_settings(run: LoadedRun, options: LandscapeOptions, native: float) -> dict[str, Any]:
    """What landscape.json records of how a landscape is made."""
    return {
        "cryoscape": __version__,
        "run": run.folder.path.name,
        "engine": run.engine,
        "epoch": run.epoch,
        "n_particles": len(run.z),
        "latents_sha256": latents_sha256(run.z),
        "native_pixel_size_angstrom": native,
        "maps": asdict(maps_of_landscape(run, options)),
        "options": json.loads(json.dumps(asdict(options), default=str)),
    }


def read_settings(path: Path) -> dict[str, Any]:
    """Settings of an earlier result; empty where there are none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def check_results_folder(
    folder: Path, file: str, settings: dict[str, Any], replacing: tuple[str, ...], force: bool
) -> bool:
    """Refuse to overwrite other results; True where the folder holds results of these latents already.

    Parameters
    ----------
    file : name of the settings file.
    replacing : options that change files of the same name; others only add files.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give a folder with -o")
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    before = read_settings(folder / file)
    same_latents = before.get("latents_sha256") == settings["latents_sha256"]
    earlier, now = before.get("options", {}), settings["options"]
    differing = [name for name in replacing if earlier.get(name) != now[name]]
    if same_latents and not differing:
        return True
    if force:
        return False
    what = "files of something else"
    if before and not same_latents:
        what = "a landscape of other latents"
    elif before:
        what = f"a landscape with other settings ({', '.join(differing)})"
    raise InputError(f"{folder}: holds {what}; give another folder with -o, or --force to replace")
