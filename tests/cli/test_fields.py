import inspect
from dataclasses import dataclass
from typing import Annotated, get_type_hints

import typer
from typer.testing import CliRunner

from hwnas.cli.fields import fields_as_options


@dataclass(frozen=True, kw_only=True)
class Asked:
    name: Annotated[str, typer.Option("--name", help="Whom to greet.")]
    times: Annotated[int, typer.Option("--times", min=1)] = 2


@fields_as_options
def greet(asked: Asked) -> None:
    """Greets."""
    typer.echo(f"{asked.name} " * asked.times)


def test_fields_are_options_in_their_order_with_their_defaults() -> None:
    assert list(inspect.signature(greet).parameters) == ["name", "times"]
    assert list(get_type_hints(greet)) == ["name", "times", "return"]
    app = typer.Typer()
    app.command()(greet)
    assert CliRunner().invoke(app, ["--name", "Ada"]).output == "Ada Ada \n"
    assert CliRunner().invoke(app, ["--name", "Ada", "--times", "1"]).output == "Ada \n"
    assert CliRunner().invoke(app, ["--times", "1"]).exit_code == 2
    assert CliRunner().invoke(app, ["--name", "Ada", "--times", "0"]).exit_code == 2
    assert "Greets." in CliRunner().invoke(app, ["--help"]).output
