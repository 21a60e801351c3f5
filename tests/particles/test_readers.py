"""Loading: files are joined by identity, and what does not fit together is refused in one line."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.io.stack_list import write_stack_list
from cryoscape.particles.keys import KeyList, write_key_list
from cryoscape.particles.readers import load_particles, read_table
from particle_files import (
    cryosparc_table,
    legacy_ctf,
    noise_images,
    random_rotations,
    relion30_rows,
    without_fields,
    write_cs,
    write_map,
    write_pickle,
    write_poses_pickle,
    write_stack,
    write_star30,
)

N, BOX = 20, 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_stack(tmp_path / "s.mrcs", noise_images(N, BOX), 1.5)
    write_poses_pickle(
        tmp_path / "poses.pkl", random_rotations(N), np.linspace(-0.1, 0.1, 2 * N).reshape(N, 2)
    )
    write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N, BOX))
    return tmp_path


def test_a_stack_with_pickles(folder: Path) -> None:
    particles = load_particles(folder / "s.mrcs", folder / "poses.pkl", folder / "ctf.pkl")
    assert particles.poses is not None
    assert particles.ctf is not None
    np.testing.assert_allclose(particles.poses.rotation, random_rotations(N))
    np.testing.assert_allclose(particles.ctf.as_legacy(), legacy_ctf(N, BOX))
    assert (particles.n_original, particles.box_size_px, particles.notices) == (N, BOX, ())


@pytest.mark.parametrize("kind", [".mrcs", ".mrc", ".txt", ".star", ".cs"])
def test_every_kind_of_input_names_the_same_images(folder: Path, kind: str) -> None:
    path = folder / f"set{kind}"
    if kind in (".mrc", ".mrcs"):
        shutil.copy(folder / "s.mrcs", path)
    elif kind == ".txt":
        write_stack_list(path, ["s.mrcs"])
    elif kind == ".star":
        write_star30(path, relion30_rows(N, "s.mrcs"))
    else:
        write_cs(path, cryosparc_table(N, "s.mrcs", BOX))
    particles = load_particles(path)
    assert particles.images is not None
    assert particles.images.image_index.tolist() == list(range(N))
    assert (particles.poses is not None) == (kind in (".star", ".cs"))
    assert load_particles(path, images_only=True).poses is None


def test_a_list_of_stacks_counts_through(folder: Path) -> None:
    write_stack(folder / "t.mrcs", noise_images(3, BOX), 1.5)
    write_stack_list(folder / "set.txt", ["t.mrcs", "s.mrcs"])
    images = load_particles(folder / "set.txt").images
    assert images is not None
    assert images.file_index.tolist() == [0] * 3 + [1] * N
    assert images.image_index.tolist() == [*range(3), *range(N)]


def test_stacks_of_a_moved_list_are_found_with_datadir(folder: Path) -> None:
    (folder / "moved").mkdir()
    write_stack_list(folder / "moved" / "set.txt", ["s.mrcs"])
    with pytest.raises(InputError, match=r"1 of 1 stacks are missing.*--datadir"):
        load_particles(folder / "moved" / "set.txt")
    assert len(load_particles(folder / "moved" / "set.txt", datadir=folder)) == N


@pytest.mark.parametrize("n_poses", [1, N - 1, N + 7])
def test_another_number_of_poses_is_refused_with_both(folder: Path, n_poses: int) -> None:
    path = write_poses_pickle(folder / "p.pkl", random_rotations(n_poses))
    with pytest.raises(InputError, match=rf"p\.pkl: {n_poses} poses.*s\.mrcs has {N} particles"):
        load_particles(folder / "s.mrcs", path)
    with pytest.raises(InputError, match=f"{n_poses} CTF"):
        load_particles(folder / "s.mrcs", ctf=write_pickle(folder / "c.pkl", legacy_ctf(n_poses, BOX)))


def spoiled_poses(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rotation, shift = random_rotations(N), np.zeros((N, 2))
    if kind == "scaled":
        rotation[7] *= 1.1
    elif kind == "mirrored":
        rotation[7] *= -1
    elif kind == "nan":
        rotation[7, 0, 0] = np.nan
    elif kind == "shift nan":
        shift[7] = np.inf
    elif kind == "pixels":
        shift[:] = np.random.default_rng(0).uniform(-9, 9, (N, 2))
    elif kind == "far":
        shift[7, 1] = -0.7
    return rotation, shift


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("scaled", "row 7 is not orthonormal .error 0.21"),
        ("mirrored", "1 rotations have determinant -1 .first: row 7"),
        ("nan", r"rotation .angles. is NaN or infinite in 1 of 20 rows .from 0: 7"),
        ("shift nan", "shift is NaN or infinite"),
        ("pixels", "look like pixels"),
        ("far", "shift of row 7 is 0.7 boxes.*larger than half a box"),
    ],
)
def test_poses_that_cannot_be_are_refused(folder: Path, kind: str, message: str) -> None:
    path = write_poses_pickle(folder / "p.pkl", *spoiled_poses(kind))
    with pytest.raises(InputError, match=message) as caught:
        load_particles(folder / "s.mrcs", path)
    assert "\n" not in str(caught.value)


def test_a_spoiled_row_that_is_not_selected_does_no_harm(folder: Path) -> None:
    path = write_poses_pickle(folder / "p.pkl", *spoiled_poses("nan"))
    keep = np.delete(np.arange(N), 7)
    assert len(load_particles(folder / "s.mrcs", path, ind=keep)) == N - 1


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (1, 0.0, "pixel_size_angstrom is 0 in row 3.*--Apix"),
        (5, -300.0, "voltage_kv is -300 in row 3.*--kv"),
        (2, np.nan, "defocus_u_angstrom is NaN or infinite in 1 of 20"),
    ],
)
def test_ctf_that_cannot_be_is_refused(folder: Path, column: int, value: float, message: str) -> None:
    table = legacy_ctf(N, BOX)
    table[3, column] = value
    path = write_pickle(folder / "c.pkl", table)
    with pytest.raises(InputError, match=message):
        load_particles(folder / "s.mrcs", ctf=path)
    with pytest.raises(InputError, match=message.replace("of 20", "of 2")):  # rows are the original ones
        load_particles(folder / "s.mrcs", ctf=path, ind=np.array([9, 3]))
    assert len(load_particles(folder / "s.mrcs", ctf=path, ind=np.array([9, 4]))) == 2


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (5, 3000.0, "voltage"),
        (6, 0.01, "spherical_aberration_mm is 0.01 mm"),
        (2, 1.5, "micrometres"),
        (8, 1.57, "radians"),
    ],
)
def test_ctf_in_another_unit_is_noted(
    folder: Path, column: int, value: float, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = legacy_ctf(N, BOX)
    table[:, column] = value
    if column == 2:
        table[:, 3] = value
    with caplog.at_level(logging.WARNING, "cryoscape"):
        particles = load_particles(folder / "s.mrcs", ctf=write_pickle(folder / "c.pkl", table))
    assert any(text in notice for notice in particles.notices)
    assert text in caplog.text


def test_selections_keep_the_order_given_and_the_original_rows(folder: Path) -> None:
    rows = np.array([17, 3, 5])
    particles = load_particles(
        folder / "s.mrcs", folder / "poses.pkl", ind=write_pickle(folder / "ind.pkl", rows)
    )
    assert particles.row.tolist() == [17, 3, 5]
    assert particles.images is not None
    assert particles.images.image_index.tolist() == [17, 3, 5]
    assert particles.poses is not None
    np.testing.assert_allclose(particles.poses.rotation, random_rotations(N)[rows])
    mask = np.isin(np.arange(N), rows)
    assert load_particles(folder / "s.mrcs", ind=mask).row.tolist() == [3, 5, 17]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([0, N + 5]), f"largest row {N + 5}.*{N} particles"),
        (np.array([-1]), "negative row"),
        (np.array([2, 2]), "more than once"),
        (np.zeros(0, np.int64), "selection is empty"),
        (np.zeros(N, bool), "selection is empty"),
        (np.ones(N + 1, bool), "mask of 21 for 20 particles"),
        (np.array([[1, 2]]), r"shape \(1, 2\)"),
        (np.array([0.5]), "not whole numbers"),
    ],
)
def test_selections_that_cannot_be_are_refused(folder: Path, rows: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_particles(folder / "s.mrcs", ind=rows)


def test_a_selection_of_everything_is_noted(folder: Path) -> None:
    particles = load_particles(folder / "s.mrcs", ind=np.arange(N))
    assert any("keeps all 20 particles" in notice for notice in particles.notices)


def test_poses_of_a_star_in_another_order_are_matched_by_image(folder: Path) -> None:
    rows = relion30_rows(N, "s.mrcs")
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(N)]
    expected = load_particles(write_star30(folder / "a.star", rows)).poses
    star = write_star30(folder / "b.star", shuffled)
    for source in (folder / "a.star", folder / "s.mrcs"):
        found = load_particles(source, poses=star, ctf=star)
        assert found.poses is not None
        assert expected is not None
        np.testing.assert_allclose(found.poses.rotation, expected.rotation)
        assert any("matched to particles by image address" in notice for notice in found.notices)


def test_poses_of_cryosparc_are_matched_by_uid(folder: Path) -> None:
    table = cryosparc_table(N, "s.mrcs", BOX)
    shuffled = table[np.random.default_rng(0).permutation(N)]
    shuffled["blob/path"] = b"elsewhere.mrcs"
    a, b = write_cs(folder / "a.cs", table), write_cs(folder / "b.cs", shuffled)
    expected, found = load_particles(a).poses, load_particles(a, poses=b).poses
    assert expected is not None
    assert found is not None
    np.testing.assert_allclose(found.rotation, expected.rotation)


def test_particles_without_poses_in_the_other_file_are_counted(folder: Path) -> None:
    rows = relion30_rows(N, "s.mrcs")
    star = write_star30(folder / "part.star", rows[4:])
    with pytest.raises(InputError, match=r"16 poses.*20 particles; 4 of them have no poses .first: row 0"):
        load_particles(folder / "s.mrcs", poses=star)


def test_a_cut_stack_with_its_rows_takes_the_right_poses(folder: Path) -> None:
    rows = np.array([19, 2, 11])
    write_stack(folder / "cut.mrcs", noise_images(N, BOX)[rows], 1.5)
    particles = load_particles(folder / "cut.mrcs", folder / "poses.pkl", folder / "ctf.pkl", ind=rows)
    assert particles.poses is not None
    assert particles.ctf is not None
    np.testing.assert_allclose(particles.poses.rotation, random_rotations(N)[rows])
    np.testing.assert_allclose(particles.ctf.as_legacy(), legacy_ctf(N, BOX)[rows])
    assert particles.row.tolist() == rows.tolist()
    assert particles.n_original == N


def test_a_key_list_does_the_same_without_rows(folder: Path) -> None:
    rows = np.array([19, 2, 11])
    write_stack(folder / "cut.mrcs", noise_images(N, BOX)[rows], 1.5)
    write_key_list(folder / "cut.mrcs", KeyList.of(load_particles(folder / "s.mrcs", ind=rows)))
    particles = load_particles(folder / "cut.mrcs", folder / "poses.pkl")
    assert particles.poses is not None
    np.testing.assert_allclose(particles.poses.rotation, random_rotations(N)[rows])
    assert (particles.row.tolist(), particles.n_original) == (rows.tolist(), N)
    again = load_particles(folder / "cut.mrcs", folder / "poses.pkl", ind=np.array([11, 19]))
    assert again.row.tolist() == [11, 19]
    with pytest.raises(InputError, match=r"1 of the 2 selected rows are not in these 3 particles .first: 4"):
        load_particles(folder / "cut.mrcs", ind=np.array([2, 4]))


def test_a_key_list_of_a_file_since_changed_is_not_used(folder: Path) -> None:
    write_key_list(folder / "s.mrcs", KeyList.of(load_particles(folder / "s.mrcs", ind=np.arange(5))))
    write_stack(folder / "s.mrcs", noise_images(N, BOX, seed=3), 1.5)
    assert load_particles(folder / "s.mrcs").row.tolist() == list(range(N))


def test_an_odd_box_becomes_even_in_all_columns(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs", noise_images(4, 17), 1.5)
    poses = write_poses_pickle(tmp_path / "p.pkl", random_rotations(4), np.full((4, 2), 2 / 17))
    ctf = write_pickle(tmp_path / "c.pkl", legacy_ctf(4, 17))
    particles = load_particles(tmp_path / "s.mrcs", poses, ctf)
    assert particles.box_size_px == 16
    assert particles.poses is not None
    np.testing.assert_allclose(particles.poses.shift_fraction * 16, 2)  # pixels stay what they were
    np.testing.assert_allclose(particles.pixel_size_at(16), 1.5)
    assert any("odd side 17 px" in notice for notice in particles.notices)


def test_pixel_sizes_that_disagree_are_noted(folder: Path) -> None:
    ctf = write_pickle(folder / "c.pkl", legacy_ctf(N, BOX, pixel_size=3.4))
    particles = load_particles(folder / "s.mrcs", ctf=ctf)
    assert "pixel size 3.4 A is used at 16 px; the header of the images says 1.5 A" in particles.notices


def test_a_downsampled_stack_keeps_the_pixel_size_of_the_ctf(folder: Path) -> None:
    """ctf.pkl is of the original images: the header of a smaller box agrees with it."""
    ctf = write_pickle(folder / "c.pkl", legacy_ctf(N, 2 * BOX, pixel_size=0.75))
    particles = load_particles(folder / "s.mrcs", ctf=ctf)
    np.testing.assert_allclose(particles.pixel_size_at(BOX), 1.5)
    assert particles.notices == ()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.mrcs", "no such file"),
        ("poses.pkl", r"expected \.mrc, \.mrcs, \.txt, \.star, \.cs or \.csg, found \.pkl"),
    ],
)
def test_other_files_are_refused(folder: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_particles(folder / name)
    with pytest.raises(InputError, match=r"expected a \.star"):
        read_table(folder / "poses.pkl")


def test_a_volume_given_as_particles_is_refused(folder: Path) -> None:
    write_map(folder / "v.mrcs", noise_images(BOX, BOX))
    with pytest.raises(InputError, match="this is a 3D map"):
        load_particles(folder / "v.mrcs")


def test_poses_may_be_required(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no poses: give --poses"):
        load_particles(folder / "s.mrcs", require_poses=True)


def test_images_may_be_elsewhere(folder: Path) -> None:
    star = write_star30(folder / "a.star", relion30_rows(N, "gone/t.mrcs", pixel_size=1.5))
    with pytest.raises(InputError, match="image files are missing"):
        load_particles(star, images_only=True)
    assert len(load_particles(star, require_images=False, images_only=True)) == N


def test_a_job_folder_of_a_cryosparc_project(tmp_path: Path) -> None:
    """Paths of a .cs file are relative to the project, which holds the job's folder."""
    job, extracted = tmp_path / "P1" / "J12", tmp_path / "P1" / "J3" / "extract"
    job.mkdir(parents=True)
    extracted.mkdir(parents=True)
    write_stack(extracted / "s.mrc", noise_images(N, BOX), 1.5)
    table = cryosparc_table(N, ">J3/extract/s.mrc", BOX)
    write_cs(
        job / "J12_004_particles.cs",
        without_fields(table, "blob/path", "blob/idx", "blob/shape", "blob/psize_A"),
    )
    write_cs(job / "J12_passthrough_particles.cs", table[::-1])
    for source in (job, job / "J12_004_particles.cs"):
        particles = load_particles(source)
        assert particles.images is not None
        assert particles.images.files == (extracted / "s.mrc",)
        assert particles.images.image_index.tolist() == list(range(N))
        assert particles.poses is not None
        assert particles.ctf is not None
