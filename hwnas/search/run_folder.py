"""The run folder: its configuration, and the journal that a broken run is replayed from."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hwnas.differences import differing
from hwnas.errors import InputError
from hwnas.files import parse_json, read_bytes, read_json, write_json
from hwnas.line_file import LineFile
from hwnas.lock import held

Key = tuple[str, ...]

# A search of days makes some thousands of entries, of a kilobyte each.
_MOST_BYTES, _MOST_ENTRIES = 2**28, 500_000
_FIGURES = ("accuracy_top1", "standard_error", "value", "n")


class Journal:
    """An append-only list of truths: what was evaluated and measured, by key.

    Each line is one JSON object with a `key`; a line is flushed to the disk before `add` returns,
    and a last line torn by a kill is dropped when the journal is opened again.
    """

    def __init__(self, path: Path) -> None:
        """Opens or creates the journal.

        Raises:
            InputError: a line before the last is not one of ours, or the file cannot be written.
        """
        self._path = path
        self._entries: dict[Key, dict[str, Any]] = {}
        try:
            whole = self._read() if path.exists() else 0
            self._file = LineFile(path)
            self._file.cut(whole)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}; name another run folder") from error

    def get(self, *key: str) -> dict[str, Any] | None:
        """Returns the entry under a key, or None."""
        return self._entries.get(key)

    def add(self, key: Key, entry: Mapping[str, Any]) -> None:
        """Appends an entry; it is on the disk when this returns.

        Raises:
            InputError: the disk is full, or the file was removed meanwhile.
        """
        line = json.dumps({"key": list(key), **entry}, allow_nan=False)
        try:
            self._file.append(line.encode() + b"\n")
        except OSError as error:
            raise InputError(
                f"cannot write {self._path}: {error.strerror}; mend that and repeat the command, which goes "
                "on from what the file holds"
            ) from error
        self._entries[key] = dict(entry)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._entries)

    def _read(self) -> int:
        whole = 0
        content = io.BytesIO(read_bytes(self._path, "journal", _MOST_BYTES))
        for number, line in enumerate(content, 1):
            if number > _MOST_ENTRIES:
                raise InputError(
                    f"{self._path} must hold at most {_MOST_ENTRIES:,} entries; name a new folder"
                )
            try:
                entry = parse_json(line)
                key = tuple(str(part) for part in entry.pop("key"))
                if not all(isinstance(entry.get(name, 0), int | float) for name in _FIGURES):
                    raise ValueError
            except (ValueError, KeyError, TypeError, AttributeError):
                if line.endswith(b"\n"):
                    raise InputError(
                        f"{self._path}: line {number} is not a journal entry; restore it or name a new folder"
                    ) from None
                break
            if not line.endswith(b"\n"):
                break
            self._entries[key] = entry
            whole += len(line)
        return whole


@contextmanager
def run_folder(path: Path, config: Mapping[str, Any]) -> Iterator[Journal]:
    """Yields the journal of a run folder, made new or resumed, locked against a second process.

    Args:
        path: the folder; made where it is not there.
        config: what the run depends on; written to `config.json`, and equal to it on resuming.

    Raises:
        InputError: the folder cannot be written, holds another run, or is in use.
    """
    with locked_folder(path):
        _settle_config(path / "config.json", config)
        journal = Journal(path / "journal.jsonl")
        try:
            yield journal
        finally:
            journal.close()


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Makes a folder where it is not there, and holds it against a second process.

    Raises:
        InputError: the folder cannot be written, or is in use.
    """
    with ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(path / ".lock"))
        except BlockingIOError:
            raise InputError(
                f"run folder {path} is in use by another process; wait for it or name another"
            ) from None
        except OSError as error:
            raise InputError(
                f"cannot write run folder {path}: {error.strerror}; name another with -o FOLDER"
            ) from error
        yield


def _settle_config(path: Path, config: Mapping[str, Any]) -> None:
    wanted = json.loads(json.dumps(config))
    if not path.exists():
        if (path.parent / "journal.jsonl").exists():
            raise InputError(
                f"{path} is missing beside a journal; restore it or name a new run folder with -o"
            )
        write_json(path, wanted)
        return
    found = read_json(path, "run configuration")
    if found == wanted:
        return
    differ = differing(found, wanted) if isinstance(found, dict) else ["everything"]
    raise InputError(
        f"run folder {path.parent} holds another run (different: {', '.join(differ)}); "
        "repeat its settings to resume it, or name a new folder with -o"
    )
