"""Settings of an analysis as kept in its folder, and whether a folder may take another analysis."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryoscape import __version__
from cryoscape.analysis.maps import MapOptions
from cryoscape.analysis.traversal import Spacing
from cryoscape.engines.run_folder import LoadedRun
from cryoscape.errors import InputError
from cryoscape.workflows.analyze_results import SETTINGS_FILE
from cryoscape.workflows.regressed_maps import MapsFrom

# settings that change files of the same name; others (more clusters, maps after --skip-vol) only add files
_REPLACING = (
    "maps",
    "maps_from",
    "vol_start_index",
    "seed",
    "n_per_pc",
    "limits_percentile",
    "spacing",
    "pixel_size_angstrom",
)


@dataclass(frozen=True)
class AnalyzeOptions:
    """Settings of `analyze`."""

    ksample: int = 20
    """Number of k-means clusters, with a map at the on-data centre of each."""
    gmm: int | None = None
    """Number of Gaussians of a mixture, with a map at the on-data centre of each; None for no mixture."""
    pc: int = 2
    """Number of principal components along which maps are made."""
    n_per_pc: int = 10
    """Maps along each component."""
    limits_percentile: tuple[float, float] = (1.0, 99.0)
    """Percentiles of the particles between which the paths run."""
    spacing: Spacing = "even"
    """Spacing of the points of the paths."""
    skip_vol: bool = False
    """Make no maps."""
    skip_umap: bool = False
    """Do not compute UMAP."""
    pixel_size_angstrom: float | None = None
    """Pixel size of the training images; None: from the run."""
    maps: MapOptions = field(default_factory=MapOptions)
    """Hand, sign, resolution and box of the maps."""
    maps_from: MapsFrom = "decoder"
    """What maps are made of; with "regression", half maps, FSC and maps.csv are written as well."""
    vol_start_index: int = 0
    """Number in the name of the first map of each folder."""
    seed: int = 0
    """Of k-means, the mixture and UMAP."""


def analysis_settings(run: LoadedRun, options: AnalyzeOptions, native: float) -> dict[str, Any]:
    """What analysis.json holds: the run, its latents by their checksum, and the options."""
    return {
        "cryoscape": __version__,
        "run": run.folder.path.name,
        "engine": run.engine,
        "epoch": run.epoch,
        "n_particles": len(run.z),
        "latents_sha256": hashlib.sha256(np.ascontiguousarray(run.z).tobytes()).hexdigest(),
        "native_pixel_size_angstrom": native,
        "options": json.loads(json.dumps(asdict(options))),
    }


def check_analysis_folder(folder: Path, settings: dict[str, Any], force: bool) -> bool:
    """Refuse to overwrite other results; True where an earlier UMAP is of the same latents and seed."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give a folder with -o.")
    if force or not folder.is_dir() or not any(folder.iterdir()):
        return False
    path = folder / SETTINGS_FILE
    way_out = "give another folder with -o, or --force to replace"
    try:
        earlier = json.loads(path.read_text())
        before = earlier["options"]
        same_latents = earlier["latents_sha256"] == settings["latents_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder}: holds files that are not of this program's analysis; {way_out}."
        ) from None
    if not same_latents:
        raise InputError(f"{folder}: holds the analysis of other latents; {way_out}.")
    now = settings["options"]
    usual = asdict(AnalyzeOptions())  # of options that an earlier version did not have
    differing = [name for name in _REPLACING if before.get(name, usual[name]) != now[name]]
    if differing:
        raise InputError(
            f"{folder}: holds an analysis with other settings ({', '.join(differing)}); {way_out}."
        )
    return True
