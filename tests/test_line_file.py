"""Files of lines: whole lines or none, whoever removes the file or fills the disk."""

import errno
import os
from pathlib import Path

import pytest

from hwnas.line_file import LineFile


def test_lines_are_added_after_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntwo")
    file = LineFile(path)
    file.cut(4)
    file.append(b"three\n")
    file.close()
    assert path.read_bytes() == b"one\nthree\n"


def test_a_line_that_does_not_fit_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = LineFile(tmp_path / "lines")
    file.append(b"one\n")
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, line: write(handle, line[:2]))
    with pytest.raises(OSError, match="No space left") as caught:
        file.append(b"two\n")
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    file.append(b"three\n")
    file.close()
    assert (tmp_path / "lines").read_bytes() == b"one\nthree\n"


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_removed_is_not_written_to_in_silence(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "lines"
    file = LineFile(path)
    path.unlink()
    if replaced:
        path.write_text("another")
    with pytest.raises(OSError, match="removed or replaced while it was in use"):
        file.append(b"one\n")
    file.close()


def test_a_file_is_locked_against_another_that_locks_it(tmp_path: Path) -> None:
    one, other = LineFile(tmp_path / "lines"), LineFile(tmp_path / "lines")
    one.lock()
    with pytest.raises(BlockingIOError):
        other.lock()
    one.close()
    other.lock()
    other.close()
