"""`cryoscape parse_ctf_star`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def parse_ctf_star(
    source: Path,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    png: Path | None = None,
    box_size: Annotated[int | None, Parameter(name=["-D", "--box-size"])] = None,
    apix: Annotated[float | None, Parameter(name=["--Apix", "--apix"])] = None,
    voltage: Annotated[float | None, Parameter(name=["--kv"])] = None,
    cs: Annotated[float | None, Parameter(name=["--cs"])] = None,
    amplitude_contrast: Annotated[float | None, Parameter(name=["-w", "--amplitude-contrast"])] = None,
    phase_shift: Annotated[float | None, Parameter(name=["--ps"], allow_leading_hyphen=True)] = None,
    relion31: Annotated[bool, Parameter(name=["--relion31"], negative=())] = False,
) -> None:
    """Convert the CTF parameters of a RELION star file to ctf.pkl.

    Parameters
    ----------
    source
        Star file with defocus values; any RELION version.
    output
        ctf.pkl
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
    relion31
        Not needed: the version is recognised.
    """
    from cryoscape.particles.from_star import Overrides
    from cryoscape.workflows.parse import parse_ctf_star as run

    del relion31
    overrides = Overrides(
        box_size_px=box_size,
        pixel_size_angstrom=apix,
        voltage_kv=voltage,
        spherical_aberration_mm=cs,
        amplitude_contrast=amplitude_contrast,
        phase_shift_degrees=phase_shift,
    )
    run(source, output, overrides, png)
