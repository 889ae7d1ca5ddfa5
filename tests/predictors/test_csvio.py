import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import metric_columns, read_measurements
from hwnas.spaces import Space
from tests.predictors.truth import drawn


def _written(
    path: Path, rows: list[list[str]], header: tuple[str, ...] = ("architecture", "latency_ms")
) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def _json(space: Space) -> str:
    return json.dumps(space.smallest().to_json())


def test_reads_candidates_with_bits_and_values_in_order(demo: Space, tmp_path: Path) -> None:
    candidates = drawn(demo, 5, 0, mixed=True)
    texts = [json.dumps(one.to_json()) for one in candidates.unpack()]
    header = ("latency_ms:b", "architecture", "latency_ms:a", "note")
    path = _written(tmp_path / "x.csv", [[f"{i}.5", text, "1", "-"] for i, text in enumerate(texts)], header)
    got = read_measurements(path, demo, "latency_ms:b")
    assert got.candidates.ids == candidates.ids
    np.testing.assert_array_equal(got.values, [0.5, 1.5, 2.5, 3.5, 4.5])
    assert metric_columns(path) == ["latency_ms:b", "latency_ms:a", "note"]


def test_lines_without_a_value_are_left_out(demo: Space, tmp_path: Path) -> None:
    path = _written(tmp_path / "x.csv", [[_json(demo), ""], [_json(demo), "2"], []])
    assert read_measurements(path, demo).values.tolist() == [2.0]


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1ms"])
def test_a_value_that_is_no_measurement_names_its_line(demo: Space, tmp_path: Path, value: str) -> None:
    path = _written(tmp_path / "x.csv", [[_json(demo), "1"], [_json(demo), value]])
    with pytest.raises(InputError, match=r"line 3: latency_ms must be"):
        read_measurements(path, demo)


@pytest.mark.parametrize("text", ["{", "[1]", '{"space": "demo"}', "null", "[" * 100_000])
def test_an_architecture_that_is_none_names_its_line(demo: Space, tmp_path: Path, text: str) -> None:
    path = _written(tmp_path / "x.csv", [[_json(demo), "1"], [text, "1"]])
    with pytest.raises(InputError, match="line 3"):
        read_measurements(path, demo)


def test_files_that_are_not_measurements_are_refused(demo: Space, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(InputError, match="cannot read"):
        read_measurements(path, demo)
    for content, words in (
        (b"", "is empty"),
        (b"a,b\n1,2\n", "must have a column 'architecture'"),
        (b"architecture,x,x\n", "twice"),
        (b"architecture,latency\n", "did you mean"),
        (b"architecture,latency_ms\n", "holds no measurement"),
        (b"architecture,latency_ms\n{},1,2\n", "line 2: must have 2 columns"),
        (b"architecture,latency_ms\n\xff\xfe,1\n", "not CSV in UTF-8"),
        (b'architecture,latency_ms\n"{,1\n', "not CSV in UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_measurements(path, demo)


def test_line_numbers_count_lines_inside_quotes(demo: Space, tmp_path: Path) -> None:
    tall = _json(demo).replace(", ", ",\n")
    path = _written(tmp_path / "x.csv", [[tall, "1"], [_json(demo), "x"]])
    line = 3 + tall.count("\n")
    with pytest.raises(InputError, match=f"line {line}:"):
        read_measurements(path, demo)
