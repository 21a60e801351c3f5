"""Writing whole or not at all, and lists of stacks."""

import errno
import os
from pathlib import Path

import pytest

from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done, write_text
from cryoscape.io.stack_list import read_stack_list, write_stack_list


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with replace_when_done(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("x")
        assert not target.exists()
    assert target.read_text() == "x"
    assert list(target.parent.iterdir()) == [target]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_an_error_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(UnicodeEncodeError), replace_when_done(target) as temporary:
        temporary.write_text("half \udc80", encoding="utf-8")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_told_in_a_line(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"cannot write .*a\.txt: No space left"),
        replace_when_done(tmp_path / "a.txt"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_pass(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), replace_when_done(tmp_path / "a.txt"):
        raise PermissionError


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another output place"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_stack_lists_are_relative_to_themselves(tmp_path: Path) -> None:
    path = tmp_path / "sets" / "a.txt"
    write_stack_list(path, ["one.mrcs", "../my set/two.mrcs", "/data/three.mrcs"])
    assert read_stack_list(path) == (
        tmp_path / "sets" / "one.mrcs",
        tmp_path / "sets" / ".." / "my set" / "two.mrcs",
        Path("/data/three.mrcs"),
    )


def test_blank_lines_remarks_and_windows_ends_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeff# stacks\r\n\r\n  one.mrcs \r\ntwo.mrcs".encode())
    assert read_stack_list(tmp_path / "a.txt") == (tmp_path / "one.mrcs", tmp_path / "two.mrcs")


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe\x00"])
def test_a_list_of_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.txt"):
        read_stack_list(tmp_path / "a.txt")


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.txt"):
        read_stack_list(tmp_path / "a.txt")
