"""Selections given back to RELION and cryoSPARC: rows byte for byte, read by starfile and cryosparc-tools."""

from pathlib import Path

import numpy as np
import pytest
import starfile
import yaml
from cryosparc.dataset import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.particles.export import PathEdit
from cryoscape.particles.readers import load_particles
from cryoscape.workflows.downsample import downsample
from cryoscape.workflows.export import CRYOSPARC_SUFFIXES, ExportRequest, export
from particle_files import (
    cryosparc_table,
    noise_images,
    relion30_rows,
    without_fields,
    write_cs,
    write_pickle,
    write_stack,
    write_star30,
    write_star31,
)

N = 12
BLOB = ("blob/path", "blob/idx", "blob/shape", "blob/psize_A", "blob/sign")


def selection(folder: Path, rows: list[int], name: str = "ind.pkl") -> Path:
    return write_pickle(folder / name, np.array(rows, dtype=np.int64))


def lines_of(path: Path, mark: str = "@") -> list[bytes]:
    return [line for line in path.read_bytes().splitlines(keepends=True) if mark.encode() in line]


def relion5(path: Path) -> Path:
    """As RELION 5 writes subtomograms as 2D stacks: a general table, several optics groups, tilt series."""
    text = write_star31(path, relion30_rows(N, "s.mrcs"), 16).read_text()
    head, body = text.split("data_particles")
    general = "\n# version 50001\n\ndata_general\n\n_rlnTomoSubTomosAre2DStacks                       1\n\n"
    optics = head.rstrip("\n") + '\n2 "second group" 300 2.7 0.1 1.6 16\n3 third 300 2.7 0.1 1.7 16\n\n'
    rows = body.splitlines()
    first = next(i for i, row in enumerate(rows) if "@" in row)
    rows.insert(first, "_rlnGroupName #12")
    for i in range(N):
        row = rows[first + 1 + i]
        rows[first + 1 + i] = f" {row[:-1]}{1 + i % 2}  TS_{(i // 3) * 7 % 4}   "
    path.write_text(general + optics + "# version 50001\n\ndata_particles" + "\n".join(rows) + "\n")
    return path


STAR_FILES = {
    "relion 3.0": lambda path: write_star30(path, relion30_rows(N, "s.mrcs")),
    "relion 3.1": lambda path: write_star31(path, relion30_rows(N, "s.mrcs"), 16),
    "relion 5": relion5,
}


@pytest.mark.parametrize("kind", STAR_FILES)
def test_rows_of_star_files_are_kept_byte_for_byte(tmp_path: Path, kind: str) -> None:
    source = STAR_FILES[kind](tmp_path / "a.star")
    kept = [1, 5, 11]
    result = export(ExportRequest(source, tmp_path / "out" / "b.star", selection(tmp_path, kept)))
    assert (result.n_kept, result.n_particles) == (3, N)
    before, after = lines_of(source), lines_of(result.files[0])
    assert after == [before[i] for i in kept]
    others = [line for line in source.read_bytes().splitlines() if b"@" not in line]
    left = [line for line in result.files[0].read_bytes().splitlines() if b"@" not in line]
    gone = [line for line in others if line not in left]
    assert [line for line in others if line in left] == left
    assert gone == ([others[o] for o in range(len(others)) if others[o].startswith((b"3 third", b"1 og"))]
                    if kind == "relion 5" else [])  # fmt: skip


@pytest.mark.parametrize("kind", STAR_FILES)
def test_starfile_reads_the_selected_rows(tmp_path: Path, kind: str) -> None:
    source = STAR_FILES[kind](tmp_path / "a.star")
    export(ExportRequest(source, tmp_path / "b.star", selection(tmp_path, [0, 2, 3])))
    whole, cut = (starfile.read(tmp_path / name, always_dict=True) for name in ("a.star", "b.star"))
    assert list(whole) == list(cut)
    table = "particles" if "particles" in whole else next(iter(whole))
    expected = whole[table].iloc[[0, 2, 3]].reset_index(drop=True)
    assert expected.equals(cut[table])


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_selection_of_a_selection_is_a_selection(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Rows are always those of the first file, and the bytes do not depend on the way there."""
    folder = tmp_path_factory.mktemp("rounds")
    source = relion5(folder / "a.star")
    rows = st.lists(st.sampled_from(range(N)), min_size=1, unique=True).map(sorted)
    kept = data.draw(rows)
    previous = source
    for number in range(3):
        kept = data.draw(st.lists(st.sampled_from(kept), min_size=1, unique=True).map(sorted))
        request = ExportRequest(previous, folder / f"{number}.star", selection(folder, kept))
        previous = export(request).files[0]
    direct = export(ExportRequest(source, folder / "direct.star", selection(folder, kept))).files[0]
    assert previous.read_bytes() == direct.read_bytes()
    write_stack(folder / "s.mrcs", noise_images(N, 16), 1.5)
    loaded = load_particles(previous, images_only=True)
    np.testing.assert_array_equal(loaded.row, kept)
    np.testing.assert_array_equal(load_particles(previous, ind=np.array(kept[-1:])).row, kept[-1:])


def test_real_files_of_relion(shared_data: Path, tmp_path: Path) -> None:
    for name, kept in (
        ("relion31.star", [1, 3]),
        ("empiar_10076_7.star", [0, 6]),
        ("toy_projections.star", [3, 11, 999]),
    ):
        source = shared_data / "particles" / name
        export(ExportRequest(source, tmp_path / name, selection(tmp_path, kept)))
        before, after = lines_of(source, ".mrc"), lines_of(tmp_path / name, ".mrc")
        assert after == [before[i] for i in kept]
        text = source.read_bytes()
        for i, line in enumerate(before):
            text = text if i in kept else text.replace(line, b"", 1)
        assert (tmp_path / name).read_bytes() == text


def test_real_files_of_cryosparc(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "particles" / "empiar_10076_7.cs"
    export(ExportRequest(source, tmp_path / "a.cs", selection(tmp_path, [6, 2])))
    table = np.load(source)
    assert np.load(tmp_path / "a.cs").tobytes() == table[[6, 2]].tobytes()
    assert Dataset.load(tmp_path / "a.cs") == Dataset.load(source).take([6, 2])


def job(folder: Path, group: bool) -> np.ndarray:
    """A job's folder: alignments in its own file, the rest passed through in another order."""
    folder.mkdir(exist_ok=True)
    table = cryosparc_table(N, ">J1/imported/s.mrcs")
    shuffled = table[np.random.default_rng(1).permutation(N)]
    alignments = [name for name in table.dtype.names or () if name.startswith("alignments3D")]
    write_cs(folder / "J7_passthrough_particles.cs", without_fields(shuffled, *alignments))
    write_cs(folder / "J7_005_particles.cs", without_fields(table, *BLOB))
    if group:
        results = {
            name: {"metafile": f">{file}", "num_items": N, "type": f"particle.{name}"}
            for name, file in (
                ("blob", "J7_passthrough_particles.cs"),
                ("ctf", "J7_005_particles.cs"),
                ("alignments3D", "J7_005_particles.cs"),
            )
        }
        content = {"group": {"name": "particles", "type": "particle"}, "results": results, "version": "v4.4"}
        (folder / "J7_particles.csg").write_text(yaml.safe_dump(content))
    return table


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("output", ["kept.cs", "kept.csg", "kept"])
def test_sets_of_cryosparc_stay_sets(tmp_path: Path, group: bool, output: str) -> None:
    """From a job's folder: all files cut alike, and what is read of them is what was there."""
    table = job(tmp_path / "J7", group)
    kept = [10, 3, 4]
    result = export(ExportRequest(tmp_path / "J7", tmp_path / output, selection(tmp_path, kept)))
    own, passed = sorted(
        (f for f in result.files if f.suffix == ".cs"), key=lambda f: "passthrough" in f.name
    )
    (group_file,) = (file for file in result.files if file.suffix == ".csg")
    before = np.load(tmp_path / "J7" / "J7_005_particles.cs")
    assert np.load(own).tobytes() == before[kept].tobytes()
    before = np.load(tmp_path / "J7" / "J7_passthrough_particles.cs")
    by_uid = {record["uid"]: record.tobytes() for record in before}
    assert np.load(passed).tobytes() == b"".join(by_uid[uid] for uid in table["uid"][kept])
    joined = Dataset.innerjoin(Dataset.load(own), Dataset.load(passed))
    assert set(joined["uid"]) == set(table["uid"][kept])
    for way in (own, group_file):
        found = load_particles(way, require_images=False)
        np.testing.assert_array_equal(found.row, kept)
        np.testing.assert_array_equal(found.uid, table["uid"][kept])
        assert found.images is not None
        np.testing.assert_array_equal(found.images.image_index, table["blob/idx"][kept])
        assert str(found.images.files[0]) == "J1/imported/s.mrcs"
    again = export(ExportRequest(group_file, tmp_path / "again.cs", selection(tmp_path, [4])))
    assert Dataset.load(again.files[0])["uid"].tolist() == [table["uid"][4]]


def test_names_in_a_folder_stay(tmp_path: Path) -> None:
    job(tmp_path / "J7", group=True)
    export(ExportRequest(tmp_path / "J7", tmp_path / "out", selection(tmp_path, [1])))
    names = sorted(file.name for file in (tmp_path / "out").iterdir() if file.suffix != ".parquet")
    assert names == sorted(file.name for file in (tmp_path / "J7").iterdir())
    source = write_star30(tmp_path / "a.star", relion30_rows(N, "s.mrcs"))
    export(ExportRequest(source, tmp_path / "out", selection(tmp_path, [1])))
    assert len(lines_of(tmp_path / "out" / "a.star")) == 1


def test_a_downsampled_star_file_is_told_as_such(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_stack(tmp_path / "s.mrcs", noise_images(N, 16), 1.5)
    source = write_star31(tmp_path / "a.star", relion30_rows(N, "s.mrcs"), 16)
    downsample(source, 8, tmp_path / "small.star")
    ind = selection(tmp_path, [2])
    export(ExportRequest(source, tmp_path / "b.star", ind))
    export(ExportRequest(tmp_path / "b.star", tmp_path / "c.star", ind))
    assert "were made from" not in caplog.text
    export(ExportRequest(tmp_path / "small.star", tmp_path / "d.star", ind))
    assert "small.star were made from" in caplog.text
    assert "s.mrcs" in caplog.text


def test_a_selection_that_counts_another_file(tmp_path: Path) -> None:
    """Trained on a refinement's star file, exported from that of extraction, in another order."""
    rows = relion30_rows(N, "Extract/s.mrcs")
    trained = write_star31(tmp_path / "refined.star", rows[2:9], 16)
    original = write_star31(tmp_path / "extracted.star", rows[::-1], 16)
    ind = selection(tmp_path, [0, 1])
    export(ExportRequest(original, tmp_path / "kept.star", ind, rows_of=trained))
    assert lines_of(tmp_path / "kept.star") == lines_of(trained)[:2]


def test_paths_are_changed_on_request_and_nothing_else(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs", noise_images(N, 16), 1.5)
    source = write_star31(tmp_path / "a.star", relion30_rows(N, "s.mrcs"), 16)
    ind = selection(tmp_path, [0, 2])
    whole = ExportRequest(source, tmp_path / "b" / "b.star", ind, paths=PathEdit("absolute"))
    (file,) = export(whole).files
    assert (
        file.read_text().replace(f"@{tmp_path}/", "@")
        == export(ExportRequest(source, tmp_path / "c.star", ind)).files[0].read_text()
    )
    assert len(load_particles(file)) == 2
    moved = PathEdit("replace", old="s", new="T/s")
    (file,) = export(ExportRequest(source, tmp_path / "d.star", ind, paths=moved)).files
    assert [line.split()[0] for line in lines_of(file)] == [b"000001@T/s.mrcs", b"000003@T/s.mrcs"]
    job(tmp_path / "J7", group=False)
    moved = PathEdit("replace", old="J1/", new="J1/a_much_longer_name_of_a_folder_than_there_was/")
    files = export(ExportRequest(tmp_path / "J7", tmp_path / "e.cs", ind, paths=moved)).files
    found = np.load(next(file for file in files if "passthrough" in file.name))["blob/path"]
    assert set(found) == {b">J1/a_much_longer_name_of_a_folder_than_there_was/imported/s.mrcs"}


def test_tilt_series_are_kept_whole(tmp_path: Path) -> None:
    source = relion5(tmp_path / "a.star")
    series = [line.split()[-1] for line in lines_of(source)]
    request = ExportRequest(source, tmp_path / "b.star", selection(tmp_path, [1, 3]), by_tilt_series=True)
    export(request)
    appearing = list(dict.fromkeys(series))
    kept = [line for line in lines_of(source) if line.split()[-1] in (appearing[1], appearing[3])]
    assert lines_of(tmp_path / "b.star") == kept
    beyond = ExportRequest(source, tmp_path / "c.star", selection(tmp_path, [4]), by_tilt_series=True)
    with pytest.raises(InputError, match=r"names tilt series 4; .* holds 4 tilt series \(0 to 3\)"):
        export(beyond)


def test_a_star_file_for_each_micrograph(tmp_path: Path) -> None:
    text = write_star30(tmp_path / "a.star", relion30_rows(6, "s.mrcs")).read_text()
    names = ["mics/a.mrc", "mics/b.mrc", "more/a.mrc", "mics/a.mrc", "mics/b.mrc", "mics/a.mrc"]
    rows = text.splitlines()
    first = next(i for i, row in enumerate(rows) if "@" in row)
    rows[first:] = [
        "_rlnMicrographName #16",
        *(f"{r} {n}" for r, n in zip(rows[first:], names, strict=False)),
    ]
    (tmp_path / "a.star").write_text("\n".join(rows) + "\n")
    ind = selection(tmp_path, [0, 1, 2, 3, 4])
    result = export(ExportRequest(tmp_path / "a.star", tmp_path / "out", ind), by_micrograph=True)
    found = {file.name: len(lines_of(file)) for file in result.files}
    assert found == {"mics_a.star": 2, "b.star": 2, "more_a.star": 1}
    with pytest.raises(InputError, match="expected a folder"):
        export(ExportRequest(tmp_path / "a.star", tmp_path / "b.star", ind), by_micrograph=True)


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    source = write_star30(tmp_path / "a.star", relion30_rows(N, "s.mrcs"))
    ind = selection(tmp_path, [0])
    out = tmp_path / "b.star"
    with pytest.raises(InputError, match="no such file"):
        export(ExportRequest(tmp_path / "gone.star", out, ind))
    with pytest.raises(InputError, match=r"expected \.cs or \.csg"):
        export(ExportRequest(source, out, ind), CRYOSPARC_SUFFIXES)
    with pytest.raises(InputError, match="filter_mrcs"):
        export(ExportRequest(write_stack(tmp_path / "s.mrcs", noise_images(N, 16)), out, ind))
    with pytest.raises(InputError, match=r"go to a \.star file"):
        export(ExportRequest(source, tmp_path / "b.cs", ind))
    with pytest.raises(InputError, match="is the input"):
        export(ExportRequest(source, source, ind, force=True))
    with pytest.raises(InputError, match="largest row 12"):
        export(ExportRequest(source, out, selection(tmp_path, [12], "beyond.pkl")))
    with pytest.raises(InputError, match="1 of 1 image files are missing"):
        export(ExportRequest(write_star30(tmp_path / "c.star", relion30_rows(N, "gone.mrcs")), out, ind,
                             paths=PathEdit("absolute")))  # fmt: skip
    assert not out.exists()
    export(ExportRequest(source, out, ind))
    with pytest.raises(InputError, match="exists; give another -o, or --force"):
        export(ExportRequest(source, out, ind))
    export(ExportRequest(source, out, selection(tmp_path, [1, 2]), force=True))
    assert len(lines_of(out)) == 2


def test_a_list_of_rows_of_another_file_is_not_replaced(tmp_path: Path) -> None:
    """kept.star and kept.cs would share kept.rows.parquet, by which selections find their rows."""
    star = write_star30(tmp_path / "a.star", relion30_rows(N, "s.mrcs"))
    table = write_cs(tmp_path / "a.cs", cryosparc_table(N, "s.mrcs"))
    ind = selection(tmp_path, [0])
    export(ExportRequest(star, tmp_path / "kept.star", ind))
    before = (tmp_path / "kept.rows.parquet").read_bytes()
    for force in (False, True):
        with pytest.raises(
            InputError, match=r"kept\.cs: its list of rows .* would replace that of kept\.star"
        ):
            export(ExportRequest(table, tmp_path / "kept.cs", ind, force=force))
    assert (tmp_path / "kept.rows.parquet").read_bytes() == before
    assert not (tmp_path / "kept.cs").exists()
