"""Things by name: those that come with hwnas, and those other packages register by entry point."""

from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from hwnas.errors import InputError, unknown_name

Thing = TypeVar("Thing")


def known_names(built_in: Iterable[str], group: str) -> list[str]:
    """Returns the names that come with hwnas and those of a group of entry points, sorted.

    Nothing is imported.
    """
    return sorted({*built_in, *(point.name for point in entry_points(group=group))})


def find(built_in: Mapping[str, Thing], group: str, what: str, name: str) -> Thing:
    """Returns what has a name: of those that come with hwnas, else of a group of entry points.

    Args:
        built_in: what comes with hwnas, by name.
        group: whose entry points are looked through.
        what: says in messages what it is, such as `device`.
        name: as users write it.

    Raises:
        InputError: nothing has the name (with the nearest one), or the package that registers it
            cannot be imported.
    """
    if name in built_in:
        return built_in[name]
    for point in entry_points(group=group):
        if point.name == name:
            try:
                thing: Thing = point.load()
            except Exception as error:  # another package's code: anything can go wrong in it
                raise InputError(
                    f"{what} '{name}' cannot be loaded: {type(error).__name__}: {error}; mend or remove "
                    f"the package that registers it"
                ) from error
            return thing
    raise unknown_name(what, name, known_names(built_in, group))
