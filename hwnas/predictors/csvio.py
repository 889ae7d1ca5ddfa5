"""Measurements made elsewhere: a CSV with a column `architecture` and one column a metric."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnas.errors import InputError, unknown_name
from hwnas.files import parse_json, read_bytes
from hwnas.predictors.features import Floats
from hwnas.spaces import Candidates, Space

ARCHITECTURE = "architecture"
# A device each; more are no table of measurements.
_MOST_COLUMNS = 10_000
_MOST_BYTES = 128 * 2**20
_TOGETHER = 1024


@dataclass(frozen=True, eq=False)
class Measurements:
    """Candidates with the measured values [n] of one metric, in the file's order."""

    candidates: Candidates
    values: Floats


def metric_columns(path: Path) -> list[str]:
    """Returns the names of all columns of a file but `architecture`; errors as `read_measurements`."""
    return [name for name in _header(next(_rows(path))[1], path) if name != ARCHITECTURE]


def read_measurements(path: Path, space: Space, metric: str = "latency_ms") -> Measurements:
    """Returns what a CSV file says of one metric.

    The first line names the columns. `architecture` holds JSON, `bits` included where layers are
    quantized; the metric's column holds numbers, finite and at least 0, or nothing where a
    candidate was not measured: such rows are left out. Other columns are not read.

    Args:
        path: the file, UTF-8.
        space: the space of the architectures.
        metric: the column's name, such as `latency_ms` or `latency_ms:DEVICE`.

    Raises:
        InputError: the file cannot be read, a column is missing or named twice, or a line is not
            right; the message names the line.
    """
    rows = _rows(path)
    header = _header(next(rows)[1], path)
    if metric not in header or metric == ARCHITECTURE:
        raise unknown_name(f"metric in {path}", metric, [name for name in header if name != ARCHITECTURE])
    at, value_at = header.index(ARCHITECTURE), header.index(metric)
    whole: list[Candidates] = []
    parts, values = [], []
    for line, row in rows:
        where = f"{path}, line {line}"
        if len(row) != len(header):
            raise InputError(f"{where}: must have {len(header)} columns like the header, but got {len(row)}")
        if row[value_at].strip():
            values.append(_number(row[value_at], f"{where}: {metric}"))
            parts.append(_candidate(row[at], space, where))
            if len(parts) == _TOGETHER:  # a candidate by itself takes ten times its share of many
                whole.append(Candidates.concatenate(parts))
                parts = []
    if not values:
        raise InputError(f"{path} holds no measurement of {metric}; it needs at least one line with a value")
    return Measurements(Candidates.concatenate([*whole, *parts]), np.array(values))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields line numbers with cells, the header first; there is at least one."""
    line, empty = 1, True
    content = io.BytesIO(read_bytes(path, "measurements", _MOST_BYTES))
    reader = csv.reader(io.TextIOWrapper(content, encoding="utf-8-sig", newline=""), strict=True)
    try:
        for row in reader:
            if row:
                empty = False
                yield line, row
            line = reader.line_num + 1
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}, line {line}: not CSV in UTF-8 ({error})") from error
    if empty:
        raise InputError(
            f"{path} is empty; its first line must name the columns, one of them '{ARCHITECTURE}'"
        )


def _header(row: list[str], path: Path) -> list[str]:
    header = [name.strip() for name in row]
    if len(header) > _MOST_COLUMNS:
        raise InputError(f"{path} must have at most {_MOST_COLUMNS:,} columns, but has {len(header):,}")
    twice = sorted(name for name, times in Counter(header).items() if times > 1)
    if twice:
        raise InputError(f"{path}: columns must differ, but '{twice[0]}' is there twice")
    if ARCHITECTURE not in header:
        raise InputError(
            f"{path} must have a column '{ARCHITECTURE}', but its columns are: {', '.join(header)}"
        )
    return header


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{where} must be a number, but got '{text}'") from None
    if not math.isfinite(value) or value < 0:
        raise InputError(
            f"{where} must be finite and not negative, but got '{text}'; leave the cell empty instead"
        )
    return value


def _candidate(text: str, space: Space, where: str) -> Candidates:
    try:
        fields = parse_json(text)
    except ValueError as error:
        raise InputError(f"{where}: architecture is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise InputError(f"{where}: architecture must be a JSON object, but got {type(fields).__name__}")
    try:
        return Candidates.of_json(space, [fields])
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
