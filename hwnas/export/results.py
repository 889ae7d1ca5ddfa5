"""CSV of evaluated subnets: what `hwnas evaluate` writes, adds to, and predictors are fitted on."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hwnas.errors import InputError
from hwnas.files import MAX_JSON_BYTES, parse_json, read_bytes
from hwnas.line_file import LineFile
from hwnas.progress import Progress, keep_each
from hwnas.spaces import Candidates

if TYPE_CHECKING:
    from hwnas.supernet import Evaluation, Evaluator, Workers

COLUMNS = (
    "id",
    "architecture",
    "accuracy_top1",
    "standard_error",
    "n",
    "split",
    "supernet",
    "data",
    "calibrate_images",
)
_HEADER = (",".join(COLUMNS) + "\r\n").encode()


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What accuracies depend on beside the candidate: what the last columns of a file say.

    Attributes:
        n: number of images of the split.
        split: by name; a file may hold several.
        supernet: its digest.
        data: the fingerprint of the data set.
        calibrate_images: how many set the statistics.
    """

    n: int
    split: str
    supernet: str
    data: str
    calibrate_images: int

    @staticmethod
    def of(evaluator: "Evaluator", split: str) -> "Conditions":
        """Returns the conditions in which an evaluator works."""
        return Conditions(
            n=evaluator.num_images(split),
            split=split,
            supernet=evaluator.supernet.digest(),
            data=evaluator.dataset.fingerprint,
            calibrate_images=evaluator.settings.calibrate_images,
        )


class Results:
    """A CSV file of results, open for adding rows of one split, closed to any other writer.

    A row is appended and on the disk before `add` returns; a last line torn by a kill is dropped
    when the file is opened again.

    Attributes:
        known: rows of the split by candidate id.
    """

    def __init__(self, path: Path, conditions: Conditions) -> None:
        """Opens or makes the file.

        Raises:
            InputError: the file is no CSV of these columns, a row cannot be read, is there twice or
                was made in other conditions, or another process is writing.
        """
        self._path, self._conditions = path, conditions
        if path.exists() and not path.is_file():
            raise InputError(f"results go to a file, but {path} is none; name another file with -o")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = LineFile(path)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._lock()
            rows, size = _read(path)
            self.known = self._checked(rows)
            self._file.cut(size)
            if size == 0:
                self._file.append(_HEADER)
        except OSError as error:
            self._file.close()
            raise self._unwritable(error) from error
        except InputError:
            self._file.close()
            raise

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row; one whose candidate is there already is left out.

        Raises:
            InputError: the file cannot be written.
        """
        if row["id"] in self.known:
            return
        out = io.StringIO()
        csv.DictWriter(out, COLUMNS).writerow({**row, "architecture": json.dumps(row["architecture"])})
        try:
            self._file.append(out.getvalue().encode())
        except OSError as error:
            raise self._unwritable(error) from error
        self.known[row["id"]] = dict(row)

    def close(self) -> None:
        """Closes the file to this and opens it to other processes."""
        self._file.close()

    def __enter__(self) -> "Results":
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self.close()

    def _lock(self) -> None:
        try:
            self._file.lock()
        except BlockingIOError:
            raise InputError(
                f"{self._path} is being written by another process; wait for it, or name another file with -o"
            ) from None

    def _checked(self, rows: "dict[int, dict[str, Any]]") -> dict[str, dict[str, Any]]:
        """Returns the rows of the split by candidate; all rows must be of our conditions."""
        wanted = asdict(self._conditions)
        known: dict[tuple[str, str], int] = {}
        for line, row in rows.items():
            where = f"{self._path} line {line}"
            for name, difference in _DIFFERENCES.items():
                if row[name] != wanted[name] and (name != "n" or row["split"] == wanted["split"]):
                    raise InputError(f"{where} {difference.format(row[name], wanted[name])} with -o")
            if (row["id"], row["split"]) in known:
                raise InputError(
                    f"{where} repeats line {known[row['id'], row['split']]}: candidate {row['id']} on "
                    f"{row['split']}; remove one of the two"
                )
            known[row["id"], row["split"]] = line
        return {row["id"]: row for row in rows.values() if row["split"] == wanted["split"]}

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"cannot write results to {self._path}: {error.strerror or error}; name another file with -o"
        )


_DIFFERENCES = {
    "supernet": "must be of this supernet, but is of one with the digest {}, not {}; name another file",
    "data": "must be of these data, but is of data with the fingerprint {}, not {}; name another file",
    "calibrate_images": "is recalibrated on {0} images, not {1}; give --calibrate-images {0} or another file",
    "n": "is an accuracy on {0} images, not {1}; give --images {0} or another file",
}


def evaluate_into(
    path: Path | None,
    evaluator: "Evaluator",
    candidates: Candidates,
    split: str,
    workers: "Workers",
    progress: Progress,
) -> list[dict[str, Any]]:
    """Returns one row a candidate, in order; those that the file holds already are taken from it.

    Each row is in the file as soon as it is known, in the order they become known.

    Args:
        path: a CSV file, made where it is not there; None keeps nothing.
        evaluator: of the supernet and its data.
        candidates: repeated ones are evaluated once.
        split: `validate` or `test`.
        workers: where they are evaluated.
        progress: hears how many are done.

    Raises:
        InputError: as `Results` and `evaluate_many`.
        HwnasError: as `evaluate_many`.
    """
    from hwnas.supernet import evaluate_many

    conditions = Conditions.of(evaluator, split)
    results = None if path is None else Results(path, conditions)
    try:
        known = {} if results is None else dict(results.known)
        distinct = candidates[candidates.first_of_each()]
        fresh = distinct[[row for row, key in enumerate(distinct.ids) if key not in known]]
        architectures = dict(zip(fresh.ids, fresh.unpack(), strict=True))
        total = len(distinct)
        had = len(known) + len(fresh) - total
        progress.step("evaluate", len(known) - had, total)

        def keep(one: "Evaluation") -> None:
            known[one.id] = {
                "id": one.id,
                "architecture": architectures[one.id].to_json(),
                "accuracy_top1": one.accuracy_top1,
                "standard_error": one.standard_error,
                **asdict(conditions),
            }
            if results is not None:
                results.add(known[one.id])
            progress.step("evaluate", len(known) - had, total)

        keep_each(evaluate_many(evaluator, fresh, split, workers), keep)
    finally:
        if results is not None:
            results.close()
    return [known[key] for key in candidates.ids]


def _read(path: Path) -> tuple[dict[int, dict[str, Any]], int]:
    """Returns the rows of a file by line number, and how many of its bytes are whole lines."""
    content = read_bytes(path, "results", MAX_JSON_BYTES)
    size = content.rfind(b"\n") + 1
    if size == 0 and _HEADER.startswith(content):
        return {}, 0
    rows = {}
    try:
        reader = csv.reader(io.StringIO(content[:size].decode(), newline=""), strict=True)
        if tuple(next(reader, ())) != COLUMNS:
            raise InputError(
                f"{path} must be a CSV with the columns {','.join(COLUMNS)}, as this version writes it; "
                "name another file with -o"
            )
        for cells in reader:
            if cells:
                rows[reader.line_num] = _row(cells, f"{path} line {reader.line_num}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read results from {path}: {error}; name another file with -o") from error
    return rows, size


def _row(cells: list[str], where: str) -> dict[str, Any]:
    try:
        row = dict(zip(COLUMNS, cells, strict=True))
        return {
            **row,
            "architecture": parse_json(row["architecture"]),
            "accuracy_top1": _figure(row["accuracy_top1"]),
            "standard_error": _figure(row["standard_error"]),
            "n": int(row["n"]),
            "calibrate_images": int(row["calibrate_images"]),
        }
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where}: not a result: {error}; restore the file or name another with -o"
        ) from error


def _figure(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:  # NaN is neither
        raise ValueError(f"{text[:40]!r} is no percentage")
    return value
