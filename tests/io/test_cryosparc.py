from pathlib import Path

import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.io.cryosparc import read_cryosparc
from particle_files import cryosparc_table, without_fields, write_cs

BLOB = ("blob/path", "blob/idx", "blob/shape", "blob/psize_A", "blob/sign")
ALIGNMENTS = ("alignments3D/pose", "alignments3D/shift", "alignments3D/psize_A")


def split(folder: Path, table: np.ndarray, name: str = "J7_005_particles.cs") -> Path:
    """A refinement without images, and its passthrough file with them, in another order."""
    shuffled = table[np.random.default_rng(1).permutation(len(table))]
    write_cs(folder / "J7_passthrough_particles.cs", without_fields(shuffled, *ALIGNMENTS))
    return write_cs(folder / name, without_fields(table, *BLOB))


def equal_fields(a: np.ndarray, b: np.ndarray) -> bool:
    names = set(a.dtype.names or ())
    return names == set(b.dtype.names or ()) and all(np.array_equal(a[name], b[name]) for name in names)


def test_a_whole_table_is_read_as_it_is(tmp_path: Path) -> None:
    table = cryosparc_table(9, "s.mrcs")
    found = read_cryosparc(write_cs(tmp_path / "a.cs", table))
    assert found.dtype == table.dtype
    np.testing.assert_array_equal(found, table)


def test_a_passthrough_in_another_order_is_joined_on_uid(tmp_path: Path) -> None:
    table = cryosparc_table(50, "s.mrcs")
    assert equal_fields(read_cryosparc(split(tmp_path, table)), table)


def test_a_passthrough_of_more_particles_will_do(tmp_path: Path) -> None:
    table = cryosparc_table(50, "s.mrcs")
    path = split(tmp_path, table)
    write_cs(path, without_fields(table[10:20], *BLOB))
    assert equal_fields(read_cryosparc(path), table[10:20])


def test_fields_of_the_named_file_win(tmp_path: Path) -> None:
    table = cryosparc_table(5, "s.mrcs")
    path = split(tmp_path, table)
    changed = without_fields(table, *BLOB)
    changed["ctf/df1_A"] += 100
    write_cs(path, changed)
    np.testing.assert_array_equal(read_cryosparc(path)["ctf/df1_A"], changed["ctf/df1_A"])


def test_a_passthrough_of_part_of_the_particles_is_refused(tmp_path: Path) -> None:
    table = cryosparc_table(50, "s.mrcs")
    path = split(tmp_path, table)
    write_cs(tmp_path / "J7_passthrough_particles.cs", without_fields(table[:30], *ALIGNMENTS))
    with pytest.raises(InputError, match=r"no blob fields.*holds 30 of 50"):
        read_cryosparc(path)


def test_a_passthrough_of_another_job_is_left_alone(tmp_path: Path) -> None:
    table = cryosparc_table(10, "s.mrcs")
    path = split(tmp_path, table)
    other = cryosparc_table(10, "t.mrcs", seed=5)
    write_cs(tmp_path / "J7_passthrough_particles.cs", without_fields(other, *ALIGNMENTS))
    assert "blob/path" not in (read_cryosparc(path).dtype.names or ())


def test_the_right_one_of_several_passthroughs_is_joined(tmp_path: Path) -> None:
    table = cryosparc_table(20, "s.mrcs")
    path = split(tmp_path, table)
    write_cs(tmp_path / "J7_passthrough_particles_excluded.cs", cryosparc_table(20, "no.mrcs", seed=3))
    assert equal_fields(read_cryosparc(path), table)


def write_group(path: Path, results: dict[str, str]) -> Path:
    lines = ["created: 2024-01-01", "group: {name: particles, type: particle}", "results:"]
    for name, file in results.items():
        lines += [f"  {name}:", f"    metafile: '>{file}'", "    num_items: 12", f"    type: particle.{name}"]
    path.write_text("\n".join(lines) + "\nversion: v4.5\n")
    return path


def test_a_group_is_followed(tmp_path: Path) -> None:
    table = cryosparc_table(12, "s.mrcs")
    split(tmp_path, table)
    results = {"blob": "J7_passthrough_particles.cs", "ctf": "J7_passthrough_particles.cs"}
    results["alignments3D"] = "J7_005_particles.cs"
    group = write_group(tmp_path / "J7_particles.csg", results)
    assert equal_fields(read_cryosparc(group), table)


def test_a_group_takes_only_the_fields_it_names(tmp_path: Path) -> None:
    table = cryosparc_table(12, "s.mrcs")
    split(tmp_path, table)
    results = {"ctf": "J7_passthrough_particles.cs", "alignments3D": "J7_005_particles.cs"}
    found = read_cryosparc(write_group(tmp_path / "a.csg", results))
    assert "blob/path" not in (found.dtype.names or ())


def test_a_group_whose_file_lacks_particles_is_refused(tmp_path: Path) -> None:
    table = cryosparc_table(12, "s.mrcs")
    split(tmp_path, table)
    write_cs(tmp_path / "J7_passthrough_particles.cs", without_fields(table[3:], *ALIGNMENTS))
    results = {"blob": "J7_passthrough_particles.cs", "alignments3D": "J7_005_particles.cs"}
    with pytest.raises(InputError, match="lacks 3 of 12 particles"):
        read_cryosparc(write_group(tmp_path / "a.csg", results))


@pytest.mark.parametrize("text", ["a: [", "results: {}", "- 1", "results: {blob: 3}", ""])
def test_a_broken_group_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csg"
    path.write_text(text)
    with pytest.raises(InputError, match=r"a\.csg"):
        read_cryosparc(path)


def test_a_job_folder_gives_its_last_iteration(tmp_path: Path) -> None:
    table = cryosparc_table(8, "s.mrcs")
    for iteration in (2, 9, 10):
        table["alignments3D/shift"] = iteration
        split(tmp_path, table, f"cryosparc_P1_J7_{iteration}_particles.cs")
    found = read_cryosparc(tmp_path)
    assert found["alignments3D/shift"].min() == 10
    assert "blob/path" in (found.dtype.names or ())


def test_a_job_folder_with_a_group_gives_the_group(tmp_path: Path) -> None:
    table = cryosparc_table(8, "s.mrcs")
    split(tmp_path, table)
    write_group(tmp_path / "J7_particles.csg", {"alignments3D": "J7_005_particles.cs"})
    assert "blob/path" not in (read_cryosparc(tmp_path).dtype.names or ())


def test_several_classes_in_a_folder_must_be_told_apart(tmp_path: Path) -> None:
    table = cryosparc_table(8, "s.mrcs")
    write_cs(tmp_path / "J7_class_00_00042_particles.cs", table)
    write_cs(tmp_path / "J7_class_01_00042_particles.cs", table)
    with pytest.raises(InputError, match=r"several sets.*class_00_00042_particles\.cs"):
        read_cryosparc(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no particles"):
        read_cryosparc(tmp_path)


def test_repeated_uids_are_refused(tmp_path: Path) -> None:
    table = cryosparc_table(8, "s.mrcs")
    table["uid"][5] = table["uid"][2]
    with pytest.raises(InputError, match=f"1 particles repeat a uid .first {table['uid'][2]}"):
        read_cryosparc(write_cs(tmp_path / "a.cs", table))


def test_a_table_without_uid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no field uid"):
        read_cryosparc(write_cs(tmp_path / "a.cs", without_fields(cryosparc_table(8, "s.mrcs"), "uid")))


@pytest.mark.parametrize(
    ("field", "dtype"),
    [
        ("uid", "f8"),
        ("blob/path", "f4"),
        ("blob/idx", "f4"),
        ("alignments3D/pose", "f4"),
        ("blob/shape", "u4"),
    ],
)
def test_fields_of_the_wrong_type_are_refused(tmp_path: Path, field: str, dtype: str) -> None:
    table = cryosparc_table(3, "s.mrcs")
    types = [(name, dtype if name == field else table.dtype[name]) for name in table.dtype.names or ()]
    with pytest.raises(InputError, match=f"field {field} is"):
        read_cryosparc(write_cs(tmp_path / "a.cs", np.zeros(3, dtype=types)))


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    with (tmp_path / "a.cs").open("wb") as handle:
        np.save(handle, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"not a \.cs file"):
        read_cryosparc(tmp_path / "a.cs")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"hello", b"\x95CSDAT" + bytes(40)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.cs").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.cs"):
        read_cryosparc(tmp_path / "a.cs")


def test_plain_arrays_and_missing_files_are_refused(tmp_path: Path) -> None:
    write_cs(tmp_path / "a.cs", np.zeros((3, 4)))
    with pytest.raises(InputError, match="named fields"):
        read_cryosparc(tmp_path / "a.cs")
    with pytest.raises(InputError, match=r"cannot read .*b\.cs"):
        read_cryosparc(tmp_path / "b.cs")


def test_a_real_file(shared_data: Path) -> None:
    table = read_cryosparc(shared_data / "particles" / "empiar_10076_7.cs")
    assert len(table) == 7
    assert table["blob/path"][0] == b"empiar_10076_7.mrc"
    np.testing.assert_allclose(table["ctf/df1_A"][:2], [15301.1, 15303.0])
