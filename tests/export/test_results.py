"""The CSV of results: nothing lost, nothing twice, nothing mixed, whatever stops the writer."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.export.results import COLUMNS, Conditions, Results, evaluate_into
from hwnas.predictors import read_measurements
from hwnas.progress import Silent
from hwnas.spaces import Candidates, get_space
from hwnas.supernet import Evaluation

SPACE = get_space("demo")
CONDITIONS = Conditions(n=100, split="validate", supernet="a" * 16, data="b" * 16, calibrate_images=500)


def candidates(n: int) -> Candidates:
    every = Candidates.of_architectures(SPACE, SPACE.sample(2 * n, np.random.default_rng(0)))
    return every[every.first_of_each()[:n]]


def rows(n: int, conditions: Conditions = CONDITIONS) -> list[dict[str, Any]]:
    some = candidates(n)
    return [
        {
            "id": key,
            "architecture": one.to_json(),
            "accuracy_top1": 50.0 + 100 / 3 / (place + 1),
            "standard_error": 0.5,
            **vars(conditions),
        }
        for place, (key, one) in enumerate(zip(some.ids, some.unpack(), strict=True))
    ]


def written(path: Path, n: int, conditions: Conditions = CONDITIONS) -> Path:
    with Results(path, conditions) as results:
        for row in rows(n, conditions):
            results.add(row)
    return path


def reopened(path: Path, conditions: Conditions = CONDITIONS) -> dict[str, dict[str, Any]]:
    with Results(path, conditions) as results:
        return results.known


def refused(path: Path, conditions: Conditions = CONDITIONS) -> str:
    before = path.read_bytes()
    with pytest.raises(InputError) as caught:
        Results(path, conditions)
    assert path.read_bytes() == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    path = written(tmp_path / "new" / "results.csv", 3)
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    assert list(reopened(path).values()) == rows(3)


def test_fit_takes_the_file(tmp_path: Path) -> None:
    taken = read_measurements(written(tmp_path / "results.csv", 5), SPACE, "accuracy_top1")
    assert taken.candidates.ids == candidates(5).ids
    assert taken.values.tolist() == [row["accuracy_top1"] for row in rows(5)]


def test_a_row_is_appended_and_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand rows: what is there is never written again."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    path = tmp_path / "results.csv"
    [row] = rows(1)
    many = [{**row, "id": f"{number:010x}"} for number in range(10_000)]
    with Results(path, CONDITIONS) as results:
        for one in many:
            results.add(one)
    assert len(synced) == 1 + len(many)
    assert np.ptp(np.diff(synced)) == 0
    assert synced[-1] == path.stat().st_size
    assert list(reopened(path).values()) == many


def test_a_candidate_is_never_there_twice(tmp_path: Path) -> None:
    path = written(tmp_path / "results.csv", 2)
    before = path.read_bytes()
    written(path, 2)
    assert path.read_bytes() == before
    path.write_bytes(before + before.splitlines(keepends=True)[2])
    assert f"line 4 repeats line 3: candidate {rows(2)[1]['id']}" in refused(path)


@pytest.mark.parametrize("lost", [1, 2, 40, 200])
def test_a_torn_last_line_is_dropped(tmp_path: Path, lost: int) -> None:
    path = written(tmp_path / "results.csv", 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    assert list(reopened(path).values()) == rows(2)
    written(path, 3)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("kept", [0, 1, 10, len(",".join(COLUMNS)) + 1])
def test_a_torn_header_is_written_again(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "results.csv"
    whole = written(path, 1).read_bytes()
    path.write_bytes(whole[:kept])
    assert written(path, 1).read_bytes() == whole


@pytest.mark.parametrize(
    "content", [b"hello", b"hello\n", b"id,architecture\r\n", b"\xff\xfe\r\n", b"architecture,latency_ms\n{}"]
)
def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "results.csv"
    path.write_bytes(content)
    assert "name another" in refused(path)


@pytest.mark.parametrize(("old", "new"), [("validate", "validate,1"), ("500\r\n", "many\r\n"), ("{", "[")])
def test_a_damaged_line_is_named(tmp_path: Path, old: str, new: str) -> None:
    path = written(tmp_path / "results.csv", 2)
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode(), 1))
    assert "line 2: not a result" in refused(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"supernet": "c" * 16}, f"digest {'a' * 16}, not {'c' * 16}; name another file"),
        ({"data": "c" * 16}, f"fingerprint {'b' * 16}, not {'c' * 16}; name another file"),
        ({"calibrate_images": 50}, "recalibrated on 500 images, not 50; give --calibrate-images 500"),
        ({"n": 10}, "accuracy on 100 images, not 10; give --images 100"),
    ],
)
def test_results_of_other_conditions_are_not_mixed(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = written(tmp_path / "results.csv", 1)
    assert said in refused(path, replace(CONDITIONS, **change))


def test_splits_are_kept_apart(tmp_path: Path) -> None:
    path = written(tmp_path / "results.csv", 2)
    test = replace(CONDITIONS, split="test", n=70)
    assert reopened(path, test) == {}
    written(path, 2, test)
    assert list(reopened(path).values()) == rows(2)
    assert list(reopened(path, test).values()) == rows(2, test)


def test_two_do_not_write_at_once(tmp_path: Path) -> None:
    path = written(tmp_path / "results.csv", 1)
    with Results(path, CONDITIONS):
        assert "is being written by another process" in refused(path)
    reopened(path)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "results.csv", 2)
    before, write = path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda handle, line: write(handle, line[:30]))
    with Results(path, CONDITIONS) as results, pytest.raises(InputError, match="No space left"):
        results.add(rows(3)[2])
    assert path.read_bytes() == before


def test_what_cannot_be_a_file_of_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "results.csv", Path("/dev/zero")):
        with pytest.raises(InputError, match="name another file with -o"):
            Results(path, CONDITIONS)


# Evaluating into a file


class Counting:
    """Workers and evaluator in one, which remember what they were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fail_at: int | None = None

    def evaluations(self, evaluator: object, some: Candidates, split: str) -> Iterator[Evaluation]:
        for key in reversed(some.ids):
            if len(self.asked) == self.fail_at:
                raise KeyboardInterrupt
            self.asked.append(key)
            yield Evaluation.of(key, int(key, 16) % 100, 100, split)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setattr(Conditions, "of", staticmethod(lambda *_: CONDITIONS))

    def ask(evaluator: object, some: Candidates, split: str, workers: Counting) -> Iterator[Evaluation]:
        yield from workers.evaluations(evaluator, some, split)

    monkeypatch.setattr("hwnas.supernet.evaluate_many", ask)
    return Counting()


def into(path: Path | None, some: Candidates, workers: Any) -> list[dict[str, Any]]:
    return evaluate_into(path, None, some, "validate", workers, Silent())  # type: ignore[arg-type]


def test_only_what_is_missing_is_evaluated_and_all_is_returned_in_order(
    tmp_path: Path, counting: Counting
) -> None:
    path, some = tmp_path / "results.csv", candidates(5)
    twice = some[[0, 1, 2, 3, 4, 1]]
    counting.fail_at = 2
    with pytest.raises(KeyboardInterrupt):
        into(path, twice, counting)
    assert list(reopened(path)) == [some.ids[4], some.ids[3]]
    counting.fail_at = None
    results = into(path, twice, counting)
    assert [row["id"] for row in results] == twice.ids
    assert sorted(counting.asked) == sorted(some.ids)
    assert results == into(None, twice, counting)
    assert len(reopened(path)) == 5
