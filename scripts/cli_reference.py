"""Writes docs/cli.md, the reference of the command line, from the commands themselves.

python scripts/cli_reference.py          writes it
python scripts/cli_reference.py --check  fails where it is not up to date
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, CommandInfo, OptionInfo

from hwnas.cli.main import app
from hwnas.files import write_text

PATH = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

_HEAD = """# Command line

Made by `python scripts/cli_reference.py` from the commands themselves; `hwnas COMMAND --help` says the same.

Times, energies and sizes carry units (`25ms`, `0.9s`, `3mJ`, `4MB`, `4MiB`); a bare number is refused. \
Results go to stdout, progress and remarks to stderr. A command that was stopped goes on when it is repeated \
with the same output.

| exit code | means |
|---|---|
| 0 | done |
| 1 | a file that `hwnas verify` failed |
| 2 | bad input: one line says what must hold, what was given, what to do |
| 3 | nothing feasible: it says the fastest or smallest that was found |
| 130 | interrupted: repeat the command to go on |
"""


@dataclass(frozen=True)
class Parameter:
    """An argument or an option of a command, as its function declares it."""

    names: tuple[str, ...]
    info: Any
    kind: Any
    default: Any

    @property
    def is_option(self) -> bool:
        """Whether it is an option."""
        return isinstance(self.info, OptionInfo)

    @property
    def base(self) -> Any:
        """The type of one value."""
        kinds = [one for one in get_args(self.kind) if one is not NoneType]
        kind = kinds[0] if get_origin(self.kind) in (Union, UnionType) else self.kind
        return get_args(kind)[0] if get_origin(kind) is list else kind

    @property
    def several(self) -> bool:
        """Whether it may be given more than once."""
        return "list[" in str(self.kind)


def reference() -> str:
    """Returns the page.

    Raises:
        ValueError: a command, an argument or an option that no one described, or a command
            without an example.
    """
    commands = list(app.registered_commands)
    rows = [f"| [`hwnas {one.name}`](#hwnas-{one.name}) | {_text(_said(one))} |" for one in commands]
    listed = "\n".join(["| command | does |", "|---|---|", *rows])
    return "\n".join([_HEAD, listed, "", *(_section(one) for one in commands)])


def parameters(command: Callable[..., Any]) -> Iterator[Parameter]:
    """Yields the arguments and options of a command, in its own order."""
    hints = get_type_hints(command, include_extras=True)
    for name, one in inspect.signature(command).parameters.items():
        hint = hints[name]
        if get_origin(hint) is Union:  # Python 3.10 adds None outside where the default is None
            hint = get_args(hint)[0]
        kind, info = get_args(hint)
        # In Annotated the first name stands where a default would otherwise stand.
        texts = [*([info.default] if isinstance(info.default, str) else []), *(info.param_decls or ())]
        declared = tuple(part for text in texts for part in text.split("/"))
        default = inspect.Parameter.empty if one.default is inspect.Parameter.empty else one.default
        names = declared or (
            name.upper() if isinstance(info, ArgumentInfo) else f"--{name.replace('_', '-')}",
        )
        yield Parameter(names, info, kind, default)


def _section(command: CommandInfo) -> str:
    assert command.callback is not None
    example = (command.epilog or "").removeprefix("Example: ")
    if not example.startswith(f"hwnas {command.name}"):
        raise ValueError(f"command '{command.name}' has no example; give its module an EXAMPLE")
    all_of = list(parameters(command.callback))
    usage = f"hwnas {command.name} [OPTIONS]" + "".join(
        f" {one.names[0]}" if one.default is inspect.Parameter.empty else f" [{one.names[0]}]"
        for one in all_of
        if not one.is_option
    )
    lines = [f"## hwnas {command.name}", "", _text(_said(command)), "", "```text", usage, "```", ""]
    lines += ["```console", f"$ {example}", "```", ""]
    for title in ("argument", "option"):
        rows = [_row(str(command.name), one) for one in all_of if one.is_option == (title == "option")]
        if rows:
            lines += [f"| {title} | value | default | |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _said(command: CommandInfo) -> str:
    said = inspect.cleandoc(command.help or getattr(command.callback, "__doc__", None) or "")
    if not said:
        raise ValueError(f"command '{command.name}' has no description; give its function a docstring")
    return said.split("\n\n")[0]


def _row(command: str, parameter: Parameter) -> str:
    shown = ", ".join(f"`{one}`" for one in sorted(parameter.names, key=len, reverse=True))
    if not (parameter.info.help or "").strip():
        raise ValueError(f"{shown} of command '{command}' is not described; give it a help text")
    return f"| {shown} | {_value(parameter)} | {_default(parameter)} | {_text(parameter.info.help)} |"


def _value(parameter: Parameter) -> str:
    if parameter.base is bool:
        return "flag"
    words = {int: "whole number", float: "number", Path: "path"}.get(parameter.base, "text")
    low, high = parameter.info.min, parameter.info.max
    words += f", from {low}" if low is not None else ""
    words += f", to {high}" if high is not None else ""
    return words + (", may be repeated" if parameter.several else "")


def _default(parameter: Parameter) -> str:
    value = parameter.default
    if value is inspect.Parameter.empty:
        return "required"
    if value is None or value is False or value == []:
        return ""
    return "on" if value is True else f"`{value}`"


def _text(words: str) -> str:
    """Words for a table cell: on one line, and nothing of them markup but code marks."""
    joined = " ".join(words.split())
    parts = re.split(r"(`[^`]*`)", joined)
    plain = [one if one.startswith("`") else re.sub(r"([<>*_\[\]])", r"\\\1", one) for one in parts]
    return "".join(plain).replace("|", r"\|")


def main() -> None:
    """Writes or checks the page."""
    made = reference()
    if sys.argv[1:] == ["--check"]:
        if not PATH.exists() or PATH.read_text(encoding="utf-8") != made:
            sys.exit("docs/cli.md is not up to date: run python scripts/cli_reference.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        write_text(PATH, made)


if __name__ == "__main__":
    main()
