"""The contrast transfer function of the microscope.

Formulas: Rohou & Grigorieff 2015 (CTFFIND4); signs as in cryoDRGN, so files stay compatible: the function is
negative at low frequency (underfocus positive), the opposite of RELION's.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from scipy import constants
from torch import Tensor


@dataclass(frozen=True)
class CtfParameters:
    """Parameters of one image or of a batch; all tensors have the same (batch) shape.

    Defocus is positive for underfocus; the angle is that of ``defocus_u`` against the x axis.
    """

    defocus_u_angstrom: Tensor
    defocus_v_angstrom: Tensor
    defocus_angle_degrees: Tensor
    voltage_kv: Tensor
    spherical_aberration_mm: Tensor
    amplitude_contrast: Tensor
    phase_shift_degrees: Tensor
    b_factor_angstrom2: Tensor | None = None

    def to(self, device: torch.device | str) -> "CtfParameters":
        """Move all tensors to a device."""
        tensors: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {n: None if t is None else t.to(device) for n, t in tensors.items()}
        return CtfParameters(**moved)


@lru_cache(maxsize=1)
def _wavelength_constants() -> tuple[float, float]:
    """Return h / sqrt(2 m e) in angstrom sqrt(V) and e / (2 m c^2) in 1/V, from CODATA."""
    charge, mass = constants.elementary_charge, constants.electron_mass
    first = constants.Planck / (2 * mass * charge) ** 0.5 * 1e10
    return first, charge / (2 * mass * constants.speed_of_light**2)


def electron_wavelength_angstrom(voltage_kv: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return the relativistic electron wavelength; 0.019687 A at 300 kV."""
    first, second = _wavelength_constants()
    volts = voltage_kv * 1e3
    return first / (volts + second * volts**2).sqrt()


def contrast_transfer(
    frequencies: Float[Tensor, "*frequency_batch p 2"], parameters: CtfParameters
) -> Float[Tensor, "*batch p"]:
    """Evaluate the CTF.

    gamma = 2 pi (-1/2 df lambda s^2 + 1/4 Cs lambda^3 s^4) - phase, with
    df = 1/2 (u + v + (u - v) cos 2(alpha - angle)) and CTF = sqrt(1 - w^2) sin gamma - w cos gamma, times
    exp(-B s^2 / 4) where a B-factor is given. CTF(0) = -w without phase shift.

    Parameters
    ----------
    frequencies
        (fx, fy) in 1/A, shared by all images, shape (P, 2), or of each image, shape (..., P, 2).
    parameters
        Optical parameters with batch shape (...).
    """
    fx, fy = frequencies.unbind(-1)
    squared = fx * fx + fy * fy
    two_alpha_cos = fx * fx - fy * fy  # s^2 cos 2 alpha
    two_alpha_sin = 2 * fx * fy  # s^2 sin 2 alpha
    u, v = parameters.defocus_u_angstrom, parameters.defocus_v_angstrom
    wavelength = electron_wavelength_angstrom(parameters.voltage_kv)
    angle = 2 * torch.deg2rad(parameters.defocus_angle_degrees)
    weight = parameters.amplitude_contrast
    # sqrt(1 - w^2) sin g - w cos g = sin(g - asin w): one sine per pixel
    offset = -torch.deg2rad(parameters.phase_shift_degrees) - torch.asin(weight)
    factor = -torch.pi * wavelength
    mean = (factor * 0.5 * (u + v))[..., None]
    astigmatic_cos = (factor * 0.5 * (u - v) * angle.cos())[..., None]
    astigmatic_sin = (factor * 0.5 * (u - v) * angle.sin())[..., None]
    quartic = (0.5 * torch.pi * parameters.spherical_aberration_mm * 1e7 * wavelength**3)[..., None]
    gamma = mean * squared + astigmatic_cos * two_alpha_cos + astigmatic_sin * two_alpha_sin
    ctf = torch.sin(gamma + quartic * squared**2 + offset[..., None])
    if parameters.b_factor_angstrom2 is not None:
        ctf = ctf * torch.exp(-0.25 * parameters.b_factor_angstrom2[..., None] * squared)
    return ctf
