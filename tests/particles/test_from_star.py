from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryoscape.errors import InputError
from cryoscape.io.star import read_star, write_star
from cryoscape.particles.from_star import Overrides, particles_from_star
from cryoscape.particles.metadata import CtfTable, Particles
from particle_files import noise_images, relion30_rows, star_block, write_stack, write_star30, write_star31

N, BOX, PIXEL = 12, 16, 1.5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_stack(tmp_path / "s.mrcs", noise_images(N, BOX), PIXEL)
    return tmp_path


def equal_metadata(a: Particles, b: Particles, tolerance: float = 1e-9) -> None:
    assert a.poses is not None
    assert b.poses is not None
    assert a.ctf is not None
    assert b.ctf is not None
    assert a.images is not None
    assert b.images is not None
    assert a.images.files == b.images.files
    np.testing.assert_array_equal(a.images.image_index, b.images.image_index)
    np.testing.assert_allclose(a.poses.rotation, b.poses.rotation, atol=tolerance)
    np.testing.assert_allclose(a.poses.shift_fraction, b.poses.shift_fraction, atol=1e-6)
    for name in CtfTable.column_names():
        np.testing.assert_allclose(getattr(a.ctf, name), getattr(b.ctf, name), rtol=1e-12, err_msg=name)


def test_values_of_a_relion30_file(folder: Path) -> None:
    rows = relion30_rows(N, "s.mrcs", pixel_size=PIXEL)
    particles = particles_from_star(write_star30(folder / "a.star", rows))
    assert particles.poses is not None
    assert particles.ctf is not None
    assert particles.images is not None
    angles = [[row[name] for name in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")] for row in rows]
    expected = (
        Rotation.from_euler("ZYZ", np.array(angles, float), degrees=True).as_matrix().transpose(0, 2, 1)
    )
    np.testing.assert_allclose(particles.poses.rotation, expected, atol=1e-12)
    origins = np.array([[row["rlnOriginX"], row["rlnOriginY"]] for row in rows], float)
    np.testing.assert_allclose(particles.poses.shift_fraction, origins / BOX)
    assert particles.images.files == (folder / "s.mrcs",)
    assert particles.images.image_index.tolist() == list(range(N))
    assert particles.box_size_px == BOX
    np.testing.assert_allclose(particles.ctf.pixel_size_angstrom, PIXEL)  # detector pixel / magnification
    np.testing.assert_array_equal(particles.ctf.defocus_u_angstrom, [row["rlnDefocusU"] for row in rows])
    assert (particles.ctf.voltage_kv == 300).all()
    assert particles.notices == ()


def test_relion30_and_31_give_the_same_set(folder: Path) -> None:
    rows = relion30_rows(N, "s.mrcs", pixel_size=PIXEL)
    old = particles_from_star(write_star30(folder / "a.star", rows))
    new = particles_from_star(write_star31(folder / "b.star", rows, BOX, PIXEL))
    equal_metadata(old, new)


def test_optics_groups_of_any_name_keep_their_own_values(folder: Path) -> None:
    names = ["rlnOpticsGroup", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"]
    names += ["rlnImagePixelSize", "rlnImageSize"]
    optics = star_block("optics", names, [[7, 200, 1.4, 0.1, 2.0, BOX], [2, 300, 2.7, 0.07, 1.0, BOX]])
    columns = [
        "rlnImageName",
        "rlnDefocusU",
        "rlnDefocusV",
        "rlnDefocusAngle",
        "rlnPhaseShift",
        "rlnOpticsGroup",
    ]
    groups = [2, 7, 7, 2]
    body = [[f"{i + 1}@s.mrcs", 10000, 9000, 10, 0, group] for i, group in enumerate(groups)]
    (folder / "a.star").write_text(star_block("particles", columns, body) + optics)
    ctf = particles_from_star(folder / "a.star").ctf
    assert ctf is not None
    assert ctf.voltage_kv.tolist() == [300, 200, 200, 300]
    assert ctf.pixel_size_angstrom.tolist() == [1, 2, 2, 1]
    text = (folder / "a.star").read_text()
    (folder / "a.star").write_text(text.replace(" 7\n", " 9\n"))
    with pytest.raises(InputError, match=r"row 1 is in optics group 9.*it has 7, 2"):
        particles_from_star(folder / "a.star")


def test_rows_may_be_in_any_order(folder: Path) -> None:
    rows = relion30_rows(N, "s.mrcs", pixel_size=PIXEL)
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(N)]
    a = particles_from_star(write_star30(folder / "a.star", rows))
    b = particles_from_star(write_star30(folder / "b.star", shuffled))
    assert b.images is not None
    equal_metadata(a, b.select(np.argsort(b.images.image_index)))


@pytest.mark.parametrize(
    ("without", "poses", "message"),
    [
        (("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), "need", "no poses: use the Refine3D run_data.star"),
        (("rlnAngleTilt",), "if_present", "missing: _rlnAngleTilt"),
        (("rlnDefocusV",), "if_present", "columns missing: _rlnDefocusV"),
        (("rlnVoltage",), "if_present", "no column _rlnVoltage: give the value with --kv"),
        (("rlnSphericalAberration",), "if_present", "--cs"),
        (("rlnAmplitudeContrast",), "if_present", "-w"),
        (("rlnDetectorPixelSize",), "if_present", "--Apix"),
        (("rlnImageName",), "if_present", "no column _rlnImageName"),
    ],
)
def test_missing_columns_are_named(folder: Path, without: tuple[str, ...], poses: str, message: str) -> None:
    rows = relion30_rows(N, "s.mrcs", pixel_size=PIXEL)
    path = write_star30(folder / "a.star", rows, without)
    with pytest.raises(InputError, match=message):
        particles_from_star(path, poses=poses)  # type: ignore[arg-type]


def test_missing_columns_with_a_default_are_noted(folder: Path) -> None:
    rows = relion30_rows(N, "s.mrcs", pixel_size=PIXEL)
    without = ("rlnOriginX", "rlnOriginY", "rlnPhaseShift", "rlnDefocusAngle")
    particles = particles_from_star(write_star30(folder / "a.star", rows, without))
    assert particles.poses is not None
    assert not particles.poses.shift_fraction.any()
    notices = " ".join(particles.notices)
    for text in (f"shifts are set to 0 for {N} particles", "_rlnPhaseShift: taken as 0", "_rlnDefocusAngle"):
        assert text in notices


def test_overrides_replace_and_are_noted(folder: Path) -> None:
    path = write_star30(folder / "a.star", relion30_rows(N, "s.mrcs", pixel_size=PIXEL), ("rlnVoltage",))
    overrides = Overrides(
        pixel_size_angstrom=3.0, voltage_kv=200.0, amplitude_contrast=0.2, phase_shift_degrees=90.0
    )
    particles = particles_from_star(path, overrides=overrides)
    assert particles.ctf is not None
    assert set(particles.ctf.voltage_kv) == {200}
    assert set(particles.ctf.pixel_size_angstrom) == {3}
    assert set(particles.ctf.phase_shift_degrees) == {90}
    notices = " ".join(particles.notices)
    assert "pixel size 3 A (--Apix) is used; the file says 1.5 A" in notices
    assert "amplitude_contrast 0.2 (-w) is used; the file says 0.1" in notices
    assert "voltage" not in notices


@pytest.mark.parametrize("name", ["0@s.mrcs", "s.mrcs", "x@s.mrcs", "-1@s.mrcs"])
def test_image_names_must_be_number_at_file(folder: Path, name: str) -> None:
    rows = relion30_rows(3, "s.mrcs")
    rows[1]["rlnImageName"] = name
    with pytest.raises(InputError, match="_rlnImageName of row 1 is"):
        particles_from_star(write_star30(folder / "a.star", rows))


def test_a_value_that_is_no_number_is_named(folder: Path) -> None:
    rows = relion30_rows(4, "s.mrcs")
    rows[2]["rlnDefocusU"] = "12000A"
    with pytest.raises(InputError, match="_rlnDefocusU of row 2 is '12000A'"):
        particles_from_star(write_star30(folder / "a.star", rows))


def test_missing_image_files_are_counted(folder: Path) -> None:
    rows = relion30_rows(4, "s.mrcs")
    rows[3]["rlnImageName"] = "1@gone.mrcs"
    path = write_star30(folder / "a.star", rows)
    with pytest.raises(
        InputError, match=r"1 of 2 image files are missing .first: gone\.mrcs; tried .*--datadir"
    ):
        particles_from_star(path)
    assert particles_from_star(path, locate=False).images is not None


def test_ctf_premultiplied_images_are_refused(folder: Path) -> None:
    rows = [row | {"rlnCtfDataAreCtfPremultiplied": 1} for row in relion30_rows(4, "s.mrcs")]
    with pytest.raises(InputError, match="premultiplied"):
        particles_from_star(write_star30(folder / "a.star", rows))


def test_higher_aberrations_are_noted(folder: Path) -> None:
    rows = [row | {"rlnBeamTiltX": 0.1} for row in relion30_rows(4, "s.mrcs")]
    notices = particles_from_star(write_star30(folder / "a.star", rows)).notices
    assert any("_rlnBeamTiltX" in notice for notice in notices)


def as_relion30(source: Path, target: Path) -> Path:
    """The same particles as RELION 3.0 would keep them: no optics table, origins in pixels."""
    star = read_star(source)
    assert star.optics is not None
    optics = star.optics.iloc[0]
    table = star.particles.drop(columns=["rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst"])
    pixel = float(optics["rlnImagePixelSize"])
    table = table.assign(
        rlnOriginX=star.particles["rlnOriginXAngst"] / pixel,
        rlnOriginY=star.particles["rlnOriginYAngst"] / pixel,
        rlnMagnification=10000.0,
        rlnDetectorPixelSize=pixel,
        **{name: optics[name] for name in ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")},
    )
    write_star(target, pd.DataFrame(table))
    return target


def test_real_relion31_and_its_30_form_are_the_same_set(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "particles" / "relion31.star"
    new = particles_from_star(source)
    old = particles_from_star(as_relion30(source, tmp_path / "old.star"), datadir=source.parent)
    assert read_star(tmp_path / "old.star").dialect == "relion30"
    equal_metadata(new, old)
    assert new.ctf is not None
    assert new.ctf.box_size_px.tolist() == [256] * 5
    np.testing.assert_allclose(new.ctf.pixel_size_angstrom, 2.806)
    assert new.poses is not None
    angles = read_star(source).particles[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    expected = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    np.testing.assert_allclose(new.poses.rotation, expected, atol=1e-12)
    assert replace(new, source=old.source, notices=()).n_original == 5
