"""The small part of YAML that space and device files are written in: mappings, lists and plain values.

No tags, anchors or aliases, so that a file cannot make objects or grow when it is read; and each
value keeps its line, so that errors can name it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hwnas.errors import InputError

if TYPE_CHECKING:
    from yaml.events import Event

# Where a value stands: keys and list positions from the root.
Path = tuple[str | int, ...]

_MOST_EVENTS = 20_000
_DEEPEST = 6
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_REAL = re.compile(r"[-+]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][-+]?[0-9]{1,4})?")
_BARE = re.compile(r"[A-Za-z0-9_./]([A-Za-z0-9_./ -]*[A-Za-z0-9_./-])?")
# Zero, which ends names of files, and halves of characters, which no file can be written with.
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


def parse_yaml(
    text: str, where: str, what: str = "space", example: str = "hwnas spaces demo --yaml"
) -> tuple[Any, Mapping[Path, int]]:
    """Returns the value that a YAML text holds, and the line of each part of it.

    Args:
        text: what the file holds.
        where: what messages begin with: the file's name.
        what: what the file is about, for messages.
        example: a command that prints such a file.

    Raises:
        InputError: not YAML, or more than mappings, lists and plain values; the message begins with
            `where` and the line.
    """
    import yaml

    try:
        reader = _Reader(yaml.parse(text, Loader=yaml.SafeLoader), where, what, example)
        return reader.document(), reader.lines
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"{where} line {line} is not text: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, says = mark.line + 1 if mark else 1, error.problem or error.context
        raise InputError(f"{where} line {line} is not valid YAML: {says}") from error
    except (ValueError, OverflowError) as error:  # numbers of characters and versions that are none
        raise InputError(f"{where} is not valid YAML: {error}") from error


def yaml_lines(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yields the lines of a mapping, for `parse_yaml` to read back.

    Lists of mappings take a line a field, everything else one line.
    """
    for key, entry in value.items():
        if isinstance(entry, list) and entry and isinstance(entry[0], dict):
            yield f"{indent}{key}:"
            for one in entry:
                first, *more = yaml_lines(one, f"{indent}    ")
                yield f"{indent}  - {first.strip()}"
                yield from more
        else:
            yield f"{indent}{key}: {_flow(entry)}"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) and _plain(value) == value else json.dumps(value)
    text = str(value)
    # Other readers of YAML take 1e-05 for a word.
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


class _Reader:
    def __init__(self, events: "Iterator[Event]", where: str, what: str, example: str) -> None:
        self.events, self.where, self.what, self.example = events, where, what, example
        self.lines: dict[Path, int] = {}
        self._read = 0

    def document(self) -> Any:
        import yaml

        self._next()  # the start of the stream
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            raise InputError(f"{self.where} is empty; `{self.example}` prints one to start from")
        value = self._value(self._next(), ())
        self._next()  # the end of the document
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._refusal(event, f"a second document begins; put each {self.what} in a file of its own")
        return value

    def _next(self) -> "Event":
        event = next(self.events)
        self._read += 1
        if self._read > _MOST_EVENTS:
            raise self._refusal(event, f"has more than {_MOST_EVENTS:,} entries, too many for a {self.what}")
        return event

    def _value(self, event: "Event", path: Path) -> Any:
        import yaml

        self.lines.setdefault(path, event.start_mark.line + 1)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._refusal(event, "anchors (&) and aliases (*) are not read; write the value out")
        if event.tag is not None:
            raise self._refusal(event, f"tags such as {event.tag} are not read; write the plain value")
        if isinstance(event, yaml.ScalarEvent):
            if _UNWRITABLE.search(event.value):
                raise self._refusal(event, "characters that no text may hold are not read; leave them out")
            return _plain(event.value) if event.style is None else event.value
        if len(path) >= _DEEPEST:
            raise self._refusal(event, f"is nested more than {_DEEPEST} deep, too deep for a {self.what}")
        return self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._list(path)

    def _mapping(self, path: Path) -> dict[str, Any]:
        import yaml

        found: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refusal(event, "a field's name must be one word")
            key = event.value
            at = (*path, key)
            if key in found:
                says = f"{key!r} is given twice, first in line {self.lines[at]}; leave out one"
                raise self._refusal(event, says)
            self.lines[at] = event.start_mark.line + 1
            found[key] = self._value(self._next(), at)
        return found

    def _list(self, path: Path) -> list[Any]:
        import yaml

        found: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            found.append(self._value(event, (*path, len(found))))
        return found

    def _refusal(self, event: "Event", says: str) -> InputError:
        return InputError(f"{self.where} line {event.start_mark.line + 1}: {says}")


def _plain(text: str) -> Any:
    """The value of an unquoted word: as in YAML 1.2, where only true and false are flags."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text
