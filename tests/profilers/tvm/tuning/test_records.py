import json
from pathlib import Path

from hwnas.profilers.tvm.tuning.records import RECORDS, WORKLOADS, mend, read_records


def write(work: Path, workloads: list[object], rows: list[object], tail: str = "") -> None:
    work.mkdir(exist_ok=True)
    (work / WORKLOADS).write_text("".join(json.dumps(row) + "\n" for row in workloads))
    (work / RECORDS).write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)


def row(workload: int, *times_s: float, trace: object = None) -> list[object]:
    return [workload, [[trace or [], []], list(times_s), {"kind": "llvm"}, []]]


def test_the_best_schedule_of_each_kernel_is_found(tmp_path: Path) -> None:
    best = row(0, 1e-6, 3e-6, trace=["b"])
    rows = [row(0, 3e-6, trace=["a"]), row(1, 5e-6), best, row(0, 1e10, trace=["c"])]
    write(tmp_path, [["7", ""], ["9", ""]], rows)
    known = read_records(tmp_path)
    assert (known["7"].trials, known["7"].best_us) == (3, 2.0)
    assert known["7"].line == best
    assert (known["9"].trials, known["9"].best_us) == (1, 5.0)


def test_of_a_schedule_timed_again_the_last_time_counts(tmp_path: Path) -> None:
    rows = [row(0, 1e-6, trace=["a"]), row(0, 2e-6, trace=["b"]), row(0, 3e-6, trace=["a"])]
    write(tmp_path, [["7", ""]], rows)
    assert read_records(tmp_path)["7"].line == rows[1]


def test_failed_candidates_count_as_trials_only(tmp_path: Path) -> None:
    write(tmp_path, [["7", ""]], [row(0, 1e10), row(0)])
    assert read_records(tmp_path)["7"].trials == 2
    assert read_records(tmp_path)["7"].line is None


def test_a_line_torn_by_a_kill_is_dropped(tmp_path: Path) -> None:
    write(tmp_path, [["7", ""]], [row(0, 3e-6)], tail=json.dumps(row(0, 1e-6))[:25])
    mend(tmp_path)
    assert read_records(tmp_path)["7"].trials == 1
    assert (tmp_path / RECORDS).read_text() == json.dumps(row(0, 3e-6)) + "\n"


def test_a_whole_database_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, [["7", ""]], [row(0, 3e-6)])
    before = (tmp_path / RECORDS).stat().st_mtime_ns
    mend(tmp_path)
    assert (tmp_path / RECORDS).stat().st_mtime_ns == before


def test_an_empty_folder_knows_nothing(tmp_path: Path) -> None:
    mend(tmp_path)
    assert read_records(tmp_path) == {}
