import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_ctf, read_poses
from cryoscape.io.star import read_star
from cryoscape.particles.from_star import Overrides
from cryoscape.particles.readers import load_particles
from cryoscape.workflows.parse import parse_ctf_csparc, parse_ctf_star, parse_pose_csparc, parse_pose_star
from particle_files import (
    cryosparc_table,
    noise_images,
    relion30_rows,
    write_cs,
    write_stack,
    write_star30,
    write_star31,
)

N, BOX = 9, 16


def test_poses_of_a_star(tmp_path: Path) -> None:
    rows = relion30_rows(N, "gone.mrcs")
    result = parse_pose_star(
        write_star30(tmp_path / "a.star", rows), tmp_path / "new" / "poses.pkl", box_size=BOX
    )
    rotation, shift = pickle.loads((tmp_path / "new" / "poses.pkl").read_bytes())
    assert (rotation.dtype, shift.dtype) == (np.float32, np.float32)
    angles = [[row[name] for name in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")] for row in rows]
    expected = (
        Rotation.from_euler("ZYZ", np.array(angles, float), degrees=True).as_matrix().transpose(0, 2, 1)
    )
    np.testing.assert_allclose(rotation, expected, atol=1e-6)
    np.testing.assert_allclose(shift[:, 0], [float(str(row["rlnOriginX"])) / BOX for row in rows], rtol=1e-5)
    assert result.n_particles == N
    assert result.first["R00"] == pytest.approx(expected[0, 0, 0])


def test_box_and_pixel_size_given_for_a_star(tmp_path: Path) -> None:
    """Origins in angstrom are divided by the pixel size given, origins in pixels by the box alone."""
    rows = relion30_rows(N, "gone.mrcs", pixel_size=1.5)
    star = write_star31(tmp_path / "a.star", rows, BOX, 1.5)
    parse_pose_star(star, tmp_path / "a.pkl", box_size=2 * BOX, pixel_size=0.75)
    expected = np.array([[row["rlnOriginX"], row["rlnOriginY"]] for row in rows], float) / BOX
    np.testing.assert_allclose(read_poses(tmp_path / "a.pkl")[1], expected, atol=1e-6)


def test_a_star_without_a_box_asks_for_it(tmp_path: Path) -> None:
    star = write_star30(tmp_path / "a.star", relion30_rows(N, "gone.mrcs"))
    with pytest.raises(InputError, match="_rlnImageSize: give the value with -D"):
        parse_pose_star(star, tmp_path / "poses.pkl")
    assert not (tmp_path / "poses.pkl").exists()


def test_poses_and_ctf_of_cryosparc(tmp_path: Path) -> None:
    table = cryosparc_table(N, "gone.mrcs", BOX)
    source = write_cs(tmp_path / "a.cs", table)
    parse_pose_csparc(source, tmp_path / "poses.pkl")
    parse_ctf_csparc(source, tmp_path / "ctf.pkl")
    rotation, shift = read_poses(tmp_path / "poses.pkl")
    expected = Rotation.from_rotvec(table["alignments3D/pose"].astype(float)).as_matrix().transpose(0, 2, 1)
    np.testing.assert_allclose(rotation, expected, atol=1e-6)
    np.testing.assert_allclose(shift, table["alignments3D/shift"] / BOX, atol=1e-7)
    ctf = read_ctf(tmp_path / "ctf.pkl")
    fields = ["ctf/df1_A", "ctf/df2_A", "ctf/accel_kv", "ctf/cs_mm", "ctf/amp_contrast"]
    for column, field in zip((2, 3, 5, 6, 7), fields, strict=True):
        np.testing.assert_allclose(ctf[:, column], table[field], rtol=1e-6)
    np.testing.assert_allclose(ctf[:, 4], np.degrees(table["ctf/df_angle_rad"]), rtol=1e-5)
    np.testing.assert_allclose(ctf[:, :2], [[BOX, 1.5]] * N)


def test_parsed_pickles_know_their_particles(tmp_path: Path) -> None:
    """Poses parsed from a shuffled table find their images by uid."""
    table = cryosparc_table(N, "s.mrcs", BOX)
    write_stack(tmp_path / "s.mrcs", noise_images(N, BOX), 1.5)
    order = np.random.default_rng(0).permutation(N)
    parse_pose_csparc(write_cs(tmp_path / "shuffled.cs", table[order]), tmp_path / "poses.pkl")
    parse_ctf_csparc(tmp_path / "shuffled.cs", tmp_path / "ctf.pkl")
    particles = load_particles(
        write_cs(tmp_path / "a.cs", table), tmp_path / "poses.pkl", tmp_path / "ctf.pkl"
    )
    assert particles.poses is not None
    assert particles.ctf is not None
    expected = Rotation.from_rotvec(table["alignments3D/pose"].astype(float)).as_matrix().transpose(0, 2, 1)
    np.testing.assert_allclose(particles.poses.rotation, expected, atol=1e-6)
    np.testing.assert_array_equal(particles.ctf.defocus_u_angstrom, table["ctf/df1_A"])


def test_ctf_overrides_and_plot(tmp_path: Path) -> None:
    star = write_star30(tmp_path / "a.star", relion30_rows(N, "gone.mrcs"), ("rlnVoltage", "rlnPhaseShift"))
    with pytest.raises(InputError, match="--kv"):
        parse_ctf_star(star, tmp_path / "ctf.pkl", Overrides(box_size_px=BOX))
    overrides = Overrides(box_size_px=BOX, voltage_kv=200.0, phase_shift_degrees=45.0)
    result = parse_ctf_star(star, tmp_path / "ctf.pkl", overrides, tmp_path / "plots" / "ctf.png")
    ctf = read_ctf(tmp_path / "ctf.pkl")
    assert set(ctf[:, 5]) == {200}
    assert set(ctf[:, 8]) == {45}
    assert result.first["voltage_kv"] == 200
    assert (tmp_path / "plots" / "ctf.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("spoil", ["rlnAngleRot", "rlnDefocusU"])
def test_values_that_are_not_finite_stop_the_parsing(tmp_path: Path, spoil: str) -> None:
    rows = relion30_rows(N, "gone.mrcs")
    rows[6][spoil] = "nan"
    star = write_star30(tmp_path / "a.star", rows)

    def parse() -> None:
        if spoil == "rlnAngleRot":
            parse_pose_star(star, tmp_path / "a.pkl", box_size=BOX)
        else:
            parse_ctf_star(star, tmp_path / "a.pkl", Overrides(box_size_px=BOX))

    with pytest.raises(InputError, match=r"NaN or infinite in 1 of 9 rows .from 0: 6"):
        parse()
    assert not (tmp_path / "a.pkl").exists()


def test_outputs_and_inputs_are_checked(tmp_path: Path) -> None:
    star = write_star30(tmp_path / "a.star", relion30_rows(N, "gone.mrcs"))
    with pytest.raises(InputError, match=r"must end in \.pkl"):
        parse_pose_star(star, tmp_path / "poses.txt")
    with pytest.raises(InputError, match="no such file"):
        parse_pose_csparc(tmp_path / "gone.cs", tmp_path / "poses.pkl")


def test_the_same_real_images_of_cryosparc_and_relion(shared_data: Path, tmp_path: Path) -> None:
    """7 images of EMPIAR-10076: both files say the same of them."""
    folder = shared_data / "particles"
    parse_ctf_csparc(folder / "empiar_10076_7.cs", tmp_path / "cs.pkl", png=tmp_path / "ctf.png")
    parse_ctf_star(folder / "empiar_10076_7.star", tmp_path / "star.pkl")
    a, b = read_ctf(tmp_path / "cs.pkl"), read_ctf(tmp_path / "star.pkl")
    np.testing.assert_allclose(a, b, rtol=3e-6)
    np.testing.assert_allclose(a[0], [320, 1.31, 15301.1, 14916.4, 5.28, 300, 2.7, 0.07, 0], rtol=1e-5)
    with pytest.raises(InputError, match="no poses"):
        parse_pose_csparc(folder / "empiar_10076_7.cs", tmp_path / "poses.pkl")
    with pytest.raises(InputError, match="no poses"):
        parse_pose_star(folder / "empiar_10076_7.star", tmp_path / "poses.pkl")


def test_real_relion31_poses_and_ctf(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "particles" / "relion31.star"
    parse_pose_star(source, tmp_path / "poses.pkl")
    result = parse_ctf_star(source, tmp_path / "ctf.pkl")
    table = read_star(source).particles
    rotation, shift = read_poses(tmp_path / "poses.pkl")
    angles = table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    expected = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    np.testing.assert_allclose(rotation, expected, atol=1e-6)
    origin = table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy()
    np.testing.assert_allclose(shift, origin / 2.806 / 256, rtol=1e-5)
    np.testing.assert_allclose(read_ctf(tmp_path / "ctf.pkl")[:, 2], table["rlnDefocusU"], rtol=1e-6)
    assert any("spherical_aberration_mm is 0.01 mm" in notice for notice in result.notices)


def test_a_list_of_rows_that_is_anothers_is_not_replaced(tmp_path: Path) -> None:
    star = write_star31(tmp_path / "a.star", relion30_rows(N, "gone.mrcs"), BOX, 1.5)
    parse_pose_star(star, tmp_path / "kept.pkl")
    parse_pose_star(star, tmp_path / "kept.pkl")
    (tmp_path / "kept.star").write_bytes((tmp_path / "kept.pkl").read_bytes())
    (tmp_path / "kept.pkl").unlink()
    with pytest.raises(InputError, match=r"kept.rows.parquet would replace that of kept.star"):
        parse_ctf_star(star, tmp_path / "kept.pkl")
    assert not (tmp_path / "kept.pkl").exists()
