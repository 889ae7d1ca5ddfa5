"""Spaces that users define: a YAML file, or the same fields as JSON."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from hwnas.errors import InputError
from hwnas.spaces.mobilenet import MobileNetSpace
from hwnas.spaces.mobilenet_recipe import MobileNetRecipe, Part, Stage
from hwnas.spaces.registry import check_classes, get_space, space_names
from hwnas.spaces.space import Space
from hwnas.spaces.yaml_text import parse_yaml, yaml_lines

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MOST_BYTES = 1_000_000
_MOST_ERRORS = 3


def open_space(text: str, num_classes: int | None = None) -> Space:
    """Returns the space of a name, or of a YAML file where the text ends in `.yaml` or `.yml`.

    Raises:
        InputError: no such space, or a file that is none; the message names each wrong line.
    """
    if not text.endswith((".yaml", ".yml")):
        return get_space(text, num_classes)
    value, lines = parse_yaml(_read(Path(text)), text)
    return _space(value, num_classes, text, lines)


def space_of_definition(definition: Mapping[str, Any], num_classes: int | None = None) -> Space:
    """Returns the space of a definition: the fields of a space file, such as `Space.definition`.

    A definition that is exactly that of a named space gives that space.

    Args:
        num_classes: outputs of the classifier; None takes the definition's own.

    Raises:
        InputError: fields that are missing, unknown or out of range, or the name of another space.
    """
    return _space(definition, num_classes, "the space's definition", None)


def space_yaml(space: Space) -> str:
    """Returns the YAML file of a space, to start another one from.

    Raises:
        InputError: the space is not MobileNet-style.
    """
    if not isinstance(space, MobileNetSpace):
        raise InputError(f"only MobileNet-style spaces have a YAML form, but got '{space.name}'")
    return "\n".join(yaml_lines(space.recipe.model_dump(mode="json", exclude_none=True))) + "\n"


def _space(
    value: Any, num_classes: int | None, where: str, lines: Mapping[tuple[str | int, ...], int] | None
) -> Space:
    check_classes(num_classes)
    try:
        recipe = MobileNetRecipe.model_validate(value)
    except ValidationError as error:
        raise InputError(_message(_all_said(error), where, lines)) from None
    if recipe.name in space_names():
        known = get_space(recipe.name, num_classes)
        if isinstance(known, MobileNetSpace) and known.recipe == recipe:
            return known
        says = f"'{recipe.name}' is the name of another space already; choose a name of your own"
        raise InputError(_message([(("name",), says)], where, lines))
    return MobileNetSpace(recipe, num_classes, recipe.model_dump(mode="json", exclude_defaults=True))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read space file {path}: {error.strerror or error}") from error
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path} is larger than 1 MB, too large for a space file; is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path} line {line} is not UTF-8 text; is it a space file?") from error


def _message(
    errors: list[tuple[tuple[str | int, ...], str]],
    where: str,
    lines: Mapping[tuple[str | int, ...], int] | None,
) -> str:
    """One line that names the first few errors, in the order of the file."""
    if lines is None:
        told = [f"{_dotted(path)} {says}".strip() for path, says in errors]
        start = f"{where}: "
    else:
        numbered = [(_line(path, lines), f"{_dotted(path)} {says}".strip()) for path, says in errors]
        told = [f"line {line}: {says}" for line, says in sorted(numbered, key=lambda pair: pair[0])]
        start = f"{where} "
    more = len(told) - _MOST_ERRORS
    return start + "; ".join(told[:_MOST_ERRORS]) + (f"; and {more} more" if more > 0 else "")


def _line(path: tuple[str | int, ...], lines: Mapping[tuple[str | int, ...], int]) -> int:
    """The line of the nearest thing around a path that is in the file."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


def _dotted(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _all_said(error: ValidationError) -> list[tuple[tuple[str | int, ...], str]]:
    """Where each error is and what it says; fields missing from one place are one error."""
    said: list[tuple[tuple[str | int, ...], str]] = []
    missing: dict[tuple[str | int, ...], list[str]] = {}
    for one in error.errors(include_url=False):
        if one["type"] == "missing":
            *parent, field = one["loc"]
            missing.setdefault(tuple(parent), []).append(str(field))
        else:
            said.append(_said(one))
    return said + [(path, f"must have {', '.join(fields)} too") for path, fields in missing.items()]


def _said(error: "ErrorDetails") -> tuple[tuple[str | int, ...], str]:
    """Where an error is, and what it says."""
    path, kind = error["loc"], error["type"]
    if kind == "refused":
        field = error["ctx"]["field"]
        return (*path, *field.split(".")) if field else path, error["msg"]
    if kind == "extra_forbidden":
        fields = list(_model(path[:-1]).model_fields)
        near = difflib.get_close_matches(str(path[-1]), fields, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return path, f"is no field: {hint}there are {', '.join(fields)}"
    if path == ("stages",):
        return path, f"must be a list of stages, but got {type(error['input']).__name__}"
    listed = ", ".join(_model(path).model_fields)
    return path, f"must be a mapping of the fields {listed}, but got {type(error['input']).__name__}"


def _model(path: tuple[str | int, ...]) -> type[BaseModel]:
    """The model that stands at a path."""
    if not path:
        return MobileNetRecipe
    return Stage if path[0] == "stages" else Part
