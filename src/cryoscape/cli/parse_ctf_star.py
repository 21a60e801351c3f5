"""`cryoscape parse_ctf_star`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def parse_ctf_star(
    source: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    png: Path | None = None,
    box_size: Annotated[int | None, Parameter(name=["-D", "--box-size"])] = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    voltage: Annotated[float | None, Parameter(name=["--kv"])] = None,
    cs: Annotated[float | None, Parameter(name=["--cs"])] = None,
    amplitude_contrast: Annotated[float | None, Parameter(name=["-w", "--amplitude-contrast"])] = None,
    phase_shift: Annotated[float | None, Parameter(name=["--ps"])] = None,
) -> None:
    """Convert the CTF parameters of a RELION star file to ctf.pkl.

    Example: cryoscape parse_ctf_star run_data.star -D 320 --Apix 1.31 -o ctf.pkl

    Parameters
    ----------
    source
        Star file with defocus values; any RELION version.
    output
        Pickle to write, ctf.pkl by custom.
    png
        Plot the CTF of the first particle here.
    box_size
        Box in pixels [that of the file, or of its images].
    apix
        Pixel size in angstrom [that of the file].
    voltage
        Acceleration voltage in kV [that of the file].
    cs
        Spherical aberration in mm [that of the file].
    amplitude_contrast
        Amplitude contrast, 0 to 1 [that of the file].
    phase_shift
        Phase shift in degrees [that of the file, else 0].
    """
    from cryoscape.particles.from_star import Overrides
    from cryoscape.workflows.parse import parse_ctf_star as run

    overrides = Overrides(
        box_size_px=box_size,
        pixel_size_angstrom=apix,
        voltage_kv=voltage,
        spherical_aberration_mm=cs,
        amplitude_contrast=amplitude_contrast,
        phase_shift_degrees=phase_shift,
    )
    run(source, output, overrides, png)
