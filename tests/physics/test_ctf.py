"""The CTF against torch-ctf, CTFFIND's constants and closed forms."""

import math

import pytest
import torch
import torch_ctf

from cryoscape.physics.ctf import CtfParameters, contrast_transfer, electron_wavelength_angstrom

BOX, PIXEL = 64, 1.4
DEFAULTS = {
    "defocus_u_angstrom": 15000.0,
    "defocus_v_angstrom": 15000.0,
    "defocus_angle_degrees": 0.0,
    "voltage_kv": 300.0,
    "spherical_aberration_mm": 2.7,
    "amplitude_contrast": 0.1,
    "phase_shift_degrees": 0.0,
}


def parameters(**changes: float | list[float]) -> CtfParameters:
    values = {**DEFAULTS, **changes}
    tensors = torch.broadcast_tensors(*(torch.tensor(v, dtype=torch.float64) for v in values.values()))
    return CtfParameters(**dict(zip(values, tensors, strict=True)))


def random_parameters(n: int) -> CtfParameters:
    draw = torch.rand(7, n, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    low = torch.tensor([5e3, 5e3, -180, 80, 0.01, 0.0, 0])[:, None]
    high = torch.tensor([3e4, 3e4, 180, 300, 2.7, 0.3, 120])[:, None]
    v, u = (low + draw * (high - low))[:2].sort(dim=0).values  # torch-ctf cannot have v > u
    return CtfParameters(u, v, *(low + draw * (high - low))[2:])


def frequencies() -> torch.Tensor:
    """Frequencies in 1/A, centred, shape (BOX * BOX, 2)."""
    axis = (torch.arange(BOX, dtype=torch.float64) - BOX // 2) / (BOX * PIXEL)
    fy, fx = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([fx, fy], dim=-1).reshape(-1, 2)


def at(fx: float, fy: float = 0.0, **changes: float | list[float]) -> torch.Tensor:
    return contrast_transfer(torch.tensor([[fx, fy]], dtype=torch.float64), parameters(**changes))[..., 0]


def test_minus_torch_ctf_for_random_parameters() -> None:
    """torch-ctf takes micrometres and has the opposite sign; its constants are CODATA's too.

    It calculates in single precision, in which phases of hundreds of radians are good to 3e-4.
    """
    p = random_parameters(50)
    theirs = torch_ctf.calculate_ctf_2d(
        defocus=(p.defocus_u_angstrom + p.defocus_v_angstrom) / 2e4,
        astigmatism=(p.defocus_u_angstrom - p.defocus_v_angstrom) / 2e4,
        astigmatism_angle=p.defocus_angle_degrees,
        voltage=p.voltage_kv,
        spherical_aberration=p.spherical_aberration_mm,
        amplitude_contrast=p.amplitude_contrast,
        phase_shift=p.phase_shift_degrees,
        pixel_size=PIXEL,
        image_shape=(BOX, BOX),
        rfft=False,
        fftshift=True,
    )
    ours = contrast_transfer(frequencies(), p)
    torch.testing.assert_close(ours, -theirs.reshape(50, -1).to(ours), atol=5e-4, rtol=0)


def test_formula_written_out() -> None:
    """gamma = 2 pi (-1/2 df lambda s^2 + 1/4 Cs lambda^3 s^4) - phase, angle by angle."""
    p, f = random_parameters(10), frequencies()
    column = {name: value[:, None] for name, value in vars(p).items() if value is not None}
    wavelength = electron_wavelength_angstrom(column["voltage_kv"])
    angle = torch.atan2(f[:, 1], f[:, 0]) - column["defocus_angle_degrees"] * math.pi / 180
    u, v = column["defocus_u_angstrom"], column["defocus_v_angstrom"]
    defocus = 0.5 * (u + v + (u - v) * torch.cos(2 * angle))
    s = f.norm(dim=1)
    gamma = -0.5 * defocus * wavelength * s**2
    gamma = gamma + 0.25 * column["spherical_aberration_mm"] * 1e7 * wavelength**3 * s**4
    gamma = 2 * math.pi * gamma - column["phase_shift_degrees"] * math.pi / 180
    w = column["amplitude_contrast"]
    expected = (1 - w**2).sqrt() * gamma.sin() - w * gamma.cos()
    torch.testing.assert_close(contrast_transfer(f, p), expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize(
    ("voltage_kv", "expected"), [(80, 0.0417572), (100, 0.0370144), (200, 0.0250793), (300, 0.0196875)]
)
def test_wavelength(voltage_kv: float, expected: float) -> None:
    """Textbook values; those from CTFFIND's rounded constants are 2e-5 smaller."""
    found = electron_wavelength_angstrom(torch.tensor(voltage_kv, dtype=torch.float64)).item()
    ctffind = 12.2639 / math.sqrt(voltage_kv * 1e3 + 0.97845e-6 * (voltage_kv * 1e3) ** 2)
    assert found == pytest.approx(expected, abs=1e-7)
    assert found == pytest.approx(ctffind, rel=4e-5)


@pytest.mark.parametrize("w", [0.0, 0.07, 0.1, 0.5])
def test_at_zero_it_is_minus_the_amplitude_contrast(w: float) -> None:
    assert at(0, amplitude_contrast=w).item() == pytest.approx(-w, abs=1e-15)


def test_negative_at_low_frequency_until_the_first_zero() -> None:
    """Without amplitude contrast and Cs the first zero is at s = 1 / sqrt(df lambda)."""
    plain = {"amplitude_contrast": 0.0, "spherical_aberration_mm": 0.0}
    zero = 1 / math.sqrt(15000 * 0.01968749)
    assert at(zero, **plain).item() == pytest.approx(0, abs=1e-6)
    assert at(zero / math.sqrt(2), **plain).item() == pytest.approx(-1)
    assert at(zero * math.sqrt(1.5), **plain).item() == pytest.approx(1)


@pytest.mark.parametrize("angle", [0.0, 30.0, -75.0])
def test_defocus_u_acts_along_its_angle_and_v_across(angle: float) -> None:
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    both = {"defocus_u_angstrom": 20000.0, "defocus_v_angstrom": 10000.0, "defocus_angle_degrees": angle}
    for sign in (1, -1):
        along, across = (
            at(sign * 0.1 * c, sign * 0.1 * s, **both),
            at(-sign * 0.1 * s, sign * 0.1 * c, **both),
        )
        torch.testing.assert_close(along, at(0.1, defocus_u_angstrom=2e4, defocus_v_angstrom=2e4))
        torch.testing.assert_close(across, at(0.1, defocus_u_angstrom=1e4, defocus_v_angstrom=1e4))


def test_swapping_u_and_v_is_a_quarter_turn() -> None:
    p = random_parameters(5)
    swapped = CtfParameters(
        p.defocus_v_angstrom,
        p.defocus_u_angstrom,
        p.defocus_angle_degrees + 90,
        p.voltage_kv,
        p.spherical_aberration_mm,
        p.amplitude_contrast,
        p.phase_shift_degrees,
    )
    f = frequencies()
    torch.testing.assert_close(contrast_transfer(f, swapped), contrast_transfer(f, p))
    torch.testing.assert_close(contrast_transfer(-f, p), contrast_transfer(f, p))


def test_a_phase_plate_of_90_degrees_turns_the_sine_into_a_cosine() -> None:
    f = 0.05
    gamma = math.pi * (-15000 * 0.01968749 * f**2 + 0.5 * 2.7e7 * 0.01968749**3 * f**4)
    assert at(f, phase_shift_degrees=90.0, amplitude_contrast=0.0).item() == pytest.approx(
        -math.cos(gamma), abs=1e-6
    )
    assert at(0, phase_shift_degrees=90.0, amplitude_contrast=0.0).item() == pytest.approx(-1)


def test_b_factor_is_an_envelope() -> None:
    plain = at(0.2)
    p = parameters()
    damped = CtfParameters(**{**vars(p), "b_factor_angstrom2": torch.tensor(80.0, dtype=torch.float64)})
    f = torch.tensor([[0.2, 0.0]], dtype=torch.float64)
    expected = plain * math.exp(-80 * 0.2**2 / 4)
    torch.testing.assert_close(contrast_transfer(f, damped)[..., 0], expected)
    assert at(0).item() == contrast_transfer(0 * f, damped)[0]


def test_batches_share_frequencies_or_have_their_own() -> None:
    p = random_parameters(6)
    shaped = CtfParameters(**{n: None if v is None else v.reshape(2, 3) for n, v in vars(p).items()})
    f = frequencies()[:7]
    shared = contrast_transfer(f, shaped)
    own = contrast_transfer(f.expand(2, 3, 7, 2), shaped)
    assert shared.shape == (2, 3, 7)
    torch.testing.assert_close(own, shared)
    torch.testing.assert_close(shared.reshape(6, 7), contrast_transfer(f, p))


def test_single_precision_stays_single() -> None:
    p = random_parameters(20)
    single = CtfParameters(**{n: None if v is None else v.float() for n, v in vars(p).items()})
    found = contrast_transfer(frequencies().float(), single)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), contrast_transfer(frequencies(), p), atol=5e-4, rtol=0)


def test_moving_to_a_device_keeps_what_is_not_given() -> None:
    moved = parameters().to("meta")
    assert moved.voltage_kv.device.type == "meta"
    assert moved.b_factor_angstrom2 is None
