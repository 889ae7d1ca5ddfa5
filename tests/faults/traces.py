"""What a place holds: files that must be whole, and truths that must be there once and stay."""

import csv
import io
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import onnx
from safetensors import safe_open

# The last line of these may be torn by a kill; the next start cuts it off.
_GROWING = {".jsonl", ".csv"}
# Of the tuner, whose files are JSON lines too.
_WORKLOADS, _TRIALS = "database_workload.json", "database_tuning_record.json"


def torn(place: Path, *, finished: bool) -> list[str]:
    """Returns the files that cannot be read, and temporary ones that are left.

    Args:
        place: with all that a command writes.
        finished: whether the command completed; right after a kill the last line of a file that
            grows may be torn, and temporary files may be there.
    """
    wrong = []
    for path in sorted(_files(place)):
        if _is_temporary(path):
            wrong += [f"left behind: {path}"] if finished else []
            continue
        try:
            _read(path, finished)
        except Exception as error:
            wrong.append(f"torn: {path}: {type(error).__name__}: {error}"[:300])
    return wrong


def truths(place: Path) -> Counter[str]:
    """Returns what was found out and written down so far, and how often it stands there.

    Rows of stores, of journals and of results, and the tuner's trials.
    """
    found: Counter[str] = Counter()
    for path in _files(place):
        if path.name == "journal.jsonl":
            found.update(f"{path}: {json.loads(line)['key']}" for line in _whole_lines(path))
        elif path.name == "results.csv":
            rows = csv.reader(io.StringIO("\n".join(_whole_lines(path))))
            found.update(f"{path}: {row[0]} {row[5]}" for row in rows)
        elif path.name == _TRIALS:
            found.update(f"{path}: {line}" for line in _whole_lines(path))
        elif path.suffix == ".sqlite":
            found.update(f"{path}: {subject}" for subject in _rows(path))
    return found


def lost(before: Counter[str], after: Counter[str]) -> list[str]:
    """Returns truths that are gone."""
    return [f"lost: {one}" for one in before if one not in after]


def repeated(now: Counter[str]) -> list[str]:
    """Returns truths that were found out more than once."""
    return [f"repeated {count} times: {one}" for one, count in now.items() if count > 1]


def _files(place: Path) -> Iterator[Path]:
    """All files but those that are put aside, which may go while one looks."""
    for part in place.iterdir():
        if part.name != "tmp":
            yield from (path for path in [part, *part.rglob("*")] if path.is_file())


def _read(path: Path, finished: bool) -> None:
    if path.suffix in _GROWING or path.name in (_WORKLOADS, _TRIALS):
        lines = _whole_lines(path)
        if finished and not path.read_bytes().endswith(b"\n"):
            raise ValueError("its last line is torn")
        for line in lines if path.suffix != ".csv" else ():
            json.loads(line)
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".safetensors":
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                file.get_tensor(name)
    elif path.suffix == ".onnx":
        onnx.checker.check_model(onnx.load(path))
    elif path.suffix == ".sqlite":
        _rows(path)
    elif path.suffix == ".checkpoint":
        import torch

        torch.load(path, map_location="cpu", weights_only=True)
    elif path.suffix == ".html" and not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("it has no end")


def _whole_lines(path: Path) -> list[str]:
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1].decode().splitlines()


def _rows(path: Path) -> list[str]:
    """The subjects measured in a store, and once more each that was measured again without need.

    Read from a copy, since opening a store mends it.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for end in ("", "-wal"):
            if (source := path.with_name(path.name + end)).exists():
                shutil.copy(source, copy.with_name(copy.name + end))
        with closing(sqlite3.connect(copy)) as store:
            (state,) = store.execute("PRAGMA quick_check").fetchone()
            if state != "ok":
                raise ValueError(state)
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
            if "measurements" not in tables:
                return []
            query = "SELECT fingerprint || ' ' || subject, verdict FROM measurements ORDER BY id"
            rows = store.execute(query).fetchall()
    seen: dict[str, list[str]] = {}
    for subject, verdict in rows:
        seen.setdefault(subject, []).append(verdict)
    # An unstable measurement is taken once more in the run that took it; any other is a repetition.
    return [
        subject
        for subject, verdicts in seen.items()
        for before in [None, *verdicts[:-1]]
        if before != "unstable" or len(verdicts) > 2
    ]


def _is_temporary(path: Path) -> bool:
    return any(part.endswith(".tmp") for part in path.parts)
