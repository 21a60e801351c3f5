"""Poses and CTF as RELION's tables, against formulas of RELION's conventions and the numbers put in."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryoscape.errors import InputError
from cryoscape.particles.export_origin import OPTICS_NAME
from cryoscape.particles.export_relion import Dialect, relion_tables
from cryoscape.particles.metadata import CtfTable, Particles, Poses
from particle_files import legacy_ctf, random_rotations

N = 7


def particles(box: int, original_box: int = 32, poses: bool = True) -> Particles:
    """Images of `box` px, their CTF estimated at 32 px of 1.5 A; voltage 200 for the last two."""
    ctf = legacy_ctf(N, original_box, 1.5)
    ctf[-2:, 5] = 200
    rng = np.random.default_rng(3)
    return Particles(
        images=None,
        row=np.arange(N),
        uid=None,
        poses=Poses(random_rotations(N), rng.uniform(-0.1, 0.1, (N, 2))) if poses else None,
        ctf=CtfTable.from_legacy(ctf),
        data_sign=None,
        source=Path("s.mrcs"),
        box_size_px=box,
        n_original=N,
    )


NAMES = np.array([f"{i + 1:06d}@s.mrcs" for i in range(N)], dtype=object)


@pytest.mark.parametrize(("dialect", "box"), [("relion30", 16), ("relion31", 16), ("relion31", 32)])
def test_origins_and_pixel_size_are_those_of_the_images_named(dialect: Dialect, box: int) -> None:
    given = particles(box)
    table, optics = relion_tables(given, NAMES, box, dialect)
    assert given.poses is not None
    pixel_size = 1.5 * 32 / box
    pixels = given.poses.shift_fraction * box
    if dialect == "relion30":
        assert optics is None
        origin = table[["rlnOriginX", "rlnOriginY"]].to_numpy()
        np.testing.assert_allclose(origin, pixels, atol=1e-6)
        np.testing.assert_allclose(
            table["rlnDetectorPixelSize"] * 1e4 / table["rlnMagnification"], pixel_size
        )
        assert "rlnImagePixelSize" not in table
    else:
        assert optics is not None
        origin = table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy()
        np.testing.assert_allclose(origin, pixels * pixel_size, atol=1e-6)
        np.testing.assert_allclose(optics["rlnImagePixelSize"], pixel_size)
        assert set(optics["rlnImageSize"]) == {box}
        assert "rlnOriginX" not in table


def test_angles_turn_as_in_relion() -> None:
    """R = Z(psi) Y(tilt) Z(rot) is the transpose of scipy's intrinsic ZYZ rotation."""
    given = particles(32)
    table, _ = relion_tables(given, NAMES, 32, "relion31")
    angles = table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    expected = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    assert given.poses is not None
    np.testing.assert_allclose(given.poses.rotation, expected, atol=1e-7)


def test_optics_groups_are_numbered_and_named() -> None:
    table, optics = relion_tables(particles(32), NAMES, 32, "relion31")
    assert optics is not None
    assert optics["rlnOpticsGroup"].tolist() == [1, 2]
    assert optics["rlnOpticsGroupName"].tolist() == ["opticsGroup1", "opticsGroup2"]
    assert optics["rlnVoltage"].tolist() == [300, 200]
    assert table["rlnOpticsGroup"].tolist() == [1] * 5 + [2] * 2
    assert not any(name.startswith("rlnOpticsGroup") for name in table.columns if name != "rlnOpticsGroup")


def test_groups_of_one_name_that_differ_are_told_apart() -> None:
    half_set = [1, 2, 1, 2, 1, 2, 1]
    origin = pd.DataFrame({OPTICS_NAME: [*"aaabaaa"], "rlnRandomSubset": half_set})
    table, optics = relion_tables(particles(32), NAMES, 32, "relion31", origin)
    assert optics is not None
    assert optics["rlnOpticsGroupName"].tolist() == ["a", "b", "a_2"]
    assert table["rlnOpticsGroup"].tolist() == [1, 1, 1, 2, 1, 3, 3]
    assert table["rlnRandomSubset"].tolist() == half_set
    table, _ = relion_tables(particles(32), NAMES, 32, "relion30", origin)
    assert OPTICS_NAME not in table


def test_relion_30_holds_voltage_aberration_and_contrast() -> None:
    table, _ = relion_tables(particles(32), NAMES, 32, "relion30")
    assert table["rlnVoltage"].tolist() == [300] * 5 + [200] * 2
    np.testing.assert_allclose(table["rlnSphericalAberration"], 2.7)
    np.testing.assert_allclose(table["rlnAmplitudeContrast"], 0.1)


def test_without_poses_there_are_no_angles_and_without_ctf_no_table() -> None:
    table, _ = relion_tables(particles(32, poses=False), NAMES, 32, "relion31")
    assert not any(name.startswith(("rlnAngle", "rlnOrigin")) for name in table.columns)
    without = particles(32)
    with pytest.raises(InputError, match="no CTF"):
        relion_tables(
            Particles(**{**vars(without), "ctf": None}),
            NAMES,
            32,
            "relion31",
        )
