"""The error tree: everything hwnas raises on purpose.

    HwnasError
    ├── InputError              bad input: one line says what, where, what instead   (exit code 2)
    │   └── UnavailableError    a device or an optional package that is not usable here
    ├── InfeasibleError         no candidate meets the limits; says the nearest one   (exit code 3)
    └── MeasurementError        a device failed while it measured

Only the command line catches them; it prints the message alone, without a traceback.
"""

import difflib
from collections.abc import Iterable

MOST_CHARACTERS = 2000


class HwnasError(Exception):
    """The root of all errors raised on purpose; the message is one line a user can act on."""

    exit_code = 2

    def __str__(self) -> str:
        """Returns the message, cut where what was given is so long that it hides what is wrong."""
        text = super().__str__()
        half = MOST_CHARACTERS // 2
        return text if len(text) <= MOST_CHARACTERS else f"{text[:half]} [...] {text[-half:]}"


class InputError(HwnasError):
    """Something given by the user cannot be used; the message says what, where, what instead."""


class UnavailableError(InputError):
    """A device, runtime or optional package is not usable here; the message says what would help."""


class InfeasibleError(HwnasError):
    """No candidate meets the limits; the message names the fastest or smallest one found."""

    exit_code = 3


class MeasurementError(HwnasError):
    """A device failed while measuring; other measurements are kept."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """Returns the error for a name that is not known, with the nearest name and the whole list."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return InputError(f"unknown {what} '{name}': {hint}known: {', '.join(names) or 'none'}")


def first_line(error: Exception) -> str:
    """Returns the first line of what a library's error says, its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
