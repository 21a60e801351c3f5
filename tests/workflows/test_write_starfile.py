"""New star files: read back by starfile and by our reader as the poses, CTF and images that went in."""

from pathlib import Path

import numpy as np
import pytest
import starfile

from cryoscape.errors import InputError
from cryoscape.particles.export_relion import Dialect
from cryoscape.particles.readers import load_particles
from cryoscape.particles.stack import ImageStack
from cryoscape.workflows.downsample import downsample
from cryoscape.workflows.write_starfile import StarFileRequest, chosen_ctf, write_starfile
from particle_files import (
    cryosparc_table,
    legacy_ctf,
    noise_images,
    random_rotations,
    relion30_rows,
    write_cs,
    write_pickle,
    write_poses_pickle,
    write_stack,
    write_star31,
)

N, BOX = 10, 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images with poses and CTF as pickles, in a folder of their own."""
    data = tmp_path / "data"
    data.mkdir()
    write_stack(data / "s.mrcs", noise_images(N, BOX), 1.5)
    shift = np.random.default_rng(2).uniform(-0.1, 0.1, (N, 2))
    write_poses_pickle(data / "poses.pkl", random_rotations(N).astype(np.float32), shift.astype(np.float32))
    write_pickle(data / "ctf.pkl", legacy_ctf(N, BOX, 1.5))
    write_pickle(data / "ind.pkl", np.array([2, 3, 7]))
    return tmp_path


def request(
    folder: Path, particles: str = "s.mrcs", output: str = "out/new.star", **more: object
) -> StarFileRequest:
    data = folder / "data"
    given: dict[str, object] = {"ctf": data / "ctf.pkl", "poses": data / "poses.pkl", "ind": data / "ind.pkl"}
    return StarFileRequest(data / particles, folder / output, **(given | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("dialect", ["relion30", "relion31"])
def test_what_went_in_is_read_back(folder: Path, dialect: Dialect) -> None:
    result = write_starfile(request(folder, dialect=dialect))
    assert (result.n_particles, result.box_size_px, result.pixel_sizes_angstrom) == (3, BOX, (1.5,))
    data = folder / "data"
    given = load_particles(data / "s.mrcs", data / "poses.pkl", data / "ctf.pkl", data / "ind.pkl")
    found = load_particles(folder / "out" / "new.star")
    assert given.poses is not None
    assert found.poses is not None
    np.testing.assert_allclose(found.poses.rotation, given.poses.rotation, atol=1e-6)
    np.testing.assert_allclose(found.poses.shift_fraction, given.poses.shift_fraction, atol=1e-7)
    assert given.ctf is not None
    assert found.ctf is not None
    np.testing.assert_allclose(found.ctf.as_legacy(), given.ctf.as_legacy(), rtol=1e-7)
    np.testing.assert_array_equal(found.row, [2, 3, 7])
    images = ImageStack.from_particles(found).read(slice(None))
    np.testing.assert_array_equal(images, noise_images(N, BOX)[[2, 3, 7]])


def test_starfile_reads_two_tables(folder: Path) -> None:
    write_starfile(request(folder))
    tables = starfile.read(folder / "out" / "new.star")
    assert list(tables) == ["optics", "particles"]
    optics = tables["optics"].iloc[0]
    assert optics["rlnOpticsGroupName"] == "opticsGroup1"
    assert optics["rlnSphericalAberration"] == 2.7  # exactly, though ctf.pkl holds single precision
    assert optics["rlnImageSize"] == BOX
    assert tables["particles"]["rlnImageName"].tolist() == [f"{i:06d}@../data/s.mrcs" for i in (3, 4, 8)]


def test_a_downsampled_stack_gets_its_own_box_and_pixel_size(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = folder / "data"
    small = data / "small.mrcs"
    downsample(data / "s.mrcs", 16, small)
    result = write_starfile(request(folder, "small.mrcs"))
    assert (result.box_size_px, result.pixel_sizes_angstrom) == (16, (3.0,))
    assert "these images are 16 px of originals of 32 px" in caplog.text
    tables = starfile.read(folder / "out" / "new.star")
    assert tables["optics"]["rlnImagePixelSize"].tolist() == [3.0]
    shift = load_particles(data / "s.mrcs", data / "poses.pkl").poses
    assert shift is not None
    expected = shift.shift_fraction[[2, 3, 7], 0] * BOX * 1.5
    np.testing.assert_allclose(tables["particles"]["rlnOriginXAngst"], expected, atol=1e-6)


def test_rows_of_a_stack_cut_before_are_those_of_the_original(folder: Path) -> None:
    data = folder / "data"
    downsample(data / "s.mrcs", 16, data / "small.mrcs", ind=data / "ind.pkl")
    write_pickle(data / "again.pkl", np.array([7, 3]))
    write_starfile(request(folder, "small.mrcs", ind=data / "again.pkl"))
    found = load_particles(folder / "out" / "new.star")
    np.testing.assert_array_equal(found.row, [7, 3])
    whole = load_particles(data / "s.mrcs", data / "poses.pkl", data / "ctf.pkl")
    assert found.poses is not None
    assert whole.poses is not None
    np.testing.assert_allclose(found.poses.rotation, whole.poses.rotation[[7, 3]], atol=1e-6)
    table = starfile.read(folder / "out" / "new.star")["particles"]
    assert table["rlnImageName"].tolist() == ["000003@../data/small.mrcs", "000002@../data/small.mrcs"]


def test_chunks_odd_boxes_and_absolute_paths(folder: Path) -> None:
    data = folder / "data"
    for number in range(2):
        write_stack(data / f"odd.{number}.mrcs", noise_images(N // 2, BOX + 1, number), 1.5)
    (data / "odd.txt").write_text("odd.0.mrcs\nodd.1.mrcs\n")
    write_pickle(data / "ctf.pkl", legacy_ctf(N, BOX + 1, 1.5))
    result = write_starfile(request(folder, "odd.txt", full_path=True))
    assert result.box_size_px == BOX + 1
    tables = starfile.read(folder / "out" / "new.star")
    assert tables["particles"]["rlnImageName"].tolist()[-1] == f"000003@{data}/odd.1.mrcs"
    assert tables["optics"]["rlnImagePixelSize"].tolist() == [1.5]
    given = load_particles(data / "odd.txt", data / "poses.pkl", data / "ctf.pkl", data / "ind.pkl")
    found = load_particles(folder / "out" / "new.star")
    assert found.box_size_px == BOX
    assert found.poses is not None
    assert given.poses is not None
    np.testing.assert_allclose(found.poses.shift_fraction, given.poses.shift_fraction, atol=1e-7)


def test_poses_and_ctf_of_a_star_file(folder: Path) -> None:
    source = write_star31(folder / "data" / "s.star", relion30_rows(N, "s.mrcs"), BOX)
    write_starfile(request(folder, "s.star", ctf=None, poses=None, ind=None))
    given, found = load_particles(source), load_particles(folder / "out" / "new.star")
    assert given.poses is not None
    assert found.poses is not None
    np.testing.assert_allclose(found.poses.shift_fraction, given.poses.shift_fraction, atol=1e-7)
    np.testing.assert_allclose(found.poses.rotation, given.poses.rotation, atol=1e-7)
    assert given.ctf is not None
    assert found.ctf is not None
    np.testing.assert_array_equal(found.ctf.defocus_u_angstrom, given.ctf.defocus_u_angstrom)


def test_a_refinement_of_cryosparc_for_relion(folder: Path) -> None:
    """Micrographs, places, half sets and exposure groups come along; row by row against the table."""
    table = cryosparc_table(N, "s.mrcs", BOX, 1.5)
    added: list[tuple[object, ...]] = [
        ("location/micrograph_path", "S30"), ("location/micrograph_shape", "<u4", (2,)),
        ("location/center_x_frac", "<f4"), ("location/center_y_frac", "<f4"),
        ("alignments3D/split", "<u4"), ("ctf/exp_group_id", "<u4"),
    ]  # fmt: skip
    more = np.zeros(N, dtype=[*table.dtype.descr, *added])
    for name in table.dtype.names or ():
        more[name] = table[name]
    more["location/micrograph_path"] = [b">J2/imported/m%d.mrc" % (i % 3) for i in range(N)]
    more["location/micrograph_shape"] = (400, 600)
    more["location/center_x_frac"], more["location/center_y_frac"] = np.arange(N) / 20, np.arange(N) / 40
    more["alignments3D/split"], more["ctf/exp_group_id"] = np.arange(N) % 2, 7 + np.arange(N) // 5
    write_cs(folder / "data" / "s.cs", more)
    result = write_starfile(request(folder, "s.cs", ctf=None, poses=None))
    assert result.n_optics_groups == 2
    tables = starfile.read(folder / "out" / "new.star")
    assert tables["optics"]["rlnOpticsGroupName"].tolist() == ["exposureGroup7", "exposureGroup8"]
    found = tables["particles"]
    assert found["rlnOpticsGroup"].tolist() == [1, 1, 2]
    assert found["rlnMicrographName"].tolist() == [f"J2/imported/m{i}.mrc" for i in (2, 0, 1)]
    np.testing.assert_allclose(found["rlnCoordinateX"], np.array([2, 3, 7]) * 30, atol=0.01)
    np.testing.assert_allclose(found["rlnCoordinateY"], np.array([2, 3, 7]) * 10, atol=0.01)
    assert found["rlnRandomSubset"].tolist() == [1, 2, 2]
    given = load_particles(folder / "data" / "s.cs", ind=np.array([2, 3, 7])).poses
    again = load_particles(folder / "out" / "new.star").poses
    assert given is not None
    assert again is not None
    np.testing.assert_allclose(again.rotation, given.rotation, atol=1e-6)
    np.testing.assert_allclose(again.shift_fraction, given.shift_fraction, atol=1e-7)


def test_optics_groups_of_a_star_file_keep_their_names(folder: Path) -> None:
    """Also of groups that differ in nothing but what is not written, as beam tilt."""
    source = write_star31(folder / "data" / "s.star", relion30_rows(N, "s.mrcs"), BOX)
    lines = source.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("1 og"))
    lines.insert(place, lines[place].replace("1 og", "2 other"))
    for i in [i for i, line in enumerate(lines) if "@" in line][::2]:
        lines[i] = lines[i][:-1] + "2"
    source.write_text("\n".join(lines) + "\n")
    write_starfile(request(folder, "s.star", ctf=None, poses=None))
    tables = starfile.read(folder / "out" / "new.star")
    assert tables["optics"]["rlnOpticsGroupName"].tolist() == ["other", "og"]
    assert tables["particles"]["rlnOpticsGroup"].tolist() == [1, 2, 2]


def test_what_cannot_be_written(folder: Path) -> None:
    with pytest.raises(InputError, match="no CTF: give"):
        write_starfile(request(folder, ctf=None))
    with pytest.raises(InputError, match=r"must end in \.star"):
        write_starfile(request(folder, output="new.txt"))
    assert not (folder / "out").exists()
    write_starfile(request(folder))
    with pytest.raises(InputError, match="exists; give another -o, or --force"):
        write_starfile(request(folder))
    with pytest.raises(InputError, match="given as a already"):
        chosen_ctf(Path("a"), Path("b"))
    assert chosen_ctf(None, Path("b")) == chosen_ctf(Path("b"), None) == Path("b")
