"""CSV of evaluated subnets: what `hwnas evaluate` writes, adds to, and predictors are fitted on."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.errors import InputError
from hwnas.files import write_text

COLUMNS = ("id", "architecture", "accuracy_top1", "standard_error", "n", "split")


class Results:
    """The rows of a CSV file by candidate, on one split; each addition rewrites it whole.

    Attributes:
        known: rows of the split by candidate id.
    """

    def __init__(self, path: Path, split: str) -> None:
        """Reads what the file holds, if there is one.

        Raises:
            InputError: the file is no CSV of these columns, or a row cannot be read.
        """
        self._path, self._split = path, split
        self._rows = _read(path) if path.exists() else []
        self.known = {row["id"]: row for row in self._rows if row["split"] == split}

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row; it is on the disk when this returns.

        Raises:
            InputError: the file cannot be written.
        """
        self._rows.append(dict(row))
        self.known[row["id"]] = dict(row)
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        for one in self._rows:
            writer.writerow({**one, "architecture": json.dumps(one["architecture"])})
        write_text(self._path, out.getvalue())


def _read(path: Path) -> list[dict[str, Any]]:
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise InputError(
                    f"{path} must be a CSV with the columns {','.join(COLUMNS)}; name another file with -o"
                )
            for number, row in enumerate(reader, 2):
                rows.append(_row(row, f"{path} line {number}"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read results from {path}: {error}") from error
    return rows


def _row(row: Mapping[str, str], where: str) -> dict[str, Any]:
    try:
        return {
            "id": row["id"],
            "architecture": json.loads(row["architecture"]),
            "accuracy_top1": float(row["accuracy_top1"]),
            "standard_error": float(row["standard_error"]),
            "n": int(row["n"]),
            "split": row["split"],
        }
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where}: not a result: {error}; restore the file or name another with -o"
        ) from error
