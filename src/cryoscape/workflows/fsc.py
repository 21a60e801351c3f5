"""Fourier shell correlation of two maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cryoscape.errors import InputError
from cryoscape.io.atomic import write_text
from cryoscape.io.mrc import VolumeFile
from cryoscape.physics.fsc import fourier_shell_correlation, half_map_curves, masked_correlation
from cryoscape.workflows.fsc_table import Resolution, fsc_table, resolutions_of, write_fsc_plot
from cryoscape.workflows.tool_files import check_output, read_map


@dataclass(frozen=True)
class FscRequest:
    """Which maps to compare and how.

    Attributes
    ----------
    mask : soft mask, 1 inside, in the box of the maps.
    reference : map about whose density masks are made; asks for all five curves.
    corrected : report the curve less what the mask adds, found by randomising phases.
    randomise_from : where that begins: a resolution in angstrom if at least 1, else cycles a pixel; None for
        where the curve without mask falls below 0.8.
    pixel_size_angstrom : of the maps; None for that of the headers.
    table, plot : files to write.
    """

    first: Path
    second: Path
    mask: Path | None = None
    reference: Path | None = None
    corrected: bool = False
    randomise_from: float | None = None
    pixel_size_angstrom: float | None = None
    table: Path | None = None
    plot: Path | None = None
    force: bool = False
    seed: int = 0


@dataclass(frozen=True)
class FscResult:
    """Curves by the name of their column, shells 0 to D // 2; their resolutions; and the text table."""

    curves: dict[str, np.ndarray]
    resolutions: tuple[Resolution, ...]
    table: str


def fsc(request: FscRequest) -> FscResult:
    """Compare two maps shell by shell, and write table and plot where asked for.

    Raises
    ------
    InputError
        Maps that are no cubes of one box, a mask that is none, or files that are there already.
    """
    for path in (request.table, request.plot):
        if path is not None:
            check_output(path, request.force, _inputs(request))
    if request.plot is not None and request.plot == request.table:
        raise InputError(f"{request.plot}: is named for both table and plot; give two names")
    if request.corrected and request.mask is None and request.reference is None:
        raise InputError("--corrected: takes off what a mask adds; give --mask or --ref-volume")
    first, second = _two_maps(request)
    box, pixel_size = len(first.data), first.pixel_size_angstrom
    curves = _curves(request, first.data, second.data, pixel_size)
    resolutions = resolutions_of(curves, box, pixel_size)
    table = fsc_table(curves, box)
    if request.table is not None:
        write_text(request.table, table)
    if request.plot is not None:
        title = f"{request.first.name} against {request.second.name}"
        drawn = [found for found in resolutions if found.curve != "fsc" or len(curves) == 1]
        write_fsc_plot(request.plot, curves, drawn, [box] * len(drawn), pixel_size, title)
    return FscResult(curves, resolutions, table)


def _inputs(request: FscRequest) -> list[Path]:
    given = (request.first, request.second, request.mask, request.reference)
    return [path for path in given if path is not None]


def _two_maps(request: FscRequest) -> tuple[VolumeFile, VolumeFile]:
    first = read_map(request.first, request.pixel_size_angstrom)
    second = read_map(request.second, request.pixel_size_angstrom)
    shape = first.data.shape
    if len(set(shape)) != 1:
        raise InputError(f"{request.first}: {_size(shape)} voxels, expected a cube")
    if second.data.shape != shape:
        raise InputError(
            f"{request.second}: {_size(second.data.shape)} voxels, {request.first} has {_size(shape)}; bring "
            "both to one box"
        )
    a, b = first.pixel_size_angstrom, second.pixel_size_angstrom
    if abs(a - b) > 1e-3 * a:
        raise InputError(
            f"{request.second}: {b:g} A a pixel, {request.first} has {a:g}; give the true one with --Apix"
        )
    return first, second


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _curves(
    request: FscRequest, a: np.ndarray, b: np.ndarray, pixel_size_angstrom: float
) -> dict[str, np.ndarray]:
    """Columns of the table; ``fsc`` is the curve asked for, and the only one without masks."""
    first, second = torch.from_numpy(a), torch.from_numpy(b)
    mask = None if request.mask is None else _read_mask(request.mask, a.shape)
    start = _first_shell(request.randomise_from, len(a), pixel_size_angstrom)
    if request.reference is not None:
        reference = read_map(request.reference, pixel_size_angstrom)
        if reference.data.shape != a.shape:
            raise InputError(
                f"{request.reference}: {_size(reference.data.shape)} voxels, the maps have {_size(a.shape)}"
            )
        all_five = half_map_curves(
            first, second, pixel_size_angstrom, mask, torch.from_numpy(reference.data), start, request.seed
        )
        found = {
            "NoMask": all_five.unmasked,
            "Spherical": all_five.spherical,
            "Loose": all_five.loose,
            "Tight": all_five.tight,
            "Corrected": all_five.corrected,
        }
    else:
        unmasked = fourier_shell_correlation(first, second)
        found = {"fsc": unmasked}
        if mask is not None:
            within = masked_correlation(first, second, mask, unmasked, start, request.seed)
            chosen = within.corrected if request.corrected else within.masked
            found = {
                "fsc": chosen,
                "NoMask": unmasked,
                "Masked": within.masked,
                "Corrected": within.corrected,
            }
    curves = {name: curve.numpy().copy() for name, curve in found.items()}
    for curve in curves.values():
        curve[0] = 1.0  # the mean density, which says nothing about structure
    return curves


def _read_mask(path: Path, shape: Sequence[int]) -> torch.Tensor:
    mask = read_map(path)
    if mask.data.shape != tuple(shape):
        raise InputError(
            f"{path}: mask of {_size(mask.data.shape)} voxels, the maps have {_size(shape)}; make it with "
            "gen_mask from one of them"
        )
    low, high = float(mask.data.min()), float(mask.data.max())
    if low < -0.01 or not 0.5 <= high <= 1.01:
        raise InputError(
            f"{path}: values from {low:.3g} to {high:.3g}; expected a mask, 0 outside and 1 inside"
        )
    return torch.from_numpy(mask.data.clip(0, 1))


def _first_shell(given: float | None, box: int, pixel_size_angstrom: float) -> int | None:
    if given is None:
        return None
    shell = box * pixel_size_angstrom / given if given >= 1 else given * box
    if not (given > 0 and 1 <= shell <= box / 2):
        raise InputError(
            f"--corrected {given:g}: expected a resolution from {2 * pixel_size_angstrom:.4g} to "
            f"{box * pixel_size_angstrom:.4g} A, or a frequency below 0.5 cycles a pixel"
        )
    return int(shell)
