from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoscape.errors import InputError
from cryoscape.particles.from_cryosparc import particles_from_cryosparc
from cryoscape.particles.from_star import Overrides
from particle_files import cryosparc_table, noise_images, without_fields, write_cs, write_stack

N, BOX, PIXEL = 10, 16, 1.5


@pytest.fixture
def table(tmp_path: Path) -> np.ndarray:
    write_stack(tmp_path / "s.mrcs", noise_images(N, BOX), PIXEL)
    return cryosparc_table(N, ">s.mrcs", BOX, PIXEL)


def classes(table: np.ndarray, n: int, prefix: str = "alignments_class_") -> np.ndarray:
    """The table with its alignment replaced by that of n classes, each its own pose."""
    rng = np.random.default_rng(7)
    base = without_fields(table, "alignments3D/pose", "alignments3D/shift", "alignments3D/psize_A")
    fields = [(name, base.dtype[name]) for name in base.dtype.names or ()]
    for k in range(n):
        fields += [(f"{prefix}{k}/{field}", np.dtype(kind)) for field, kind in ALIGNED]
    out = np.zeros(len(base), dtype=fields)
    for name in base.dtype.names or ():
        out[name] = base[name]
    for k in range(n):
        out[f"{prefix}{k}/pose"] = rng.normal(size=(len(base), 3))
        out[f"{prefix}{k}/shift"] = k
        out[f"{prefix}{k}/class_posterior"] = rng.uniform(size=len(base))
    return out


ALIGNED = [("pose", "(3,)<f4"), ("shift", "(2,)<f4"), ("class_posterior", "<f4")]


def test_values(tmp_path: Path, table: np.ndarray) -> None:
    particles = particles_from_cryosparc(write_cs(tmp_path / "a.cs", table))
    assert particles.poses is not None
    assert particles.ctf is not None
    assert particles.images is not None
    assert particles.uid is not None
    expected = Rotation.from_rotvec(table["alignments3D/pose"].astype(float)).as_matrix().transpose(0, 2, 1)
    np.testing.assert_allclose(particles.poses.rotation, expected, atol=1e-9)
    np.testing.assert_allclose(particles.poses.shift_fraction, table["alignments3D/shift"] / BOX, rtol=1e-6)
    np.testing.assert_array_equal(particles.uid, table["uid"])
    np.testing.assert_allclose(
        particles.ctf.defocus_angle_degrees, np.degrees(table["ctf/df_angle_rad"].astype(float)), rtol=1e-7
    )
    np.testing.assert_array_equal(particles.ctf.defocus_u_angstrom, table["ctf/df1_A"])
    assert (particles.data_sign, particles.box_size_px) == (-1, BOX)
    assert particles.images.files == (tmp_path / "s.mrcs",)
    assert particles.notices == ()


def test_a_pose_of_zero_is_the_identity(tmp_path: Path, table: np.ndarray) -> None:
    table["alignments3D/pose"] = 0
    particles = particles_from_cryosparc(write_cs(tmp_path / "a.cs", table))
    assert particles.poses is not None
    np.testing.assert_array_equal(particles.poses.rotation, np.broadcast_to(np.eye(3), (N, 3, 3)))


def test_shifts_are_in_pixels_of_the_alignment(tmp_path: Path, table: np.ndarray) -> None:
    table["alignments3D/psize_A"] = 2 * PIXEL
    particles = particles_from_cryosparc(write_cs(tmp_path / "a.cs", table), hetrefine=True)
    assert particles.poses is not None
    np.testing.assert_allclose(
        particles.poses.shift_fraction, 2 * table["alignments3D/shift"] / BOX, rtol=1e-6
    )
    assert any("--hetrefine is not needed" in notice for notice in particles.notices)
    assert any("converted" in notice for notice in particles.notices)


def test_hetrefine_doubles_where_the_file_does_not_tell(tmp_path: Path, table: np.ndarray) -> None:
    path = write_cs(tmp_path / "a.cs", without_fields(table, "alignments3D/psize_A"))
    for hetrefine, factor in ((False, 1), (True, 2)):
        poses = particles_from_cryosparc(path, hetrefine=hetrefine).poses
        assert poses is not None
        np.testing.assert_allclose(
            poses.shift_fraction, factor * table["alignments3D/shift"] / BOX, rtol=1e-6
        )


@pytest.mark.parametrize("prefix", ["alignments_class_", "alignments_class3D_"])
@pytest.mark.parametrize("n", [1, 3, 100])
def test_the_likeliest_class_gives_the_pose(tmp_path: Path, table: np.ndarray, n: int, prefix: str) -> None:
    several = classes(table, n, prefix)
    particles = particles_from_cryosparc(write_cs(tmp_path / "a.cs", several))
    assert particles.poses is not None
    posterior = np.stack([several[f"{prefix}{k}/class_posterior"] for k in range(n)])
    np.testing.assert_allclose(
        particles.poses.shift_fraction[:, 0] * BOX, posterior.argmax(axis=0), atol=1e-6
    )


def test_classes_without_posterior_are_refused(tmp_path: Path, table: np.ndarray) -> None:
    several = without_fields(
        classes(table, 2), "alignments_class_0/class_posterior", "alignments_class_1/class_posterior"
    )
    with pytest.raises(InputError, match=r"without posterior .alignments_class_0, alignments_class_1."):
        particles_from_cryosparc(write_cs(tmp_path / "a.cs", several))


def test_abinit_takes_the_class_and_says_where_there_is_none(tmp_path: Path, table: np.ndarray) -> None:
    particles = particles_from_cryosparc(write_cs(tmp_path / "a.cs", table), abinit=True)
    assert any("no alignments_class_" in notice for notice in particles.notices)


def test_fields_missing_are_named(tmp_path: Path, table: np.ndarray) -> None:
    no_pose = [name for name in table.dtype.names or () if name.startswith("alignments3D")]
    with pytest.raises(InputError, match=r"no poses .fields: blob, ctf, uid."):
        particles_from_cryosparc(write_cs(tmp_path / "a.cs", without_fields(table, *no_pose)), poses="need")
    with pytest.raises(InputError, match=r"fields missing: ctf/df2_A"):
        particles_from_cryosparc(write_cs(tmp_path / "a.cs", without_fields(table, "ctf/df2_A")))
    with pytest.raises(InputError, match=r"no field blob/shape.*-D"):
        particles_from_cryosparc(write_cs(tmp_path / "a.cs", without_fields(table, "blob/shape")))
    blob = [name for name in table.dtype.names or () if name.startswith("blob")]
    with pytest.raises(InputError, match="passthrough"):
        particles_from_cryosparc(
            write_cs(tmp_path / "a.cs", without_fields(table, *blob)), overrides=Overrides(BOX, PIXEL)
        )


def test_given_box_and_pixel_size_fill_in(tmp_path: Path, table: np.ndarray) -> None:
    path = write_cs(tmp_path / "a.cs", without_fields(table, "blob/shape", "blob/psize_A"))
    particles = particles_from_cryosparc(path, overrides=Overrides(BOX, PIXEL))
    assert particles.ctf is not None
    assert set(particles.ctf.box_size_px) == {BOX}
    assert set(particles.ctf.pixel_size_angstrom) == {PIXEL}


def test_the_box_of_the_file_wins_and_the_other_is_noted(tmp_path: Path, table: np.ndarray) -> None:
    particles = particles_from_cryosparc(
        write_cs(tmp_path / "a.cs", table), overrides=Overrides(box_size_px=99)
    )
    assert particles.box_size_px == BOX
    assert any("not -D 99" in notice for notice in particles.notices)


def test_images_that_are_not_square_are_refused(tmp_path: Path, table: np.ndarray) -> None:
    table["blob/shape"][4] = (16, 18)
    with pytest.raises(InputError, match="images of row 4 are 16 x 18 px"):
        particles_from_cryosparc(write_cs(tmp_path / "a.cs", table))


def test_aberrations_that_are_not_zero_are_noted(tmp_path: Path, table: np.ndarray) -> None:
    fields = [(name, table.dtype[name]) for name in table.dtype.names or ()]
    more = np.zeros(N, dtype=[*fields, ("ctf/tilt_A", "<f4", (2,)), ("ctf/trefoil_A", "<f4", (2,))])
    for name, _ in fields:
        more[name] = table[name]
    more["ctf/tilt_A"] = 0.5
    notices = particles_from_cryosparc(write_cs(tmp_path / "a.cs", more)).notices
    assert notices == ("higher-order aberrations are not applied: ctf/tilt_A",)


def test_mixed_signs_are_not_told(tmp_path: Path, table: np.ndarray) -> None:
    table["blob/sign"][3] = 1
    assert particles_from_cryosparc(write_cs(tmp_path / "a.cs", table)).data_sign is None
