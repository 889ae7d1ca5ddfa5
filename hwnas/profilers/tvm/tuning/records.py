"""The tuner's database on disk: read without TVM, mended after a kill."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import InputError

WORKLOADS = "database_workload.json"
RECORDS = "database_tuning_record.json"
# What the tuner writes for a candidate that failed.
FAILED_S = 1e10
# A hundred thousand trials fill a tenth of it.
_MOST_BYTES = 2**30


@dataclass
class KernelRecord:
    """What the tuner knows of one workload.

    Attributes:
        trials: candidates tried, failed ones and repetitions included.
        best_us: mean time of the best one, the last where it was timed again; infinity where none ran.
        line: its record as the database wrote it.
    """

    trials: int = 0
    best_us: float = float("inf")
    line: Any = field(default=None, repr=False)


def mend(work: Path) -> None:
    """Drops a torn last line from each database file, which a kill in the middle of writing leaves."""
    for name in (WORKLOADS, RECORDS):
        path = work / name
        if path.exists():
            text = files.read_text(path, "database of the tuner", _MOST_BYTES)
            whole = "".join(line for line in text.splitlines(keepends=True) if _is_whole(line))
            if whole != text:
                files.write_text(path, whole)


def read_records(work: Path) -> dict[str, KernelRecord]:
    """Returns what is known of each workload, by the workload's structural hash as TVM writes it.

    Raises:
        InputError: a file there is not what the tuner writes.
    """
    try:
        return _records(work)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError(
            f"the database of the tuner in {work} is damaged ({type(error).__name__}: {error}); "
            "delete the folder to tune anew"
        ) from error


def _records(work: Path) -> dict[str, KernelRecord]:
    hashes = [str(row[0]) for row in _rows(work / WORKLOADS)]
    known = {name: KernelRecord() for name in hashes}
    last: dict[tuple[str, str], tuple[float, Any]] = {}
    for row in _rows(work / RECORDS):
        workload, (trace, times_s, *_) = row
        name = hashes[workload]
        known[name].trials += 1
        if times_s and max(times_s) < FAILED_S / 2:
            last[name, json.dumps(trace)] = sum(times_s) / len(times_s) * 1e6, row
    for (name, _), (mean_us, row) in last.items():
        if mean_us < known[name].best_us:
            known[name].best_us, known[name].line = mean_us, row
    return known


def _rows(path: Path) -> Iterator[Any]:
    if path.exists():
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                yield files.parse_json(line)


def _is_whole(line: str) -> bool:
    if not line.endswith("\n"):
        return False
    try:
        files.parse_json(line)
    except ValueError:
        return False
    return True
