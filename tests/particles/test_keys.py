from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.particles.keys import (
    KeyList,
    addresses_of,
    key_list_path,
    match_keys,
    read_key_list,
    write_key_list,
)
from cryoscape.particles.locate import candidates, locate_files


def keys(
    files: list[str], file_index: list[int], image_index: list[int], uid: list[int] | None = None
) -> KeyList:
    n = len(file_index)
    return KeyList(
        row=np.arange(n),
        n_original=n,
        files=tuple(files),
        file_index=np.array(file_index, np.int32),
        image_index=np.array(image_index, np.int64),
        uid=None if uid is None else np.array(uid, np.uint64),
    )


def test_a_key_list_comes_back(tmp_path: Path) -> None:
    (tmp_path / "s.mrcs").write_bytes(b"x" * 5000)
    written = replace(
        keys(["a.mrcs", "b/c.mrcs"], [0, 1, 1], [5, 0, 2**33], [7, 8, 2**63 + 1]),
        n_original=9,
        cropped_from_box=65,
    )
    assert write_key_list(tmp_path / "s.mrcs", written) == key_list_path(tmp_path / "s.mrcs")
    found = read_key_list(tmp_path / "s.mrcs")
    assert found is not None
    assert (found.files, found.n_original, found.cropped_from_box) == (written.files, 9, 65)
    for name in ("row", "file_index", "image_index", "uid"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
    addresses = addresses_of(found)
    assert addresses is not None
    assert addresses.files == (Path("a.mrcs"), Path("b/c.mrcs"))


@pytest.mark.parametrize("content", [b"y" * 5000, b"x" * 5001, b""])
def test_a_changed_file_loses_its_key_list(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.mrcs").write_bytes(b"x" * 5000)
    write_key_list(tmp_path / "s.mrcs", keys(["a"], [0], [0]))
    (tmp_path / "s.mrcs").write_bytes(content)
    assert read_key_list(tmp_path / "s.mrcs") is None


def test_a_broken_key_list_is_none(tmp_path: Path) -> None:
    (tmp_path / "s.mrcs").write_bytes(b"x")
    assert read_key_list(tmp_path / "s.mrcs") is None
    key_list_path(tmp_path / "s.mrcs").write_bytes(b"junk")
    assert read_key_list(tmp_path / "s.mrcs") is None


@given(st.permutations(range(12)))
def test_any_order_is_found_by_uid_and_by_address(order: list[int]) -> None:
    table = keys(
        ["a.mrcs", "b.mrcs"], [i % 2 for i in order], [i // 2 for i in order], [i + 100 for i in order]
    )
    wanted = keys(
        ["b.mrcs", "a.mrcs"],
        [1 - i % 2 for i in range(12)],
        [i // 2 for i in range(12)],
        list(range(100, 112)),
    )
    for one, other, by in ((wanted, table, "uid"), (replace(wanted, uid=None), table, "image address")):
        match = match_keys(one, other)
        assert match is not None
        assert (match.by, match.n_missing) == (by, 0)
        np.testing.assert_array_equal(np.array(order)[match.positions], np.arange(12))


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("Extract/job1/a.mrcs", "Extract/job1/a.mrcs"),
        ("/data/Extract/job1/a.mrcs", "Extract/job1/a.mrcs"),
        ("a.mrcs", "/somewhere/else/a.mrcs"),
        ("J1/imported/000123456789_a.mrcs", "a.mrcs"),
    ],
)
def test_moved_and_imported_files_are_recognised(here: str, there: str) -> None:
    match = match_keys(keys([here, "other/b.mrcs"], [0, 1], [3, 3]), keys([there, "b.mrcs"], [1, 0], [3, 3]))
    assert match is not None
    assert match.positions.tolist() == [1, 0]


def test_files_of_one_name_in_two_folders_are_told_apart() -> None:
    table = keys(["x/g1/a.mrcs", "x/g2/a.mrcs"], [0, 1], [0, 0])
    match = match_keys(keys(["y/g2/a.mrcs", "y/g1/a.mrcs"], [0, 1], [0, 0]), table)
    assert match is not None
    assert match.positions.tolist() == [1, 0]


def test_nothing_in_common_is_no_match() -> None:
    assert match_keys(keys(["a.mrcs"], [0], [0]), keys(["b.mrcs"], [0], [0])) is None
    bare = KeyList(np.arange(2), 2, (), None, None, None)
    assert match_keys(bare, keys(["a.mrcs"], [0], [0])) is None


def test_places_tried_for_an_image_file(tmp_path: Path) -> None:
    project = tmp_path / "project"
    job = project / "Refine3D" / "job042"
    stack = project / "Extract" / "job001" / "a b.mrcs"
    for folder in (job, stack.parent):
        folder.mkdir(parents=True)
    stack.write_bytes(b"")
    source = job / "run_data.star"
    named = "Extract/job001/a b.mrcs"
    assert locate_files([named], source, None) == (stack,)
    assert locate_files([str(stack)], source, None) == (stack,)
    assert locate_files(["old/place/a b.mrcs"], source, stack.parent) == (stack,)
    moved = tmp_path / "moved"
    project.rename(moved)
    assert locate_files([named], source, moved) == (moved / named,)
    with pytest.raises(InputError, match=r"2 of 3 image files are missing .first: x.mrcs, y.mrcs"):
        locate_files([named, "x.mrcs", "y.mrcs"], moved / "Refine3D" / "job042" / "run_data.star", None)
    assert len(set(candidates(named, source, moved))) == len(candidates(named, source, moved))
