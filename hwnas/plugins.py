"""What other packages register by entry point: names, and the objects behind them."""

from importlib.metadata import entry_points
from typing import Any

from hwnas.errors import InputError


def plugin_names(group: str) -> set[str]:
    """Returns the names registered in a group of entry points; nothing is imported."""
    return {point.name for point in entry_points(group=group)}


def load_plugin(group: str, what: str, name: str) -> Any | None:
    """Returns the object registered under a name, or None where there is none.

    Raises:
        InputError: the package that registers it cannot be imported; `what` says what it is.
    """
    for point in entry_points(group=group):
        if point.name == name:
            try:
                return point.load()
            except Exception as error:  # another package's code: anything can go wrong in it
                raise InputError(
                    f"{what} '{name}' cannot be loaded: {type(error).__name__}: {error}; mend or remove "
                    f"the package that registers it"
                ) from error
    return None
