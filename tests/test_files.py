"""Files read with a cap, JSON of finite numbers, and values held against dataclasses."""

import errno
import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import MOST_CHARACTERS, InputError
from hwnas.files import (
    checked,
    parse_json,
    read_bytes,
    read_json,
    read_text,
    replacing,
    temporary_folder,
    write_json,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(2**63), 2**64 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | whole | finite | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
)


@given(values)
def test_what_json_can_say_is_parsed_as_python_does(value: Any) -> None:
    written = json.dumps(value)
    assert parse_json(written) == json.loads(written) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(values, st.sampled_from([math.nan, math.inf, -math.inf, 2**64, -(2**63) - 1, 10**400, "\ud800"]))
def test_what_could_not_be_written_again_is_refused_wherever_it_stands(value: Any, other: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(json.dumps({"a": [value, {"b": other}]}))


@pytest.mark.parametrize("number", ["1e308", "-1.7e+308", "1e-400", "0." + "1" * 400, "9007199254740993"])
def test_numbers_that_are_large_or_long_but_fit(number: str) -> None:
    assert parse_json(number) == json.loads(number)


def test_a_file_is_read_up_to_its_cap(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_bytes(path, "numbers", 5) == b"12345"
    with pytest.raises(InputError, match=r"numbers .* must be at most 4 bytes"):
        read_bytes(path, "numbers", 4)
    with pytest.raises(InputError, match="cannot read numbers"):
        read_bytes(tmp_path, "numbers")
    path.write_bytes(b"\xef\xbb\xbfone\ntw\xff")
    with pytest.raises(InputError, match="line 2 is not UTF-8"):
        read_text(path, "words")
    path.write_bytes(b"\xef\xbb\xbfone")
    assert read_text(path, "words") == "one"
    path.write_text('{"a": NaN}')
    with pytest.raises(InputError, match="is not valid JSON: NaN is no number"):
        read_json(path, "facts")


@dataclass(frozen=True, kw_only=True)
class Thing:
    sizes: tuple[float, ...]
    kind: Literal["one", "other"] = "one"
    count: int = 0


def test_a_value_becomes_a_dataclass_or_is_refused_by_field() -> None:
    assert checked(Thing, {"sizes": [1, 2.5], "later": 1}) == Thing(sizes=(1.0, 2.5))
    for value, says in (
        ({}, "sizes: "),
        ({"sizes": ["1"]}, r"sizes\.0: "),
        ({"sizes": [True]}, r"sizes\.0: "),
        ({"sizes": [], "kind": "none"}, "kind: "),
        ({"sizes": [], "count": 1.5}, "count: "),
        ([], "Thing: "),
        (None, "Thing: "),
    ):
        with pytest.raises(ValueError, match=says):
            checked(Thing, value)


@pytest.mark.parametrize("length", [0, 1, MOST_CHARACTERS, MOST_CHARACTERS + 1, 100_000])
def test_a_long_message_keeps_its_ends(length: int) -> None:
    long = "".join(chr(97 + number % 26) for number in range(length))
    shown = str(InputError(long))
    assert len(shown) <= MOST_CHARACTERS + 10
    assert shown.startswith(long[:900])
    assert shown.endswith(long[-900:])
    assert (shown == long) == (length <= MOST_CHARACTERS)


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "front.json"
    left, others = tmp_path / ".front.json.abc.tmp", tmp_path / ".front.csv.abc.tmp"
    left.touch()
    others.touch()
    with replacing(path) as alive:
        alive.write_text("1")
        write_json(path, 2)
        assert read_json(path, "figures") == 2
        assert alive.exists()
    assert read_json(path, "figures") == 1
    assert sorted(tmp_path.iterdir()) == [others, path]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises(InputError, match=r"a\.json: No space left on device; make room"), replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError), replacing(path):
        (tmp_path / "another").read_text()
    with pytest.raises(RuntimeError, match="unexpected pos"), replacing(path):
        raise RuntimeError("unexpected pos 128 vs 0")
    monkeypatch.setattr("hwnas.files._refuses", lambda handle: OSError(errno.ENOSPC, "No room"))
    with pytest.raises(InputError, match=r"a\.json: No room; make room"), replacing(path):
        raise RuntimeError("unexpected pos 128 vs 0")
    assert read_json(path, "a number") == 1
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_folders_of_killed_processes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = [tmp_path / "hwnas-a.tmp", tmp_path / "hwnas-b.tmp"]
    for one in left:
        one.mkdir()
        (one / "model.onnx").touch()
    others = [tmp_path / "hwnas-mine", tmp_path / "other.tmp"]
    for one in others:
        one.mkdir()
    (tmp_path / "hwnas-link.tmp").symlink_to(others[0])
    with temporary_folder() as outer, temporary_folder() as inner:
        assert {outer, inner, *others} == {one for one in tmp_path.iterdir() if not one.is_symlink()}
    assert set(others) == {one for one in tmp_path.iterdir() if not one.is_symlink()}
