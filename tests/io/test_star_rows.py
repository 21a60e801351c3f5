"""Rows of star files kept as they stand: every byte of a kept line, every other line of the file."""

from pathlib import Path

import numpy as np
import pytest
import starfile
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.io.star_rows import read_star_lines, write_star_rows

RELION31 = """# made by hand
# version 30001

data_general
_rlnTomoSubTomosAre2DStacks   1

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnImagePixelSize #3
  1   "first group"   1.40300
  2   second   1.40310

# version 30001

data_particles

loop_
_rlnImageName #1
_rlnDefocusU #2
_rlnOpticsGroup #3
# a comment before the rows
000001@a.mrcs   10000.100000    1
 000002@a.mrcs  1.2e4   2\t
# a comment between rows

000001@'b c.mrcs'  3.0000   1
000004@a.mrcs  -0.0   2

# version 30001

data_last
loop_
_rlnName
1@not_a_particle
"""
ROWS = [line for line in RELION31.splitlines(keepends=True) if "mrcs" in line]


def written(folder: Path, text: str, kept: list[int], optics: list[int] | None = None, **more: object) -> str:
    source = folder / "a.star"
    source.write_bytes(text.encode())
    groups = None if optics is None else np.array(optics)
    write_star_rows(folder / "b.star", read_star_lines(source), np.array(kept), groups, **more)  # type: ignore[arg-type]
    return (folder / "b.star").read_bytes().decode()


def test_rows_are_found_between_comments_and_other_tables(tmp_path: Path) -> None:
    (tmp_path / "a.star").write_text(RELION31)
    star = read_star_lines(tmp_path / "a.star")
    assert [star.lines[i].decode() for i in star.particles] == ROWS
    assert star.optics is not None
    assert [star.lines[i].split()[-1] for i in star.optics] == [b"1.40300", b"1.40310"]
    assert star.image_column == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_else_is_kept_byte_for_byte(tmp_path: Path, end: str) -> None:
    text = RELION31.replace("\n", end)
    rows = [row.replace("\n", end) for row in ROWS]
    assert written(tmp_path, text, [0, 1, 2, 3]) == text
    assert written(tmp_path, text, [1, 3]) == text.replace(rows[0], "").replace(rows[2], "")


def test_rows_in_another_order_leave_comments_in_their_places(tmp_path: Path) -> None:
    found = written(tmp_path, RELION31, [3, 0])
    expected = RELION31.replace(ROWS[1], "").replace(ROWS[2], "")
    expected = expected.replace(ROWS[0], "X").replace(ROWS[3], ROWS[0]).replace("X", ROWS[3])
    assert found == expected


def test_optics_groups_are_cut_alike(tmp_path: Path) -> None:
    found = written(tmp_path, RELION31, [1], [1])
    assert '"first group"' not in found
    assert "  2   second   1.40310\n" in found
    assert ROWS[1] in found


def test_a_last_line_without_an_end_gets_one(tmp_path: Path) -> None:
    text = "data_\nloop_\n_rlnImageName\n1@a.mrcs\n2@a.mrcs"
    assert written(tmp_path, text, [1, 0]) == "data_\nloop_\n_rlnImageName\n2@a.mrcs\n1@a.mrcs\n"


def test_only_the_image_name_changes(tmp_path: Path) -> None:
    found = written(tmp_path, RELION31, [0, 2], image_name=lambda old: old.replace("@", "@x y/"))
    assert '"000001@x y/a.mrcs"   10000.100000    1\n' in found
    assert "000001@'b c.mrcs'  3.0000   1\n" not in found
    (tmp_path / "c.star").write_text(RELION31.replace("_rlnImageName", "_rlnImage"))
    with pytest.raises(InputError, match="no column _rlnImageName"):
        write_star_rows(
            tmp_path / "d.star", read_star_lines(tmp_path / "c.star"), np.array([0]), None, lambda old: old
        )


def test_a_particle_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "a.star").write_text("data_particles\n_rlnImageName 1@a.mrcs\n")
    with pytest.raises(InputError, match="row for each particle"):
        read_star_lines(tmp_path / "a.star")


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=12),
    comment_after=st.integers(0, 12),
    data=st.data(),
)
def test_a_selection_reads_as_the_selected_rows(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], comment_after: int, data: st.DataObject
) -> None:
    """By starfile, another reader: rows of the cut file are those of the whole, in the order asked for."""
    folder = tmp_path_factory.mktemp("rows")
    lines = [f"{i + 1:06d}@a.mrcs {value!r}" for i, value in enumerate(values)]
    lines.insert(min(comment_after, len(lines)), "")
    text = "data_\n\nloop_\n_rlnImageName #1\n_rlnDefocusU #2\n" + "\n".join(lines) + "\n"
    kept = data.draw(st.lists(st.sampled_from(range(len(values))), min_size=1, unique=True))
    written(folder, text, kept)
    found = starfile.read(folder / "b.star")
    whole = starfile.read(folder / "a.star")
    assert found["rlnImageName"].tolist() == whole["rlnImageName"].iloc[kept].tolist()
    np.testing.assert_array_equal(found["rlnDefocusU"], whole["rlnDefocusU"].iloc[kept])
