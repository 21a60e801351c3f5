"""Sets of cryoSPARC files: kept apart, matched on uid, and written so that its own tools read them."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from cryosparc.dataset import Dataset

from cryoscape.errors import InputError
from cryoscape.io.cryosparc import read_cryosparc
from cryoscape.io.cryosparc_set import (
    read_cryosparc_set,
    with_image_paths,
    write_cs_table,
    write_group_file,
)
from particle_files import cryosparc_table, without_fields, write_cs

BLOB = ("blob/path", "blob/idx", "blob/shape", "blob/psize_A", "blob/sign")


def job(folder: Path, n: int = 12) -> np.ndarray:
    """A job's folder: its table without images, and a passthrough file with them and more particles."""
    table = cryosparc_table(n + 3, "J1/s.mrcs")
    shuffled = table[np.random.default_rng(1).permutation(n + 3)]
    passed = without_fields(shuffled, *(f for f in table.dtype.names or () if f.startswith("alignments")))
    write_cs(folder / "J7_passthrough_particles.cs", passed)
    write_cs(folder / "J7_005_particles.cs", without_fields(table[:n], *BLOB))
    return table[:n]


def test_tables_of_a_set_hold_the_same_particles(tmp_path: Path) -> None:
    table = job(tmp_path)
    found = read_cryosparc_set(tmp_path)
    assert [file.name for file in found.files] == ["J7_005_particles.cs", "J7_passthrough_particles.cs"]
    assert found.source == found.files[0]
    assert len(found) == 12
    for other in found.tables:
        np.testing.assert_array_equal(other["uid"], table["uid"])
    np.testing.assert_array_equal(found.tables[1]["blob/idx"], table["blob/idx"])


def test_files_of_other_particles_or_without_news_are_no_part(tmp_path: Path) -> None:
    job(tmp_path)
    table = cryosparc_table(12, "J1/s.mrcs")
    write_cs(tmp_path / "J7_passthrough_particles_excluded.cs", table[:5])
    micrographs = without_fields(cryosparc_table(4, "m.mrc", seed=5), "alignments3D/pose")
    micrographs["uid"] += 10**9
    write_cs(tmp_path / "J7_passthrough_micrographs.cs", micrographs)
    assert len(read_cryosparc_set(tmp_path / "J7_005_particles.cs").files) == 2


def test_a_passthrough_belongs_to_a_complete_table_too(tmp_path: Path) -> None:
    """What the table does not need for training is needed to import it again: places on micrographs."""
    table = cryosparc_table(6, "s.mrcs")
    write_cs(tmp_path / "J7_particles.cs", table)
    located = np.zeros(6, dtype=[("uid", "<u8"), ("location/center_x_frac", "<f4")])
    located["uid"] = table["uid"]
    write_cs(tmp_path / "J7_passthrough_particles.cs", located)
    assert len(read_cryosparc_set(tmp_path / "J7_particles.cs").files) == 2


def test_a_written_table_keeps_its_bytes_and_is_read_by_cryosparc(tmp_path: Path) -> None:
    table = cryosparc_table(9, "s.mrcs")
    write_cs_table(tmp_path / "a.cs", table[[4, 2]])
    again = np.load(tmp_path / "a.cs")
    assert again.dtype == table.dtype
    assert again.tobytes() == table[4].tobytes() + table[2].tobytes()
    dataset = Dataset.load(tmp_path / "a.cs")
    np.testing.assert_array_equal(dataset["uid"], table["uid"][[4, 2]])
    np.testing.assert_array_equal(dataset["alignments3D/pose"], table["alignments3D/pose"][[4, 2]])


def test_a_table_of_a_hundred_classes_is_written(tmp_path: Path) -> None:
    fields: list[tuple[str, str]] = [("uid", "<u8")]
    fields += [(f"alignments_class_{i}/{'x' * 40}_{j}", "<f4") for i in range(100) for j in range(12)]
    write_cs_table(tmp_path / "a.cs", np.zeros(3, dtype=fields))
    assert (tmp_path / "a.cs").read_bytes()[6:8] == b"\x02\x00"
    assert len(np.load(tmp_path / "a.cs", max_header_size=10**6)) == 3


def test_paths_are_changed_and_nothing_else(tmp_path: Path) -> None:
    table = cryosparc_table(4, ">J1/s.mrcs")
    longer = with_image_paths(table, lambda old: "/a/very/long/folder" * 5 + old)
    assert set(longer["blob/path"]) == {b"/a/very/long/folder" * 5 + b">J1/s.mrcs"}
    assert longer.dtype.names == table.dtype.names
    for name in set(table.dtype.names or ()) - {"blob/path"}:
        assert longer[name].dtype == table[name].dtype
        np.testing.assert_array_equal(longer[name], table[name])
    shorter = with_image_paths(table, lambda _: "s")
    assert shorter.dtype == table.dtype
    assert table["blob/path"][0] == b">J1/s.mrcs"
    without = without_fields(table, *BLOB)
    assert with_image_paths(without, lambda old: old + "x") is without


def test_a_new_group_is_read_back_as_the_whole(tmp_path: Path) -> None:
    table = job(tmp_path)
    found = read_cryosparc_set(tmp_path / "J7_005_particles.cs")
    (tmp_path / "new").mkdir()
    files = [tmp_path / "new" / name for name in ("a.cs", "b.cs")]
    for file, part in zip(files, found.tables, strict=True):
        write_cs_table(file, part)
    write_group_file(tmp_path / "new" / "a.csg", found, files, 12)
    content = yaml.safe_load((tmp_path / "new" / "a.csg").read_text())
    assert content["group"]["type"] == "particle"
    assert content["results"]["blob"] == {"metafile": ">b.cs", "num_items": 12, "type": "particle.blob"}
    assert content["results"]["alignments3D"]["metafile"] == ">a.cs"
    again = read_cryosparc(tmp_path / "new" / "a.csg")
    assert set(again.dtype.names or ()) == set(table.dtype.names or ())
    np.testing.assert_array_equal(again["blob/path"], table["blob/path"])


def test_a_group_keeps_all_that_is_not_of_the_files(tmp_path: Path) -> None:
    job(tmp_path)
    content = {
        "created": "2024-01-02 03:04:05",
        "group": {"name": "particles_selected", "title": "Selected", "type": "particle", "description": "é"},
        "results": {
            "alignments3D": {
                "metafile": ">J7_005_particles.cs",
                "num_items": 12,
                "type": "particle.alignments3D",
            },
            "blob": {"metafile": ">J7_passthrough_particles.cs", "num_items": 15, "type": "particle.blob"},
        },
        "version": "v4.4.1",
    }
    (tmp_path / "J7.csg").write_text(yaml.safe_dump(content))
    found = read_cryosparc_set(tmp_path / "J7.csg")
    write_group_file(tmp_path / "new.csg", found, [tmp_path / "x.cs", tmp_path / "y.cs"], 5)
    again = yaml.safe_load((tmp_path / "new.csg").read_text())
    assert again["results"]["blob"] == {"metafile": ">y.cs", "num_items": 5, "type": "particle.blob"}
    assert again["results"]["alignments3D"]["metafile"] == ">x.cs"
    for name in ("created", "group", "version"):
        assert again[name] == content[name]


def test_a_group_whose_file_lacks_particles(tmp_path: Path) -> None:
    job(tmp_path)
    table = np.load(tmp_path / "J7_passthrough_particles.cs")
    write_cs(tmp_path / "J7_passthrough_particles.cs", table[:3])
    results = {"a": {"metafile": ">J7_005_particles.cs"}, "b": {"metafile": ">J7_passthrough_particles.cs"}}
    (tmp_path / "J7.csg").write_text(yaml.safe_dump({"results": results}))
    with pytest.raises(InputError, match="lacks"):
        read_cryosparc_set(tmp_path / "J7.csg")
