"""Spaces by name: those that come with hwnas, and those other packages register."""

from collections.abc import Callable
from functools import partial

from hwnas.errors import InputError
from hwnas.plugins import find, known_names
from hwnas.spaces.space import Space

ENTRY_POINT_GROUP = "hwnas.spaces"
_MOST_CLASSES = 1_000_000


def space_names() -> list[str]:
    """Returns the names of all spaces, built in and registered."""
    return known_names(_built_in(), ENTRY_POINT_GROUP)


def get_space(name: str, num_classes: int | None = None) -> Space:
    """Returns a space by name.

    Args:
        name: of a built-in space, or of an entry point in the group `hwnas.spaces`, which must be
            a function from the number of classes (or None) to a `Space`.
        num_classes: outputs of the classifier; None takes the space's own default.

    Raises:
        InputError: no such space (with the nearest name), fewer than two classes, or more than a million.
    """
    check_classes(num_classes)
    return find(_built_in(), ENTRY_POINT_GROUP, "space", name)(num_classes)


def check_classes(num_classes: int | None) -> None:
    """Raises InputError for fewer than two classes, or more than any data set has."""
    if num_classes is not None and num_classes > _MOST_CLASSES:
        raise InputError(f"a classifier has at most {_MOST_CLASSES:,} classes, but got {num_classes}")
    if num_classes is not None and num_classes < 2:
        raise InputError(f"a classifier needs at least 2 classes, but got {num_classes}")


def _built_in() -> dict[str, Callable[[int | None], Space]]:
    # Recipes need pydantic, which takes longer to load than all else here: processes that measure
    # import this floor and never ask for a space.
    from hwnas.spaces.mobilenet import MobileNetSpace
    from hwnas.spaces.recipes import RECIPES
    from hwnas.spaces.resnet import ResNetSpace

    return {
        **{name: partial(MobileNetSpace, recipe()) for name, recipe in RECIPES.items()},
        "ofa-resnet50": lambda num_classes: ResNetSpace(num_classes or 1000),
    }
