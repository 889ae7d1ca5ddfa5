"""Spaces that users define: a YAML file, or the same fields as JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.errors import InputError
from hwnas.spaces.mobilenet import MobileNetSpace
from hwnas.spaces.mobilenet_recipe import MobileNetRecipe
from hwnas.spaces.registry import check_classes, get_space, space_names
from hwnas.spaces.space import Space
from hwnas.spaces.yaml_model import Lines, file_error, read_yaml_text, validated
from hwnas.spaces.yaml_text import parse_yaml, yaml_lines


def open_space(text: str, num_classes: int | None = None) -> Space:
    """Returns the space of a name, or of a YAML file where the text ends in `.yaml` or `.yml`.

    Raises:
        InputError: no such space, or a file that is none; the message names each wrong line.
    """
    if not text.endswith((".yaml", ".yml")):
        return get_space(text, num_classes)
    value, lines = parse_yaml(read_yaml_text(Path(text), "space"), text)
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


def _space(value: Any, num_classes: int | None, where: str, lines: Lines) -> Space:
    check_classes(num_classes)
    recipe = validated(MobileNetRecipe, value, where, lines)
    if recipe.name in space_names():
        known = get_space(recipe.name, num_classes)
        if isinstance(known, MobileNetSpace) and known.recipe == recipe:
            return known
        says = f"'{recipe.name}' is the name of another space already; choose a name of your own"
        raise file_error([(("name",), says)], where, lines)
    return MobileNetSpace(recipe, num_classes, recipe.model_dump(mode="json", exclude_defaults=True))
