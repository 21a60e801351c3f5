"""One test for each convention in docs/conventions.md, with numbers that can be followed on paper.

The particle is a point (a narrow Gaussian) at r = (x, y, z) = (5, -3, 2) voxels off the centre.
"""

import math
import re
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

import particle_files
from cryoscape.analysis.clustering import clusters_from_labels
from cryoscape.engines.run_folder import RunFolder
from cryoscape.io.mrc import read_volume, write_volume
from cryoscape.particles.fourier_store import PreprocessConfig
from cryoscape.particles.metadata import CtfTable, Particles
from cryoscape.particles.preprocessing import ImageStatistics, Preprocessor
from cryoscape.particles.readers import load_particles
from cryoscape.particles.simulation_imaging import images_from_half_plane
from cryoscape.physics.backprojection import HalfSetAccumulator
from cryoscape.physics.ctf import CtfParameters, contrast_transfer, electron_wavelength_angstrom
from cryoscape.physics.density import atom_density
from cryoscape.physics.fourier import (
    crop_images,
    crop_volume,
    fourier_2d,
    half_plane_coefficients,
    hartley_2d,
    hartley_from_half_plane,
    inverse_fourier_2d,
)
from cryoscape.physics.grids import flip_hand, half_plane
from cryoscape.physics.rotations import matrix_from_axis_angle, matrix_from_relion_euler
from cryoscape.physics.shifts import shift_images, shift_phase
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.volume_grid import volume_to_grid

BOX, CENTRE = 32, 16
POINT = (5.0, -3.0, 2.0)
PAGE = Path(__file__).parents[2] / "docs" / "conventions.md"


def point_volume(point: tuple[float, float, float]) -> torch.Tensor:
    """Map of a point (x, y, z), in voxels off the centre."""
    return atom_density(torch.tensor([point]), torch.ones(1), 1.0, BOX, 1.0)[0]


def central_slice(volume: torch.Tensor, rotation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients (P + 1,) of the view of a map, and their k; the origin comes first."""
    grid = FourierGrid(BOX // 2, oversampling=4)
    k = torch.cat([torch.zeros(1, 2, dtype=torch.int64), half_plane(BOX).k])
    return extract_slices(volume_to_grid(volume, grid), grid, rotation[None].float(), k)[0, :, 0], k


def view(volume: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Image of a map at a rotation."""
    coefficients, k = central_slice(volume, rotation)
    return images_from_half_plane(coefficients[None], k, BOX)[0]


def peak(image: torch.Tensor) -> tuple[int, ...]:
    """Position of the largest value off the centre, as (x, y) or (x, y, z)."""
    at = torch.unravel_index(image.argmax(), image.shape)
    return tuple(int(i) - n // 2 for i, n in zip(reversed(at), reversed(image.shape), strict=True))


def ctf_parameters(**changes: float) -> CtfParameters:
    values = {
        "defocus_u_angstrom": 10000.0,
        "defocus_v_angstrom": 10000.0,
        "defocus_angle_degrees": 0.0,
        "voltage_kv": 300.0,
        "spherical_aberration_mm": 2.7,
        "amplitude_contrast": 0.1,
        "phase_shift_degrees": 0.0,
    } | changes
    return CtfParameters(**{name: torch.tensor(v, dtype=torch.float64) for name, v in values.items()})


def ctf_at(fx: float, fy: float = 0.0, **changes: float) -> float:
    f = torch.tensor([[fx, fy]], dtype=torch.float64)
    return contrast_transfer(f, ctf_parameters(**changes)).item()


# --- axes, centre ---


def test_axes_of_volumes_and_images(tmp_path: Path) -> None:
    """A volume is [z, y, x] in memory, and x runs fastest in the file."""
    volume = point_volume(POINT)
    assert peak(volume) == (5, -3, 2)
    assert volume.argmax() == ((CENTRE + 2) * BOX + CENTRE - 3) * BOX + CENTRE + 5
    write_volume(tmp_path / "map.mrc", volume.numpy(), 1.5)
    values = np.frombuffer((tmp_path / "map.mrc").read_bytes()[1024:], "<f4")
    assert values.argmax() == volume.argmax()
    with mrcfile.open(tmp_path / "map.mrc") as mrc:
        assert mrc.data[18, 13, 21] == mrc.data.max()  # z = 16 + 2, y = 16 - 3, x = 16 + 5
        assert [mrc.header.mapc, mrc.header.mapr, mrc.header.maps] == [1, 2, 3]
    np.testing.assert_array_equal(read_volume(tmp_path / "map.mrc").data, volume.numpy())


@pytest.mark.parametrize(("box", "centre"), [(8, 4), (7, 3)])
def test_centre_is_at_index_half_the_box(box: int, centre: int) -> None:
    """Atoms at 0 lie at D // 2, and a point there has a transform that is 1 everywhere."""
    density = atom_density(torch.zeros(1, 3), torch.ones(1), 1.0, box, 1.0)[0]
    assert np.unravel_index(int(density.argmax()), density.shape) == (centre, centre, centre)
    image = torch.zeros(box, box)
    image[centre, centre] = 1.0
    torch.testing.assert_close(fourier_2d(image), torch.ones(box, box, dtype=torch.complex64))


# --- Fourier and Hartley transforms ---


def test_fourier_sign_and_normalisation() -> None:
    """F(k) = sum f(x) exp(-2 pi i k.x / D): a point at x = +1 of 8 turns by -45 degrees a step."""
    image = torch.zeros(8, 8)
    image[4, 5] = 3.0
    transform = fourier_2d(image)
    assert transform[4, 4] == 3  # k = 0: the sum
    eighth = 3 / math.sqrt(2)
    assert transform[4, 5].item() == pytest.approx(complex(eighth, -eighth), abs=1e-6)  # kx = 1
    assert transform[5, 4].item() == pytest.approx(3, abs=1e-6)  # ky = 1
    torch.testing.assert_close(inverse_fourier_2d(transform), image)  # divides by D^2


def test_hartley_is_real_minus_imaginary_and_its_own_inverse() -> None:
    """H(k) = sum f(x) (cos + sin)(2 pi k.x / D)."""
    image = torch.zeros(8, 8)
    image[4, 5] = 1.0
    hartley = hartley_2d(image)
    assert hartley[4, 5].item() == pytest.approx(math.sqrt(2), abs=1e-6)  # kx = 1: cos 45 + sin 45
    assert hartley[4, 3].item() == pytest.approx(0, abs=1e-6)  # kx = -1: cos 45 - sin 45
    torch.testing.assert_close(hartley_2d(hartley), 64 * image)


def test_half_plane_holds_one_of_each_pair_sorted_by_radius() -> None:
    """(kx, ky) with kx > 0 or kx = 0 < ky; the rest is the conjugate, in Hartley terms Re + Im."""
    plane = half_plane(4)
    assert plane.k.tolist() == [[1, 0], [0, 1], [1, -1], [1, 1], [2, 0], [0, 2]]
    assert plane.radius.tolist() == pytest.approx([1, 1, math.sqrt(2), math.sqrt(2), 2, 2])
    hartley = hartley_from_half_plane(torch.tensor([2.0 + 5.0j]))
    assert hartley.tolist() == [-3, 7]  # H(k) = 2 - 5, H(-k) = 2 + 5
    assert half_plane(64).n_pixels == 1604


# --- rotations ---


def test_view_at_the_identity_is_the_sum_over_z() -> None:
    volume = point_volume(POINT)
    image = view(volume, torch.eye(3))
    assert peak(image) == (5, -3)
    torch.testing.assert_close(image, volume.sum(0), atol=1e-2 * float(volume.sum(0).max()), rtol=0)


@pytest.mark.parametrize(
    ("angles", "rows", "seen"),
    [
        ((90, 0, 0), [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], (-3, -5)),
        ((0, 90, 0), [[0, 0, -1], [0, 1, 0], [1, 0, 0]], (-2, -3)),
        ((0, 0, 90), [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], (-3, -5)),
        ((90, 90, 0), [[0, 0, -1], [-1, 0, 0], [0, 1, 0]], (-2, -5)),
        ((0, 90, 90), [[0, 1, 0], [0, 0, 1], [1, 0, 0]], (-3, 2)),
    ],
)
def test_relion_angles(angles: tuple[int, int, int], rows: list[list[int]], seen: tuple[int, int]) -> None:
    """The point r = (5, -3, 2) appears at the first two of R r."""
    rotation = matrix_from_relion_euler(torch.tensor(angles, dtype=torch.float64))
    torch.testing.assert_close(rotation, torch.tensor(rows, dtype=torch.float64), atol=1e-12, rtol=0)
    assert (rotation @ torch.tensor(POINT).double())[:2].round().tolist() == list(seen)
    assert peak(view(point_volume(POINT), rotation)) == seen


def test_image_frequency_k_lies_at_k_times_rotation() -> None:
    """With R of rot = 90, kx of the image is +y of the volume: (1, 0, 0) @ R = (0, 1, 0)."""
    rotation = matrix_from_relion_euler(torch.tensor([90.0, 0.0, 0.0]))
    torch.testing.assert_close(torch.tensor([1.0, 0, 0]) @ rotation, torch.tensor([0.0, 1, 0]))
    volume = point_volume(POINT)
    coefficients, k = central_slice(volume, rotation)
    volume_transform = torch.fft.fftn(torch.fft.ifftshift(volume))
    at = next(i for i, (kx, ky) in enumerate(k.tolist()) if (kx, ky) == (1, 0))
    assert coefficients[at].item() == pytest.approx(volume_transform[0, 1, 0].item(), abs=1e-2)


def particle_of_star(
    path: Path, angles: tuple[float, float, float], origin: tuple[float, float]
) -> Particles:
    row = particle_files.relion30_rows(1, "stack.mrcs")[0]
    row |= dict(zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), angles, strict=True))
    row |= dict(zip(("rlnOriginX", "rlnOriginY"), origin, strict=True))
    return load_particles(particle_files.write_star31(path, [row], BOX), require_images=False)


def particle_of_cs(path: Path, pose: tuple[float, float, float], shift: tuple[float, float]) -> Particles:
    table = particle_files.cryosparc_table(1, "stack.mrcs", BOX)
    table["alignments3D/pose"], table["alignments3D/shift"] = pose, shift
    return load_particles(particle_files.write_cs(path, table), require_images=False)


@pytest.mark.parametrize(
    ("angles", "pose"),
    [
        ((90.0, 0.0, 0.0), (0.0, 0.0, math.pi / 2)),
        ((0.0, 90.0, 0.0), (0.0, math.pi / 2, 0.0)),
        ((0.0, 90.0, 90.0), tuple(2 * math.pi / 3 / math.sqrt(3) * np.array([1.0, 1.0, 1.0]))),
    ],
)
def test_relion_and_cryosparc_agree_on_a_particle(
    angles: tuple[float, float, float], pose: tuple[float, float, float], tmp_path: Path
) -> None:
    """R is RELION's Euler matrix and the transposed exponential of cryoSPARC's vector; shifts are alike."""
    star = particle_of_star(tmp_path / "a.star", angles, (2.0, -4.0)).poses
    cs = particle_of_cs(tmp_path / "a.cs", pose, (2.0, -4.0)).poses
    assert star is not None
    assert cs is not None
    np.testing.assert_allclose(star.rotation, cs.rotation, atol=1e-6)
    exponential = matrix_from_axis_angle(torch.tensor(pose, dtype=torch.float64))
    np.testing.assert_allclose(star.rotation[0], exponential.T, atol=1e-6)
    for shift in (star.shift_fraction, cs.shift_fraction):
        np.testing.assert_allclose(shift, [[2 / 32, -4 / 32]], atol=1e-7)


# --- shifts ---


def test_content_moves_by_plus_the_shift_to_be_centred(tmp_path: Path) -> None:
    """A particle at (+5, -3) px needs OriginX = -5, OriginY = 3; coefficients times exp(-2 pi i k.t / D)."""
    image = view(point_volume((0.0, 0.0, 0.0)), torch.eye(3)).roll((-3, 5), dims=(0, 1))
    assert peak(image) == (5, -3)
    poses = particle_of_star(tmp_path / "a.star", (0.0, 0.0, 0.0), (-5.0, 3.0)).poses
    assert poses is not None
    shift = torch.from_numpy(poses.shift_fraction * BOX).float()
    assert shift.round(decimals=5).tolist() == [[-5, 3]]
    assert peak(shift_images(image[None], shift)[0]) == (0, 0)
    plane = half_plane(BOX, 8.0)
    centred = half_plane_coefficients(image[None], plane) * shift_phase(plane.k, shift, BOX)
    assert float(centred.imag.abs().max()) < 1e-4 * float(centred.real.max())  # of an even image
    assert float(centred.real.min()) > 0


def test_shifts_are_fractions_of_the_box_and_survive_downsampling() -> None:
    """t = 8 px of 32 is 1/4, and 4 px of the same image at 16 px."""
    image = view(point_volume((0.0, 0.0, 0.0)), torch.eye(3))
    for box in (32, 16):
        small = crop_images(image[None], box)
        moved = shift_images(small, torch.tensor([[0.25, 0.0]]) * box)
        assert peak(small[0]) == (0, 0)
        assert peak(moved[0]) == (box // 4, 0)


# --- CTF and signs ---


def test_ctf_formula_and_wavelength() -> None:
    """s = 0.1 /A, 10000 A, 300 kV, 2.7 mm, w = 0.1: gamma = -6.1850 + 0.0324 = -6.1526.

    CTF = sqrt(0.99) sin gamma - 0.1 cos gamma = 0.1295 - 0.0991 = 0.0304
    """
    wavelength = electron_wavelength_angstrom(torch.tensor(300.0, dtype=torch.float64)).item()
    assert wavelength == pytest.approx(0.01968749, abs=1e-8)
    gamma = 2 * math.pi * (-0.5 * 10000 * wavelength * 0.01 + 0.25 * 2.7e7 * wavelength**3 * 1e-4)
    assert gamma == pytest.approx(-6.1526, abs=1e-4)
    expected = math.sqrt(0.99) * math.sin(gamma) - 0.1 * math.cos(gamma)
    assert expected == pytest.approx(0.0304, abs=1e-4)
    assert ctf_at(0.1) == pytest.approx(expected, abs=1e-12)


def test_ctf_is_negative_at_low_frequency() -> None:
    assert ctf_at(0.0) == pytest.approx(-0.1)  # minus the amplitude contrast
    first_zero = 1 / math.sqrt(10000 * 0.01968749)  # without amplitude contrast and Cs: 14 A
    assert ctf_at(0.7 * first_zero) < -0.9
    assert ctf_at(first_zero, amplitude_contrast=0.0, spherical_aberration_mm=0.0) == pytest.approx(
        0, abs=1e-6
    )
    assert ctf_at(0.0, phase_shift_degrees=90.0, amplitude_contrast=0.0) == pytest.approx(-1)


def test_defocus_angle_is_that_of_u_from_x_towards_y() -> None:
    """At 30 degrees, defocus U acts along (cos 30, sin 30) of (fx, fy), defocus V across."""
    c, s = 0.1 * math.cos(math.pi / 6), 0.1 * math.sin(math.pi / 6)
    astigmatic = {"defocus_u_angstrom": 12000.0, "defocus_v_angstrom": 9000.0, "defocus_angle_degrees": 30.0}
    along = {"defocus_u_angstrom": 12000.0, "defocus_v_angstrom": 12000.0}
    across = {"defocus_u_angstrom": 9000.0, "defocus_v_angstrom": 9000.0}
    assert ctf_at(c, s, **astigmatic) == pytest.approx(ctf_at(0.1, **along))
    assert ctf_at(-s, c, **astigmatic) == pytest.approx(ctf_at(0.1, **across))


def test_light_particles_make_positive_density_by_default() -> None:
    """Image = -CTF x view is light on dark; times -1 and weighted with the CTF, it makes the map."""
    volume, rotation = point_volume(POINT), torch.eye(3)
    coefficients, k = central_slice(volume, rotation)
    transfer = contrast_transfer(k.double() / (BOX * 4.0), ctf_parameters(defocus_u_angstrom=8000.0)).float()
    image = images_from_half_plane((-transfer * coefficients)[None], k, BOX)
    assert peak(image[0]) == (5, -3)
    plane = half_plane(BOX)
    for invert, sign in ((True, 1), (False, -1)):
        config, statistics = PreprocessConfig(invert=invert, window=False), ImageStatistics(1.0, False, 0.0)
        found = torch.from_numpy(Preprocessor(plane, config, statistics)(image.numpy(), None))
        sums = HalfSetAccumulator(BOX // 2)
        sums.add(found, transfer[None, 1:], rotation[None], plane.k, torch.tensor([0]))
        seen = sums.reconstruct(BOX).full.sum(0)
        assert peak(sign * seen) == (5, -3)


# --- hand ---


def test_flipping_the_hand_mirrors_z_and_keeps_the_centre() -> None:
    """A point at z = +2 goes to -2, the centre stays; the reversed axis of cryoDRGN gives -3 and -1."""
    volume, middle = point_volume(POINT), point_volume((0.0, 0.0, 0.0))
    assert peak(flip_hand(volume)) == (5, -3, -2)
    assert peak(flip_hand(middle)) == (0, 0, 0)
    assert peak(flip_hand(volume, legacy=True)) == (5, -3, -3)
    assert peak(flip_hand(middle, legacy=True)) == (0, 0, -1)
    along_z = torch.eye(3)
    difference = view(flip_hand(volume), along_z) - view(volume, along_z)
    assert difference.abs().max() < 1e-5  # which is why views along z do not tell the hand


# --- units and pixel sizes ---


def test_pixel_size_after_downsampling() -> None:
    """64 px of 1.5 A become 48 px of 2 A: the field of view stays. 320 px of 1.31 A: 128 px of 3.275 A."""
    table = CtfTable.from_legacy(particle_files.legacy_ctf(3, box=64, pixel_size=1.5))
    np.testing.assert_allclose(table.pixel_size_at(48), 2.0)
    table = CtfTable.from_legacy(particle_files.legacy_ctf(1, box=320, pixel_size=1.31))
    np.testing.assert_allclose(table.pixel_size_at(128), 3.275, rtol=1e-6)


def test_downsampling_keeps_the_sum_of_images_and_the_level_of_maps() -> None:
    """So ones at 8 px are fours at 4 px in an image, as cryoDRGN has it, and ones in a map."""
    torch.testing.assert_close(crop_images(torch.ones(1, 8, 8), 4), 4 * torch.ones(1, 4, 4))
    torch.testing.assert_close(crop_volume(torch.ones(8, 8, 8), 4), torch.ones(4, 4, 4))


def test_ctf_table_holds_the_original_images_in_nine_columns() -> None:
    """Box, pixel (A), defocus U, V (A), angle (degrees), kV, Cs (mm), amplitude contrast, phase (degrees)."""
    legacy = np.array([[320, 1.31, 12000, 11000, 35, 300, 2.7, 0.1, 0]], dtype=np.float32)
    table = CtfTable.from_legacy(legacy)
    assert table.box_size_px[0] == 320
    assert table.defocus_u_angstrom[0] == 12000
    assert table.defocus_angle_degrees[0] == 35
    assert table.spherical_aberration_mm[0] == pytest.approx(2.7)
    np.testing.assert_array_equal(table.as_legacy(), legacy)


# --- numbers ---


def test_images_are_numbered_from_one_in_star_files_and_from_zero_elsewhere(tmp_path: Path) -> None:
    rows = particle_files.relion30_rows(3, "stack.mrcs")
    star = load_particles(particle_files.write_star31(tmp_path / "a.star", rows, BOX), require_images=False)
    table = particle_files.cryosparc_table(3, "stack.mrcs", BOX)
    cs = load_particles(particle_files.write_cs(tmp_path / "a.cs", table), require_images=False)
    assert [row["rlnImageName"] for row in rows] == [f"{i:06d}@stack.mrcs" for i in (1, 2, 3)]
    for particles in (star, cs):
        assert particles.images is not None
        assert particles.images.image_index.tolist() == [0, 1, 2]


def test_rows_are_those_of_the_original_input_from_zero(tmp_path: Path) -> None:
    rows = particle_files.relion30_rows(6, "stack.mrcs")
    star = particle_files.write_star31(tmp_path / "a.star", rows, BOX)
    chosen = load_particles(star, ind=np.array([1, 4, 5]), require_images=False)
    assert chosen.row.tolist() == [1, 4, 5]
    assert chosen.select(np.array([0, 2])).row.tolist() == [1, 5]


def test_epochs_are_numbered_from_zero_and_later_cryodrgn_runs_from_one(tmp_path: Path) -> None:
    for folder, first in (("ours", 0), ("theirs", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.yaml").write_text("{version: 4.3.0, lattice_args: {}, model_args: {}}")
        for epoch in range(first, first + 3):
            (tmp_path / folder / f"weights.{epoch}.pkl").touch()
            (tmp_path / folder / f"z.{epoch}.pkl").touch()
    assert RunFolder(tmp_path / "ours").epoch_base == 0
    assert RunFolder(tmp_path / "ours").latest_epoch() == 2
    assert RunFolder(tmp_path / "theirs").epoch_base == 1
    assert RunFolder(tmp_path / "theirs").latest_epoch() == 3


def test_clusters_are_numbered_from_zero_in_labels_and_centres() -> None:
    z = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]])
    clusters = clusters_from_labels(z, np.array([7, 7, 3, 3, 9]))
    assert sorted(set(clusters.labels.tolist())) == [0, 1, 2]
    assert clusters.labels[clusters.center_rows].tolist() == [0, 1, 2]  # row i of the centres is cluster i


# --- the page ---


def test_page_names_every_test_and_no_other() -> None:
    here = set(re.findall(r"^def (test_\w+)", Path(__file__).read_text(), re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    assert named == here - {"test_page_names_every_test_and_no_other"}
