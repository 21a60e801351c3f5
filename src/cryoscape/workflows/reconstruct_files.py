"""Names and contents of what reconstruct writes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cryoscape.analysis.maps import MapOptions, finish_map
from cryoscape.engines.regression.fit import RegressedMap
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.chimerax import write_open_script
from cryoscape.io.mrc import write_volume
from cryoscape.physics.fsc import half_map_curves, low_pass, resolution_angstrom, resolution_shell
from cryoscape.plotting.fsc import plot_fsc
from cryoscape.plotting.style import figure_png
from cryoscape.workflows.backproject_files import fsc_table

MAPS_FILE = "maps.csv"
BESIDE_MAP = ("_half_a.mrc", "_half_b.mrc", "_fsc-vals.txt", "_fsc-plot.png")
"""How the names of what lies beside NAME.mrc go on after NAME."""
_WINDOW_RADIUS = 8
"""Half-width at 1/2, in cycles per box, of the Gaussian in which half maps are compared locally."""


@dataclass(frozen=True)
class ReconstructedMap:
    """One map in words and numbers; resolutions in angstrom, of half maps corrected for the mask."""

    file: str
    n_near: int
    n_effective: float
    n_corrected_shells: int
    resolution_0143_angstrom: float
    resolution_05_angstrom: float
    level: float
    z: tuple[float, ...]

    def line(self) -> str:
        """One line for the log."""
        return (
            f"{self.file}: {self.resolution_0143_angstrom:.1f} A at FSC 0.143, "
            f"{self.resolution_05_angstrom:.1f} A at 0.5, {self.n_near} particles there, corrected in "
            f"{self.n_corrected_shells} shells"
        )


def check_folder(folder: Path) -> None:
    """Refuse a file, and a folder that holds something else."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; -o must name a folder")
    ours = any((folder / name).exists() for name in (MAPS_FILE, "backproject.mrc"))
    if folder.is_dir() and any(folder.iterdir()) and not ours:
        raise InputError(f"{folder}: holds files of something else; give another folder with -o")


def write_map(
    folder: Path,
    name: str,
    found: RegressedMap,
    pixel_size_angstrom: float,
    options: MapOptions | None = None,
    *,
    confidence: bool = False,
) -> ReconstructedMap:
    """Write map, half maps, FSC table and plot of one map, NAME.mrc, NAME_half_a.mrc...

    Parameters
    ----------
    pixel_size_angstrom : of the map as it was made.
    options : hand, sign, resolution and box of the maps written; the FSC is of half maps before these.
    confidence : write the local agreement of the half maps as well, in their own box.
    """
    options, box = options or MapOptions(), found.full.shape[-1]
    curves = half_map_curves(found.half_a, found.half_b, pixel_size_angstrom)
    sharp, half = (resolution_angstrom(curves.corrected, x, box, pixel_size_angstrom) for x in (0.143, 0.5))
    finished = [
        finish_map(one.numpy(), pixel_size_angstrom, options)
        for one in (found.full, found.half_a, found.half_b)
    ]
    for suffix, one in zip((".mrc", *BESIDE_MAP[:2]), finished, strict=True):
        write_volume(folder / f"{name}{suffix}", one.volume, one.pixel_size_angstrom, one.origin_angstrom)
    if confidence:
        shell = resolution_shell(curves.corrected, 0.143) or box / 2
        agreement = local_agreement(found.half_a, found.half_b, min(_WINDOW_RADIUS, float(shell)))
        write_volume(folder / f"{name}_confidence.mrc", agreement.numpy(), pixel_size_angstrom)
    with replace_when_done(folder / f"{name}_fsc-vals.txt") as temporary:
        temporary.write_text(fsc_table(curves, box))
    named = {"no mask": curves.unmasked.numpy(), f"corrected ({sharp:.1f} Å)": curves.corrected.numpy()}
    figure = plot_fsc(named, box, pixel_size_angstrom, bold=list(named)[-1], title=f"Half maps of {name}")
    with replace_when_done(folder / f"{name}_fsc-plot.png") as temporary:
        temporary.write_bytes(figure_png(figure))
    level = float(np.percentile(finished[0].volume, 99.5))
    place = tuple(float(x) for x in found.z)
    return ReconstructedMap(
        f"{name}.mrc", found.n_near, found.n_effective, found.n_corrected_shells, sharp, half, level, place
    )


def one_behind(jobs: Iterable[Callable[[], ReconstructedMap]]) -> Iterator[ReconstructedMap]:
    """Results of jobs in their order, each done in a thread while the next one is being thought up.

    Writing a map draws and compares on one core, while the particles of the next are added up on all.
    """
    with ThreadPoolExecutor(1) as pool:
        before: Future[ReconstructedMap] | None = None
        for job in jobs:
            started = pool.submit(job)
            if before is not None:
                yield before.result()
            before = started
        if before is not None:
            yield before.result()


def local_agreement(a: torch.Tensor, b: torch.Tensor, radius: float) -> torch.Tensor:
    """Correlation of half maps in a Gaussian window about each voxel, (D, D, D) from -1 to 1."""

    def window(x: torch.Tensor) -> torch.Tensor:
        return low_pass(x, radius)

    floor = 1e-3 * float((a**2).mean() + (b**2).mean()) / 2
    powers = (window(a**2).clamp(min=0) + floor) * (window(b**2).clamp(min=0) + floor)
    return (window(a * b) / powers.sqrt()).clamp(-1, 1)


def write_list(folder: Path, maps: Sequence[ReconstructedMap]) -> None:
    """Write maps.csv and the script that opens the maps."""
    write_maps_table(folder, maps)
    files = [folder / one.file for one in maps]
    write_open_script(folder / "open_maps.cxc", files, float(np.median([one.level for one in maps])))


def write_maps_table(folder: Path, maps: Sequence[ReconstructedMap]) -> None:
    """Write maps.csv, a row a map."""
    rows = []
    for one in maps:
        row = asdict(one)
        place = row.pop("z")
        rows.append({**row, **{f"z{j}": value for j, value in enumerate(place)}})
    with replace_when_done(folder / MAPS_FILE) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
