"""Drawn particles by their statistics; images against Gaussian atoms projected in closed form."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.particles.metadata import CtfTable, Poses
from cryoscape.particles.simulation_drawing import (
    DrawnParticles,
    ImagingConfig,
    apportion,
    check_imaging,
    draw_particles,
    junk_kind,
)
from cryoscape.particles.simulation_imaging import (
    Projector,
    draw_edges,
    draw_noise,
    images_from_half_plane,
    noise_power,
)
from cryoscape.physics.density import atom_density
from cryoscape.physics.fourier import half_plane_coefficients
from cryoscape.physics.grids import half_plane
from cryoscape.physics.rotations import random_rotations

CONFIG = ImagingConfig(box_size=32, pixel_size_angstrom=3.0)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.lists(st.floats(0.01, 100), min_size=1, max_size=30))
def test_apportioned_counts_sum_to_n_and_are_within_one_of_their_share(n, fractions):
    share = np.array(fractions)
    counts = apportion(n, share)
    assert counts.sum() == n
    assert np.abs(counts - n * share / share.sum()).max() < 1 + 1e-9


def test_drawn_parameters_have_the_distributions_asked_for():
    config = replace(
        CONFIG,
        shift_sigma_px=2.0,
        defocus_range_angstrom=(10000.0, 20000.0),
        astigmatism_sigma_angstrom=300.0,
        contrast_sigma=0.2,
        junk_fraction=0.1,
    )
    p = draw_particles(10_000, [0.6, 0.3, 0.1], config)
    assert np.bincount(p.label + 1).tolist() == [1000, 5400, 2700, 900]
    assert (p.source == p.label).all()
    assert (p.contrast[p.label < 0] == 0).all()
    assert p.contrast[p.label >= 0].mean() == pytest.approx(1, abs=0.01)
    assert p.contrast[p.label >= 0].std() == pytest.approx(0.2, rel=0.05)
    assert (p.poses.shift_fraction * 32).std() == pytest.approx(2.0, rel=0.03)
    mean = (p.ctf.defocus_u_angstrom + p.ctf.defocus_v_angstrom) / 2
    assert mean.min() >= 10000
    assert mean.max() <= 20000
    assert mean.std() == pytest.approx(10000 / math.sqrt(12), rel=0.03)
    difference = p.ctf.defocus_u_angstrom - p.ctf.defocus_v_angstrom
    assert difference.min() >= 0
    assert difference.mean() == pytest.approx(300 * math.sqrt(2 / math.pi), rel=0.05)
    # in random order: the labels of the first half have the shares of the whole
    assert np.abs(np.bincount(p.label[:5000] + 1) / 5000 - [0.1, 0.54, 0.27, 0.09]).max() < 0.03


@pytest.mark.parametrize("concentration", [0.5, 3.0, 20.0])
def test_preferred_directions_are_von_mises_fisher(concentration):
    config = replace(CONFIG, orientations="preferred", concentration=concentration)
    rotation = draw_particles(20_000, [1.0], config).poses.rotation
    direction = rotation[:, 2]  # the viewing direction in the frame of the map
    expected = 1 / math.tanh(concentration) - 1 / concentration
    assert direction[:, 2].mean() == pytest.approx(expected, abs=0.01)
    assert np.abs(direction[:, :2].mean(axis=0)).max() < 0.02


def test_uniform_directions_have_no_mean_and_equal_moments():
    rotation = draw_particles(20_000, [1.0], CONFIG).poses.rotation
    np.testing.assert_allclose(rotation.mean(axis=0), np.zeros((3, 3)), atol=0.02)
    np.testing.assert_allclose((rotation**2).mean(axis=0), np.full((3, 3), 1 / 3), atol=0.01)


def test_the_same_seed_draws_the_same_and_another_seed_does_not():
    first, again = draw_particles(50, [1.0], CONFIG), draw_particles(50, [1.0], CONFIG)
    other = draw_particles(50, [1.0], replace(CONFIG, seed=1))
    assert np.array_equal(first.poses.rotation, again.poses.rotation)
    assert np.array_equal(first.ctf.defocus_u_angstrom, again.ctf.defocus_u_angstrom)
    assert not np.array_equal(first.poses.rotation, other.poses.rotation)


def test_junk_of_wrong_poses_is_imaged_at_another_rotation_than_the_files_tell():
    config = replace(CONFIG, junk_fraction=0.3, junk=("poses", "wrong"))
    p = draw_particles(1000, [0.75, 0.25], config)
    kind = junk_kind(p, n_states=2)
    assert {name: int((kind == name).sum()) for name in ("", "poses", "wrong")} == {
        "": 700,
        "poses": 150,
        "wrong": 150,
    }
    turned = np.einsum("nij,nij->n", p.true_rotation, p.poses.rotation)  # trace of the relative rotation
    assert turned[kind != "poses"] == pytest.approx(3)
    assert turned[kind == "poses"].mean() == pytest.approx(0, abs=0.3)  # uniform: trace has mean 0
    assert (p.source[kind == "poses"] == 0).mean() == pytest.approx(0.75, abs=0.12)
    assert (p.source[kind == "wrong"] >= 2).all()


def test_edges_are_steps_of_unit_variance_in_every_direction():
    images = draw_edges(300, 32, np.random.default_rng(0)).numpy()
    np.testing.assert_allclose(images.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(images.var(axis=(1, 2)), 1, rtol=1e-4)
    axis = np.arange(32) - 15.5
    slope = np.stack([(images * axis).mean(axis=(1, 2)), (images * axis[:, None]).mean(axis=(1, 2))], axis=1)
    assert np.abs(slope.mean(axis=0)).max() < 0.2 * np.abs(slope).mean()
    levels = np.quantile(images.reshape(300, -1), [0.02, 0.2, 0.8, 0.98], axis=1)
    assert (np.minimum(levels[1] - levels[0], levels[3] - levels[2]) < 0.1).all()  # one side at least is flat


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"box_size": 33}, "-D 33"),
        ({"snr": 0.0}, "--snr"),
        ({"defocus_range_angstrom": (2e4, 1e4)}, "--defocus"),
        ({"junk_fraction": 1.0}, "--junk-fraction"),
        ({"junk": ()}, "--junk"),
        ({"amplitude_contrast": 1.2}, "-w"),
        ({"pixel_size_angstrom": math.nan}, "--apix"),
    ],
)
def test_meaningless_settings_are_refused_by_the_name_of_their_flag(change, flag):
    with pytest.raises(InputError, match=flag):
        check_imaging(replace(CONFIG, **change))


def drawn(rotation, shift_px, contrast, defocus=15000.0, box=32, pixel=3.0):
    """Particles of one structure, astigmatic."""
    n = len(rotation)
    columns = [box, pixel, defocus + 400, defocus - 400, 30.0, 300.0, 2.7, 0.1, 0.0]
    ctf = CtfTable(*(np.full(n, float(value)) for value in columns))
    poses = Poses(rotation.double().numpy(), np.asarray(shift_px) / box)
    return DrawnParticles(np.zeros(n, int), np.zeros(n, int), np.asarray(contrast), poses, ctf)


def test_images_are_minus_ctf_times_projections_of_the_atoms_in_closed_form():
    """Atoms are projected by the formula; the CTF is written out here, independently."""
    box, pixel, sigma = 32, 3.0, 1.5 * 3.0
    generator = torch.Generator().manual_seed(3)
    atoms = (torch.rand(40, 3, generator=generator) - 0.5) * 0.5 * box * pixel
    amplitude = torch.rand(40, generator=generator) + 1
    density, _ = atom_density(atoms, amplitude, sigma, box, pixel)
    rotation = random_rotations(6, generator)
    shift, contrast = (
        np.array([[0, 0], [3.0, 0], [0, -2.5], [1, 1], [0, 0], [-2, 1.5]]),
        np.linspace(0.8, 1.3, 6),
    )
    config = replace(CONFIG, b_factor_angstrom2=90.0)
    projector = Projector(config)
    images = projector.images(projector.transform(density), drawn(rotation, shift, contrast), np.arange(6))

    axis = (torch.arange(box) - box // 2).double()
    for i in range(6):
        seen = atoms.double() @ rotation[i].double().T  # x in the image = R x
        xy = seen[:, :2] / pixel - torch.from_numpy(shift[i])  # content lies at -shift
        gx = torch.exp(-((axis[None] - xy[:, :1]) ** 2) / (2 * (sigma / pixel) ** 2))
        gy = torch.exp(-((axis[None] - xy[:, 1:]) ** 2) / (2 * (sigma / pixel) ** 2))
        projection = (
            torch.einsum("a,ay,ax->yx", amplitude.double(), gy, gx) / (2 * math.pi * sigma**2) / pixel
        )
        expected = -contrast[i] * ctf_applied(projection.numpy(), pixel, 90.0)
        found = images[i].numpy()
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9999
        assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    assert images[0].max() > -images[0].min()  # light on dark


def ctf_applied(image, pixel, b_factor):
    """The image after the CTF of `drawn`, by numpy's FFT and the formula of Rohou & Grigorieff."""
    f = np.fft.fftfreq(len(image), pixel)
    fy, fx = np.meshgrid(f, f, indexing="ij")
    s2 = fx**2 + fy**2
    wavelength = 0.0196875
    angle = np.arctan2(fy, fx) - np.radians(30.0)
    defocus = 15000.0 + 400 * np.cos(2 * angle)
    gamma = 2 * np.pi * (-0.5 * defocus * wavelength * s2 + 0.25 * 2.7e7 * wavelength**3 * s2**2)
    ctf = (math.sqrt(0.99) * np.sin(gamma) - 0.1 * np.cos(gamma)) * np.exp(-b_factor * s2 / 4)
    inside = s2 <= (0.5 / pixel) ** 2 + 1e-12
    return np.fft.ifft2(np.fft.fft2(image) * ctf * inside).real


def test_images_of_a_half_plane_give_its_coefficients_back():
    plane = half_plane(16)
    k = torch.cat([torch.zeros(1, 2, dtype=torch.int64), plane.k])
    values = torch.randn(3, len(k), dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    images = images_from_half_plane(values, k, 16)
    back = half_plane_coefficients(images, plane)
    inner = plane.count_within(7.9)
    torch.testing.assert_close(back[:, :inner], values[:, 1 : inner + 1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(images.sum((1, 2)), values[:, 0].real, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("kind", ["white", "radial"])
def test_noise_has_unit_variance_and_the_stated_spectrum(kind):
    noise = draw_noise(400, kind, 32, torch.Generator().manual_seed(0))
    assert float(noise.var()) == pytest.approx(1, rel=0.02)
    measured = torch.fft.rfft2(noise).abs().square().mean(0) / 32**2
    ratio = (measured / noise_power(kind, 32)).numpy()
    assert np.abs(ratio[1:-1, 1:-1].mean() - 1) < 0.01
    assert ratio.std() < 0.1
    if kind == "radial":
        assert float(measured[:3, :3].mean()) > 2.0 * float(measured[14:18, 12:].mean())
