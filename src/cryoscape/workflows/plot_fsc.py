"""Plot FSC tables."""

from collections.abc import Sequence
from pathlib import Path

from cryoscape.workflows.fsc_table import Resolution, read_fsc_table, resolutions_of, write_fsc_plot
from cryoscape.workflows.tool_files import check_output, check_pixel_size


def plot_fsc(
    files: Sequence[Path],
    output: Path = Path("fsc-plot.png"),
    pixel_size_angstrom: float | None = None,
    force: bool = False,
) -> tuple[Resolution, ...]:
    """Draw FSC tables: all curves of one file, or of several the one that counts (``fsc``, else the last).

    Parameters
    ----------
    files
        Tables of `fsc` or of a back-projection, ours or upstream's; boxes may differ.
    output
        A .png file.
    pixel_size_angstrom
        Of the maps; without it the axis is that of 1 A a pixel.

    Raises
    ------
    InputError
        A file that is no FSC table, or an output that is there already.
    """
    check_pixel_size(pixel_size_angstrom)
    check_output(output, force, files, (".png",))
    tables = [read_fsc_table(path) for path in files]
    size = pixel_size_angstrom or 1.0
    if len(tables) == 1:
        (table,) = tables
        resolutions = resolutions_of(table.curves, table.box_size, size)
        boxes = [table.box_size] * len(table.curves)
        write_fsc_plot(output, table.curves, resolutions, boxes, size, files[0].stem)
        return resolutions
    curves = dict(zip(_distinct_names(files), (table.chosen for table in tables), strict=True))
    boxes = [table.box_size for table in tables]
    resolutions = tuple(
        resolutions_of({name: curve}, box, size)[0]
        for (name, curve), box in zip(curves.items(), boxes, strict=True)
    )
    write_fsc_plot(output, curves, resolutions, boxes, size, "Fourier shell correlation")
    return resolutions


def _distinct_names(files: Sequence[Path]) -> list[str]:
    """Names of the files; with their folder, or their whole path, where two would be alike."""
    for name in (lambda path: path.stem, lambda path: f"{path.resolve().parent.name}/{path.stem}", str):
        names = [name(path) for path in files]
        if len(set(names)) == len(names):
            return names
    return [f"{number} {path}" for number, path in enumerate(files)]
