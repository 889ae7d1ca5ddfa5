"""Commands of many options: a frozen dataclass whose fields are the options."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

Options = TypeVar("Options")


def fields_as_options(command: Callable[[Options], None]) -> Callable[..., None]:
    """Returns the command as Typer takes it: a parameter for each field of the dataclass it takes.

    The fields are annotated as parameters would be, and their order is that of the help.
    """
    form: Any = get_type_hints(command)["asked"]
    hints = get_type_hints(form, include_extras=True)

    def flat(**values: Any) -> None:
        command(form(**values))

    flat.__name__, flat.__doc__ = command.__name__, command.__doc__
    flat.__annotations__ = {**hints, "return": None}
    flat.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                one.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if one.default is MISSING else one.default,
                annotation=hints[one.name],
            )
            for one in fields(form)
        ]
    )
    return flat
