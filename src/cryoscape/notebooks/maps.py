"""Maps at particles, made from a notebook."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd

from cryoscape.errors import InputError
from cryoscape.io.chimerax import write_open_script
from cryoscape.io.mrc import read_volume
from cryoscape.notebooks.plots import Pictures
from cryoscape.plotting.montage import nice_scale_bar, plot_montage
from cryoscape.plotting.surface import contour_level, principal_camera, render_surface
from cryoscape.typing import PathLikeStr
from cryoscape.workflows.analyze_results import write_rows
from cryoscape.workflows.eval_vol import EvalVolRequest, eval_vol
from cryoscape.workflows.filter_columns import RunColumns

_LEVELS_FROM = 20
"""Maps that the common level is found from; a level of many is no better."""


@dataclass(frozen=True)
class GeneratedVolumes:
    """Maps vol_000.mrc... of a folder, the rows of z they are of, and one contour level for all."""

    folder: Path
    files: tuple[Path, ...]
    ind: np.ndarray
    level: float
    pixel_size_angstrom: float

    def _repr_markdown_(self) -> str:
        return (
            f"{len(self.files)} maps of {self.pixel_size_angstrom:.4g} Å a voxel in `{self.folder}`; "
            f"`open_maps.cxc` opens them in ChimeraX at level {self.level:.3g}."
        )

    def show(self, n: int = 20) -> Pictures:
        """Surfaces of the first maps from one viewpoint, at one level; numbers are those of the files."""
        volumes = [read_volume(path).data for path in self.files[:n]]
        envelope = np.max(volumes, axis=0)
        camera = principal_camera(np.mean(volumes, axis=0), self.level, envelope=envelope)
        drawn = plot_montage(
            [render_surface(volume, self.level, camera) for volume in volumes],
            [path.stem.removeprefix("vol_") for path in self.files[:n]],
            [f"particle {row:,}" for row in self.ind[:n]],
            title=f"{self.folder.name}: {len(volumes)} of {len(self.files)} maps",
            subtitle=f"one contour level, {self.level:.3g}",
            scale_bar=nice_scale_bar(2 * camera.half_width * self.pixel_size_angstrom),
        )
        return Pictures((drawn,))


def generate_volumes(
    run: RunColumns,
    vol_ind: Sequence[int] | np.ndarray | pd.Index,
    Apix: float | None = None,
    flip: bool = False,
    invert: bool = False,
    downsample: int | None = None,
    outdir: PathLikeStr | None = None,
    device: str = "auto",
) -> GeneratedVolumes:
    """Write the maps at the latents of particles: vol_000.mrc... in a new folder reconstruct_000000.

    Parameters
    ----------
    vol_ind
        Rows of z.
    Apix
        Pixel size of the training images in angstrom; None for what the run knows.
    flip, invert, downsample
        As of `eval_vol`.
    outdir
        Folder; by default the next reconstruct_NNNNNN beside the analysis's other results.

    Raises
    ------
    InputError
        Rows that are not there, settings that do not fit, or a folder that holds maps already.
    """
    rows = np.asarray(vol_ind, dtype=np.int64).ravel()
    if not len(rows) or rows.min() < 0 or rows.max() >= len(run.z):
        raise InputError(f"vol_ind: expected rows of z, 0 to {len(run.z) - 1}, found {rows.tolist()[:10]}")
    folder = (_next_folder(run.analysis) if outdir is None else Path(outdir)).resolve()
    if any(folder.glob("vol_*.mrc")):
        raise InputError(f"{folder}: holds maps already; give another outdir")
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "z_values.txt", run.z[rows])
    write_rows(folder / "rows.txt", rows)
    made = eval_vol(
        EvalVolRequest(
            weights=run.folder.weights(run.epoch),
            output=folder,
            zfile=folder / "z_values.txt",
            pixel_size_angstrom=Apix,
            flip=flip,
            invert=invert,
            downsample=downsample,
            device=device,
        )
    )
    some = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _LEVELS_FROM)).round().astype(int))
    level = float(np.median([contour_level([read_volume(made.files[i]).data]) for i in some]))
    write_open_script(folder / "open_maps.cxc", made.files, level)
    return GeneratedVolumes(folder, made.files, rows, level, made.pixel_size_angstrom)


def _next_folder(analysis: Path) -> Path:
    """The first of reconstruct_000000, reconstruct_000001... that is not there."""
    return next(path for i in count() if not (path := analysis / f"reconstruct_{i:06d}").exists())
