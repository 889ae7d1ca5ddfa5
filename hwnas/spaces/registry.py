"""Spaces by name: those that come with hwnas, and those other packages register."""

from hwnas.errors import InputError, unknown_name
from hwnas.plugins import load_plugin, plugin_names
from hwnas.spaces.mobilenet import MobileNetSpace
from hwnas.spaces.recipes import RECIPES
from hwnas.spaces.resnet import ResNetSpace
from hwnas.spaces.space import Space

ENTRY_POINT_GROUP = "hwnas.spaces"
_RESNET50 = "ofa-resnet50"


def space_names() -> list[str]:
    """Returns the names of all spaces, built in and registered."""
    return sorted({*RECIPES, _RESNET50, *plugin_names(ENTRY_POINT_GROUP)})


def get_space(name: str, num_classes: int | None = None) -> Space:
    """Returns a space by name.

    Args:
        name: of a built-in space, or of an entry point in the group `hwnas.spaces`, which must be
            a function from the number of classes (or None) to a `Space`.
        num_classes: outputs of the classifier; None takes the space's own default.

    Raises:
        InputError: no such space (with the nearest name), or fewer than two classes.
    """
    check_classes(num_classes)
    if name in RECIPES:
        return MobileNetSpace(RECIPES[name](), num_classes)
    if name == _RESNET50:
        return ResNetSpace(num_classes or 1000)
    make = load_plugin(ENTRY_POINT_GROUP, "space", name)
    if make is None:
        raise unknown_name("space", name, space_names())
    space: Space = make(num_classes)
    return space


def check_classes(num_classes: int | None) -> None:
    """Raises InputError for fewer than two classes."""
    if num_classes is not None and num_classes < 2:
        raise InputError(f"a classifier needs at least 2 classes, but got {num_classes}")
