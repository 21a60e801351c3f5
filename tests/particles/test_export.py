"""Which rows of a file a selection means, and where images are said to lie."""

import os
from pathlib import Path

import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.particles.export import (
    PathEdit,
    edited_paths,
    keys_of_file,
    path_edit,
    select_keys,
    selected_positions,
)
from cryoscape.particles.keys import KeyList, write_key_list
from particle_files import (
    cryosparc_table,
    legacy_ctf,
    noise_images,
    relion30_rows,
    write_cs,
    write_pickle,
    write_stack,
    write_star31,
)

IND = "ind.pkl"


def test_rows_are_those_of_the_original_input(tmp_path: Path) -> None:
    """A file that was cut before is selected from by the numbers of the file that it was cut from."""
    whole = keys_of_file(write_star31(tmp_path / "a.star", relion30_rows(10, "s.mrcs"), 16))
    cut = select_keys(whole, np.array([7, 2, 5]))
    np.testing.assert_array_equal(selected_positions(cut, np.array([2, 7]), IND, tmp_path), [1, 0])
    with pytest.raises(InputError, match=r"1 of the 2 selected rows are not in the 3 particles.*first: 3"):
        selected_positions(cut, np.array([5, 3]), IND, tmp_path)
    with pytest.raises(InputError, match="largest row 10"):
        selected_positions(cut, np.array([10]), IND, tmp_path)
    with pytest.raises(InputError, match="empty"):
        selected_positions(cut, np.array([], dtype=np.int64), IND, tmp_path)


def test_rows_of_another_file_are_found_by_address(tmp_path: Path) -> None:
    rows = relion30_rows(10, "Extract/s.mrcs")
    source = write_star31(tmp_path / "a.star", rows, 16)
    other = write_star31(tmp_path / "b.star", rows[::-1], 16)
    keys = keys_of_file(source)
    found = selected_positions(keys, np.array([0, 3]), IND, source, of=other)
    np.testing.assert_array_equal(found, [9, 6])


def test_rows_of_another_file_are_found_by_uid(tmp_path: Path) -> None:
    table = cryosparc_table(10, "s.mrcs")
    source = write_cs(tmp_path / "a.cs", table)
    other = write_cs(tmp_path / "b.cs", table[[4, 8, 1]])
    found = selected_positions(keys_of_file(source), np.array([2, 0]), IND, source, of=other)
    np.testing.assert_array_equal(found, [1, 4])
    with pytest.raises(
        InputError, match=r"1 of the 2 selected particles are not in it.*row 0 of .*matched by uid"
    ):
        selected_positions(keys_of_file(other), np.array([0, 1]), IND, other, of=source)


def test_files_without_a_common_key(tmp_path: Path) -> None:
    stack = write_stack(tmp_path / "a.mrcs", noise_images(4, 16))
    keys = keys_of_file(stack)
    assert len(keys) == 4
    uids = KeyList(np.arange(4), 4, (), None, None, np.arange(4).astype(np.uint64))
    with pytest.raises(InputError, match="share neither uids nor image addresses"):
        selected_positions(uids, np.arange(2), IND, tmp_path / "b.cs", of=stack)
    write_pickle(tmp_path / "ctf.pkl", legacy_ctf(4))
    with pytest.raises(InputError, match="nothing tells who its rows are"):
        keys_of_file(tmp_path / "ctf.pkl")
    write_key_list(tmp_path / "ctf.pkl", keys)
    np.testing.assert_array_equal(keys_of_file(tmp_path / "ctf.pkl").row, np.arange(4))
    with pytest.raises(InputError, match="no such file"):
        keys_of_file(tmp_path / "gone.star")


def test_paths_kept_or_replaced(tmp_path: Path) -> None:
    names = [">J1/imported/a.mrc", "J1/imported/b.mrc"]
    assert edited_paths(names, tmp_path, PathEdit()) == dict(zip(names, names, strict=True))
    found = edited_paths(names, tmp_path, path_edit(False, None, ("J1/", "/data/J2/")))
    assert found == {names[0]: ">/data/J2/imported/a.mrc", names[1]: "/data/J2/imported/b.mrc"}
    with pytest.raises(
        InputError, match=r"1 of 2 image paths do not begin with J1/imported/a .*J1/imported/b"
    ):
        edited_paths(names, tmp_path, PathEdit("replace", old="J1/imported/a"))
    with pytest.raises(InputError, match="expected one of them"):
        path_edit(True, None, ("a", "b"))


def test_absolute_paths_are_those_of_files_that_are_there(tmp_path: Path) -> None:
    """Looked for as for training: links are not followed, as projects are made of them."""
    (tmp_path / "Extract" / "job1").mkdir(parents=True)
    (tmp_path / "real.mrcs").write_text("")
    (tmp_path / "Extract" / "job1" / "a.mrcs").symlink_to(tmp_path / "real.mrcs")
    source = tmp_path / "Refine3D" / "job2" / "run_data.star"
    source.parent.mkdir(parents=True)
    found = edited_paths([">Extract/job1/a.mrcs"], source, path_edit(True, None, None))
    assert found == {">Extract/job1/a.mrcs": os.path.abspath(tmp_path / "Extract" / "job1" / "a.mrcs")}
    with pytest.raises(InputError, match="2 of 2 image files are missing"):
        edited_paths(["x.mrcs", "y.mrcs"], source, PathEdit("absolute", tmp_path))
