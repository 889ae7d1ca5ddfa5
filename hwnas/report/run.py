"""The files of a run folder, read and checked."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from hwnas.errors import InputError
from hwnas.files import MAX_JSON_BYTES, read_bytes, read_json
from hwnas.report.forms import LARGE, Baseline, Convergence, Front, Scored

# Short rows are filled up to the header: with a million columns they would fill the memory.
_MOST_COLUMNS, _MOST_ROWS = 100, 100_000

ParsedModel = TypeVar("ParsedModel")


@dataclass(frozen=True)
class Run:
    """Everything that the report needs of a run folder."""

    folder: Path
    front: Front
    convergence: tuple[Convergence, ...]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    baselines: Mapping[str, Baseline]
    predictors: Mapping[str, Scored]


def read_run(folder: Path) -> Run:
    """Returns the run in a folder.

    Raises:
        InputError: the folder or one of its files is missing, or is not what a search writes.
    """
    if not folder.is_dir():
        raise InputError(f"run folder {folder} must be a folder that `hwnas search` wrote, but there is none")
    baselines, predictors = folder / "baselines.json", folder / "predictors.json"
    return Run(
        folder=folder,
        front=_parsed(folder / "front.json", Front),
        convergence=_convergence(folder / "convergence.csv"),
        config=_parsed(folder / "config.json", dict[str, Any]),
        environment=_parsed(folder / "environment.json", dict[str, Any]),
        baselines=_parsed(baselines, dict[str, Baseline]) if baselines.exists() else {},
        predictors=_parsed(predictors, dict[str, Scored]) if predictors.exists() else {},
    )


def _parsed(path: Path, form: type[ParsedModel]) -> ParsedModel:
    value = read_json(path, "run file")
    try:
        return TypeAdapter(form).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"run file {path} must be as `hwnas search` writes it, but at {where}: {first['msg']}; "
            "run the search again with this folder"
        ) from error


def _convergence(path: Path) -> tuple[Convergence, ...]:
    content = io.BytesIO(read_bytes(path, "run file", MAX_JSON_BYTES))
    rows: list[dict[str, str | None]] = []
    try:
        reader = csv.DictReader(io.TextIOWrapper(content, encoding="utf-8", newline=""))
        if len(reader.fieldnames or ()) > _MOST_COLUMNS:
            raise csv.Error(f"it has {len(reader.fieldnames or ()):,} columns")
        for row in reader:
            if len(rows) == _MOST_ROWS:
                raise csv.Error(f"it has more than {_MOST_ROWS:,} rows")
            rows.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"run file {path} is not a CSV file: {error}") from error
    return tuple(_convergence_row(path, number, row) for number, row in enumerate(rows, 2))


def _convergence_row(path: Path, number: int, row: Mapping[str, str | None]) -> Convergence:
    try:
        hypervolume = float(row["hypervolume"] or "")
        evaluations = int(row["evaluations"] or "")
        if not (math.isfinite(hypervolume) and max(abs(hypervolume), abs(evaluations)) < LARGE):
            raise ValueError
        return Convergence(
            evaluations=evaluations,
            hypervolume=hypervolume,
            stage=row.get("stage") or "measured",
            device=row.get("device") or "",
            round=int(row.get("round") or 0),
            generation=int(row.get("generation") or 0),
        )
    except (KeyError, ValueError) as error:
        raise InputError(
            f"run file {path}: line {number} must have a whole number of evaluations and a finite "
            "hypervolume; run the search again with this folder"
        ) from error
