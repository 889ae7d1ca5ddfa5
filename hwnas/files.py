"""Files that are never torn: written beside their place, flushed, then renamed over it.

And read without trusting them: so many bytes at most, and JSON of figures that are finite.
"""

import codecs
import errno
import fcntl
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hwnas.errors import HwnasError, InputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Value = TypeVar("Value")

# No file of ours that is read whole comes near it; one that does would only fill the memory.
MAX_FILE_BYTES = 256 * 2**20
# A JSON value of three characters takes up to 72 bytes of memory, so that a file of this size takes 0.8 GiB.
MAX_JSON_BYTES = 32 * 2**20
_BLOCK_BYTES = 2**22
# More room than a library that failed for want of it may have left free.
_PROBE_BYTES = 2**18
# How names of temporary folders begin, and how those of all that is temporary end.
_FOLDER, _ENDING = "hwnas-", ".tmp"
# Where a number may be too large for 64 bits; most texts have none, and are read faster for it.
_LARGE = re.compile(r"[eE]\+?[0-9]{3}|[0-9]{19}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it takes the place of `path` at once.

    What writers of the same path that were killed left behind is removed.

    Raises:
        InputError: the folder cannot be made or written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_left(path.parent, f".{path.name}.")
        handle, temporary = _locked_temporary(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes 0600; others read results too
        temporary.replace(path)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        raise _unwritable(path, error) from error
    except Exception as error:
        # Libraries that write in C say that something is wrong, not that the disk is full.
        reason = None if isinstance(error, HwnasError) else _refuses(handle)
        if reason is None:
            raise
        raise _unwritable(path, reason) from error
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yields a new folder among the system's temporary ones, which is gone afterwards.

    Those of processes that were killed are removed too.
    """
    with suppress(OSError):
        _clear_left(Path(tempfile.gettempdir()), _FOLDER)
    while True:
        path = Path(tempfile.mkdtemp(prefix=_FOLDER, suffix=_ENDING))
        with suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            if _holds(handle):
                break
            os.close(handle)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def _locked_temporary(path: Path) -> tuple[int, Path]:
    """Makes a file beside `path`, locked as long as the handle is open, which says that its writer lives."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_ENDING, dir=path.parent)
        if _holds(handle):
            return handle, Path(name)
        os.close(handle)


def _refuses(handle: int) -> OSError | None:
    """Returns why the disk takes no more of a file; None if it does."""
    try:
        os.lseek(handle, 0, os.SEEK_END)
        os.write(handle, bytes(_PROBE_BYTES))
        os.fsync(handle)
    except OSError as error:
        return error
    return None


def _holds(handle: int) -> bool:
    """Locks what was just made; returns whether it is still there: others may have cleared it before."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # not every file system has locks; nothing is cleared there
        pass
    return os.fstat(handle).st_nlink > 0


def _clear_left(folder: Path, prefix: str) -> None:
    """Removes temporary files and folders of one prefix whose makers are gone."""
    with os.scandir(folder) as entries:
        left = [one.name for one in entries if one.name.startswith(prefix) and one.name.endswith(_ENDING)]
    for one in (folder / name for name in left):
        with suppress(OSError):
            if one.lstat().st_uid != os.getuid():
                continue
            # Neither a link nor a pipe, which somebody else may have put there.
            handle = os.open(one, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(one) if one.is_dir() else one.unlink()
            finally:
                os.close(handle)


def _unwritable(path: Path, error: OSError) -> InputError:
    advice = (
        "make room and repeat the command"
        if error.errno in (errno.ENOSPC, errno.EDQUOT)
        else "name a folder that can be written to"
    )
    return InputError(f"cannot write {path}: {error.strerror or error}; {advice}")


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_bytes(path: Path, what: str, most_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Returns the content of a file, which may be a pipe.

    Args:
        path: the file.
        what: what it is, for messages.
        most_bytes: a file of more is refused.

    Raises:
        InputError: it is missing, cannot be read, or is larger.
    """
    try:
        with open(path, "rb") as file:
            # At once, room for the most would be taken before the first byte is there.
            content = bytearray()
            while len(content) <= most_bytes and (block := file.read(_BLOCK_BYTES)):
                content += block
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        says = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"cannot read {what} {path}: {says or error}") from error
    if len(content) > most_bytes:
        raise InputError(f"{what} {path} must be at most {most_bytes} bytes; is it the right file?")
    return bytes(content)


def read_text(path: Path, what: str, most_bytes: int = MAX_FILE_BYTES) -> str:
    """Returns the text of a UTF-8 file, a byte order mark left out; errors as `read_bytes`.

    Raises:
        InputError: also where it is not UTF-8; the message names the line.
    """
    content = read_bytes(path, what, most_bytes).removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{what} {path} line {line} is not UTF-8 text; is it the right file?") from error


def parse_json(text: str | bytes) -> Any:
    """Returns the value of a JSON text, none of whose numbers is NaN, infinite or above 64 bits.

    Raises:
        ValueError: not such JSON, longer than `MAX_JSON_BYTES`, nested too deeply, or with half a
            character (a lone surrogate), which no file could be written with.
    """
    if len(text) > MAX_JSON_BYTES:
        raise ValueError(f"it is longer than {MAX_JSON_BYTES} characters")
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    large = _LARGE.search(text) is not None
    try:
        value = json.loads(
            text,
            parse_constant=_refused_constant,
            parse_float=_finite if large else None,
            parse_int=_whole if large else None,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def checked(form: type[Value], value: Any) -> Value:
    """Returns a parsed JSON value as a dataclass of ours; fields that it does not know are left out.

    Raises:
        ValueError: a field is missing or of another type; the message names it.
    """
    from pydantic import ValidationError

    adapter: TypeAdapter[Value] = _adapter(cast(Hashable, form))
    try:
        # As JSON, a list serves for a tuple and yet a word does not for a number.
        return adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or form.__name__
        raise ValueError(f"{place[:80]}: {first['msg']}") from None


@cache
def _adapter(form: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(form)


def json_object(text: str, where: str) -> dict[str, Any]:
    """Returns the JSON object that a text holds.

    Raises:
        InputError: not JSON, or not an object; `where` says whose text it is.
    """
    try:
        value = parse_json(text)
    except ValueError as error:
        raise InputError(f"{where} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a JSON object, but got {type(value).__name__}")
    return value


def read_json(path: Path, what: str) -> Any:
    """Returns the parsed JSON of a file.

    Raises:
        InputError: the file is missing, too large, not UTF-8, or not JSON as `parse_json` takes it;
            `what` names it in the message.
    """
    try:
        return parse_json(read_bytes(path, what, MAX_JSON_BYTES))
    except ValueError as error:
        raise InputError(f"{what} {path} is not valid JSON: {error}") from error


def _refused_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (value := int(text)) < 2**64:
        raise ValueError(f"{text[:40]} is too large")
    return value
