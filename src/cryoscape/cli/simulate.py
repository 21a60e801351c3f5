"""`cryoscape simulate`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def simulate(
    models: Annotated[list[Path], Parameter(consume_multiple=True)],
    /,
    *,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir"])],
    n: Annotated[int, Parameter(name=["-n", "--n-particles"])],
    box_size: Annotated[int, Parameter(name=["-D", "--box-size"])] = 64,
    apix: Annotated[float | None, Parameter(name=["--apix", "--Apix"])] = None,
    states: Path | None = None,
    motion: Path | None = None,
    snr: float = 0.05,
    resolution: float | None = None,
    noise: Literal["white", "radial"] = "white",
    orientations: Literal["uniform", "preferred"] = "uniform",
    concentration: float = 2.0,
    shift_sigma: float = 1.0,
    defocus: tuple[float, float] = (8000.0, 25000.0),
    astigmatism: float = 200.0,
    kv: float = 300.0,
    cs: float = 2.7,
    w: Annotated[float, Parameter(name="-w")] = 0.1,
    b_factor: Annotated[float, Parameter(name=["-B", "--b-factor"])] = 0.0,
    contrast_sigma: float = 0.0,
    junk_fraction: float = 0.0,
    junk: Annotated[
        tuple[Literal["noise", "wrong", "poses", "edges"], ...], Parameter(consume_multiple=True)
    ] = ("noise",),
    seed: int = 0,
    force: bool = False,
) -> None:
    """Simulate particle images of atomic models, with the truth beside them.

    Writes particles.mrcs, particles.star (RELION 3.1), particles.cs, poses.pkl and ctf.pkl, and in truth/ the
    state of each particle, the true maps and all settings. Images have the sign of extracted particles (light
    on dark): no command needs a flag for them.

    Example: cryoscape simulate 50s/*.pdb --states states.json -n 20000 -D 64 --apix 6.56 -o simulated

    Parameters
    ----------
    models
        PDB or mmCIF files (also .gz) in one frame.
    outdir
        Folder to write.
    n
        Number of particles, junk included.
    box_size
        Side of the images in pixels, even.
    apix
        Pixel size in A [the box is 1.4 times the diameter of the model].
    states
        JSON of compositional states: {"fractions": {STATE: f}, "states": {STATE: {FILE_STEM: "CHAINS"}}}.
    motion
        JSON of a motion: {"path": "closed" or "line", "steps": 60, "bodies": {NAME: {"chains": {FILE_STEM:
        "CHAINS"}, "rotation_degrees": 20, "axis", "pivot", "translation_angstrom", "phase"}}}.
    snr
        Variance of the signal over the whole image, divided by that of the noise; inf for no noise.
    resolution
        Of the maps, in A [twice the pixel size].
    noise
        white, or radial: stronger at low frequency.
    orientations
        uniform, or preferred: views concentrated about the z axis.
    concentration
        Of preferred orientations (von Mises-Fisher).
    shift_sigma
        Standard deviation of the shifts along x and y, in px.
    defocus
        Lowest and highest mean defocus in A.
    astigmatism
        Scale of the defocus difference in A.
    kv
        Acceleration voltage in kV.
    cs
        Spherical aberration in mm.
    w
        Amplitude contrast, 0 to 1.
    b_factor
        Envelope of the images in A^2, in addition to the resolution of the maps.
    contrast_sigma
        Standard deviation of the strength of particles about 1.
    junk_fraction
        Share of particles that are junk.
    junk
        Kinds, equally frequent: noise alone, wrong structures, wrong poses, edges of a film.
    seed
        Of all that is drawn.
    force
        Replace a simulation that is in the folder already.
    """
    from cryoscape.particles.simulation_drawing import ImagingConfig
    from cryoscape.workflows.simulate import SimulateRequest
    from cryoscape.workflows.simulate import simulate as run

    imaging = ImagingConfig(
        box_size=box_size,
        pixel_size_angstrom=1.0 if apix is None else apix,
        snr=snr,
        noise=noise,
        orientations=orientations,
        concentration=concentration,
        shift_sigma_px=shift_sigma,
        defocus_range_angstrom=defocus,
        astigmatism_sigma_angstrom=astigmatism,
        voltage_kv=kv,
        spherical_aberration_mm=cs,
        amplitude_contrast=w,
        b_factor_angstrom2=b_factor,
        contrast_sigma=contrast_sigma,
        junk_fraction=junk_fraction,
        junk=junk,
        seed=seed,
    )
    run(SimulateRequest(tuple(models), outdir, n, imaging, apix, states, motion, resolution, force))
