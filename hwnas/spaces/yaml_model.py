"""Files that users write, held against a pydantic model: one line says what is wrong, and where."""

import difflib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from hwnas.errors import InputError
from hwnas.files import read_text
from hwnas.spaces.mobilenet_recipe import shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)
# Where a value stands, and what is wrong with it.
Said = tuple[tuple[str | int, ...], str]
Lines = Mapping[tuple[str | int, ...], int] | None

_MOST_BYTES = 2**20
_MOST_ERRORS = 3
# More are not listed where one of them is nearly what was written.
_FEW_FIELDS = 15


def read_yaml_text(path: Path, what: str) -> str:
    """Returns the text of a file.

    Args:
        what: what the file is about, for messages: `space`, `device`.

    Raises:
        InputError: it cannot be read, is larger than 1 MiB, or is not UTF-8.
    """
    return read_text(path, f"{what} file", _MOST_BYTES)


def validated(model: type[Model], value: Any, where: str, lines: Lines = None) -> Model:
    """Returns the value as a model.

    Args:
        model: what it must be.
        value: what a file holds.
        where: begins the message.
        lines: of each part of the value, from `parse_yaml`; None where there is no text.

    Raises:
        InputError: it is none; the message names the first few errors, in the order of the file.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise file_error(_all_said(error, model), where, lines) from None


def file_error(errors: list[Said], where: str, lines: Lines = None) -> InputError:
    """Returns one error, of one line, for all that is wrong with a file."""
    if lines is None:
        told = [f"{_dotted(path)} {says}".strip() for path, says in errors]
        start = f"{where}: "
    else:
        numbered = [(_line(path, lines), f"{_dotted(path)} {says}".strip()) for path, says in errors]
        told = [f"line {line}: {says}" for line, says in sorted(numbered, key=lambda pair: pair[0])]
        start = f"{where} "
    more = len(told) - _MOST_ERRORS
    return InputError(start + "; ".join(told[:_MOST_ERRORS]) + (f"; and {more} more" if more > 0 else ""))


def _line(path: tuple[str | int, ...], lines: Mapping[tuple[str | int, ...], int]) -> int:
    """The line of the nearest thing around a path that is in the file."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


def _dotted(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _all_said(error: ValidationError, model: type[BaseModel]) -> list[Said]:
    """Where each error is and what it says; fields missing from one place are one error."""
    said: list[Said] = []
    missing: dict[tuple[str | int, ...], list[str]] = {}
    for one in error.errors(include_url=False):
        if one["type"] == "missing":
            *parent, field = one["loc"]
            missing.setdefault(tuple(parent), []).append(str(field))
        else:
            said.append(_said(one, model))
    return said + [(path, f"must have {', '.join(fields)} too") for path, fields in missing.items()]


def _said(error: "ErrorDetails", model: type[BaseModel]) -> Said:
    """Where an error is, and what it says."""
    path, kind, value = error["loc"], error["type"], error["input"]
    if kind == "refused":
        field = error["ctx"]["field"]
        return (*path, *field.split(".")) if field else path, error["msg"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        fields = _fields_at(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), fields, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        listed = "" if near and len(fields) > _FEW_FIELDS else f"there are {', '.join(fields)}"
        return path, f"is no field: {hint}{listed}".strip()
    if kind in ("tuple_type", "list_type"):
        return path, f"must be a list of {path[-1]}, but got {type(value).__name__}"
    if kind in ("model_type", "dataclass_type"):
        listed = ", ".join(_fields_at(model, path))
        return path, f"must be a mapping of the fields {listed}, but got {type(value).__name__}"
    if kind == "value_error":
        return path, str(error["ctx"]["error"])
    return path, f"{error['msg'].replace('Input should be', 'must be')}, but got {shown(value)}"


def _fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """The fields of what stands at a path in a model: another model, or a dataclass."""
    found: type = model
    for step in path:
        if isinstance(step, str):
            found = _parts_of(found.model_fields[step].annotation)[0]  # type: ignore[attr-defined]
    return [one.name for one in fields(found)] if is_dataclass(found) else list(found.model_fields)  # type: ignore[attr-defined]


def _parts_of(annotation: Any) -> list[type]:
    """The models and dataclasses in an annotation."""
    # To Python 3.10 tuple[int, ...] is a type too.
    plain = isinstance(annotation, type) and get_origin(annotation) is None
    if plain and (is_dataclass(annotation) or issubclass(annotation, BaseModel)):
        return [annotation]
    return [found for part in get_args(annotation) for found in _parts_of(part)]
